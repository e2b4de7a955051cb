"""A stand-in for Slicer's DICOM database, and nodes that were loaded from it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pydicom

from cspadn.io import dicom_reader
from nodes import node_of
from repository import MODULE_FILE
from slicer_application import application


class Database:
    """A ctkDICOMDatabase, as far as the module needs it, that answers from the headers of files."""

    isOpen = True

    def __init__(self, *folders: Path) -> None:
        self._headers = {
            str(file): pydicom.dcmread(file, stop_before_pixels=True)
            for folder in folders
            for file in sorted(folder.iterdir())
        }

    def fileForInstance(self, uid: str) -> str:
        if not self.isOpen:
            return ""
        return next((file for file, header in self._headers.items() if header.SOPInstanceUID == uid), "")

    def add(self, folder: Path) -> None:
        self._headers |= {str(file): pydicom.dcmread(file, stop_before_pixels=True) for file in folder.iterdir()}

    def fileValue(self, file: str, tag: str) -> str:
        element = self._headers[str(file)].get(tuple(int(part, 16) for part in tag.split(",")))
        return str(element.value) if element else ""

    def removeSeries(self, uid: str) -> bool:
        self._headers = {file: header for file, header in self._headers.items() if header.SeriesInstanceUID != uid}
        return True

    def seriesUIDs(self) -> set[str]:
        return {str(header.SeriesInstanceUID) for header in self._headers.values()}

    def forget(self, folder: Path) -> None:
        """Simulate the removal of a series from the database."""
        self._headers = {file: header for file, header in self._headers.items() if Path(file).parent != folder}

    def instanceValue(self, uid: str, tag: str) -> str:
        found = (header for header in self._headers.values() if header.SOPInstanceUID == uid)
        element = next(found).get(tuple(int(part, 16) for part in tag.split(",")))
        return str(element.value) if element else ""

    def forget_all_but_first(self, folder: Path) -> None:
        files = [file for file in self._headers if Path(file).parent == folder]
        for file in files[1:]:
            del self._headers[file]

    def instances(self, folder: Path) -> str:
        return " ".join(str(header.SOPInstanceUID) for file, header in self._headers.items() if Path(file).parent == folder)


def library_of(database: Database, copies: Path, most: int | None = None) -> ModuleType:
    """Return a module DICOMLib whose import copies files of a folder, and of those in it, into another folder.

    Like Slicer's, it returns True whatever becomes of the files.

    Args:
        most: files that the disk has room for; None: all.
    """

    def import_dicom(folder: str, copyFiles: bool) -> bool:
        assert copyFiles
        target = copies / str(len(list(copies.iterdir())))
        target.mkdir()
        for index, file in enumerate([file for file in Path(folder).rglob("*") if file.is_file()][:most]):
            shutil.copy(file, target / str(index))
        database.add(target)
        return True

    library = ModuleType("DICOMLib")
    library.DICOMUtils = SimpleNamespace(importDicom=import_dicom)  # type: ignore[attr-defined]
    return library


def load(folders, monkeypatch):
    """Return the logic, and the nodes of a PET and an MRI series with the attributes that Slicer takes from the database."""
    import slicer

    database = Database(*folders)
    monkeypatch.setattr(slicer, "dicomDatabase", database, raising=False)
    nodes = []
    for folder in folders:
        nodes.append(node_of(dicom_reader.read_series(folder, folder.name), folder.name))
        nodes[-1].SetAttribute("DICOM.instanceUIDs", database.instances(folder))
    application.openModule(MODULE_FILE)
    import CSpADNFusion

    return CSpADNFusion.CSpADNFusionLogic(), *nodes
