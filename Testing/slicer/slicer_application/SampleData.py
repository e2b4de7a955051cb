"""The registry of Slicer's Sample Data module, without its panel; nothing is ever downloaded."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import url2pathname

import slicer


@dataclass
class SampleDataSource:
    """One sample: a button of the Sample Data panel. The fields about files have one entry for each file."""

    sampleName: str | None = None
    sampleDescription: str | None = None
    uris: Any = None
    fileNames: Any = None
    nodeNames: Any = None
    checksums: Any = None
    loadFiles: Any = None
    customDownloader: Any = None
    thumbnailFileName: str | None = None
    loadFileTypes: Any = None
    loadFileProperties: dict = field(default_factory=dict)

    def __post_init__(self):
        self.sampleDescription = self.sampleDescription or self.sampleName
        optional = ("nodeNames", "checksums", "loadFiles", "loadFileTypes")
        if isinstance(self.uris, str):
            for name in ("uris", "fileNames", *optional):
                setattr(self, name, [getattr(self, name)])
        for name in optional:
            if getattr(self, name) is None and self.uris is not None:
                setattr(self, name, [None] * len(self.uris))
        # A source without `uris` is refused with a TypeError here, as in Slicer, even if it has its own downloader.
        if len({len(getattr(self, name)) for name in ("uris", "fileNames", *optional)}) != 1:
            raise ValueError("All fields of a sample data source need the same length")


class SampleDataLogic:
    """Keeps slicer.modules.sampleDataSources and slicer.modules.sampleDataSourceCategories."""

    @staticmethod
    def registerCustomSampleDataCategory(category, title):
        """Give a category the title that the panel shows."""
        categories = slicer.modules.__dict__.setdefault("sampleDataSourceCategories", {})
        categories.setdefault(category, {})["title"] = title

    @staticmethod
    def registerCustomSampleDataSource(
        category="Custom", sampleName=None, uris=None, fileNames=None, nodeNames=None, customDownloader=None,
        thumbnailFileName=None, loadFileTypes=None, loadFiles=None, loadFileProperties=None, checksums=None,
    ):  # fmt: skip
        """Add a sample to a category, once."""
        source = SampleDataSource(
            sampleName=sampleName, uris=uris, fileNames=fileNames, nodeNames=nodeNames, checksums=checksums,
            loadFiles=loadFiles, customDownloader=customDownloader, thumbnailFileName=thumbnailFileName,
            loadFileTypes=loadFileTypes, loadFileProperties=loadFileProperties or {},
        )  # fmt: skip
        sources = slicer.modules.__dict__.setdefault("sampleDataSources", {}).setdefault(category, [])
        if source not in sources:
            sources.append(source)

    def sourceForSampleName(self, sampleName):
        """Return the source of that name, or None."""
        registered = slicer.modules.__dict__.get("sampleDataSources", {})
        return next((s for sources in registered.values() for s in sources if s.sampleName == sampleName), None)

    def downloadSample(self, sampleName):
        """Load the sample and return its node. As in Slicer, customDownloader is not asked; only file: addresses work here."""
        source = self.sourceForSampleName(sampleName)
        nodes = [self._load(*entry) for entry in zip(source.uris, source.nodeNames, source.checksums, strict=True)]
        return nodes[0]

    def _load(self, uri, name, checksum):
        if not uri.startswith("file:"):
            raise RuntimeError(f"The stand-in has no network: it cannot download {uri}")
        path = url2pathname(urlparse(uri).path)
        if checksum and hashlib.sha256(Path(path).read_bytes()).hexdigest() != checksum.removeprefix("SHA256:"):
            raise ValueError(f"The checksum of {path} differs")
        node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        storage = slicer.vtkMRMLVolumeArchetypeStorageNode()
        storage.SetFileName(path)
        if not storage.ReadData(node):
            raise RuntimeError(f"{path} could not be read")
        node.CreateDefaultDisplayNodes()
        return node
