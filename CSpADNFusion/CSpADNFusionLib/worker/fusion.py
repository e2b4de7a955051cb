"""Client of a worker process that runs one fusion: ``python -m cspadn fuse ... --progress json``."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import SimpleITK as sitk

from cspadn.imaging.metadata import PREFIX
from CSpADNFusionLib.messages import message
from CSpADNFusionLib.worker.pair_worker import PairWorker

COLOR_FILE, METRICS_FILE = "color.nrrd", "metrics.csv"


class FusionOutput(NamedTuple):
    """Images, metrics and warnings of a fusion.

    :ivar image: the fused volume, a SimpleITK image.
    :ivar color: RGB image, or None.
    :ivar metrics: rows of :meth:`cspadn.metrics.VolumeScores.to_rows`, or None.
    :ivar provenance: dictionary.
    :ivar warnings: list of sentences.
    """

    image: Any
    color: Any
    metrics: Any
    provenance: Any
    warnings: Any


class FusionWorker(PairWorker):
    """Run one fusion in a worker process; the result is a :class:`FusionOutput`.

    :param pet, mri: images in one space, as from :func:`CSpADNFusionLib.scene.volumes.imagesFromVolumeNodes`.
    :param settings: a :class:`cspadn.settings.FusionSettings`.
    :param measured: whether to compute the metrics of the slices.
    :param callbacks: a :class:`CSpADNFusionLib.worker.pair_worker.Callbacks`.
    """

    def __init__(self, pet, mri, settings, measured, callbacks):
        self._settings, self._measured = settings, measured
        super().__init__(pet, mri, callbacks)

    def arguments(self, pet, mri, folder):
        """Return the arguments of ``cspadn fuse``."""
        return [
            *("fuse", pet, mri, "--output", f"{folder}/fused.nrrd"),
            *(["--metrics", f"{folder}/{METRICS_FILE}"] if self._measured else []),
            *settingsArguments(self._settings, folder),
        ]

    def result(self):
        """Return the :class:`FusionOutput`."""
        image, colorFile = sitk.ReadImage(str(self.folder / "fused.nrrd")), self.folder / COLOR_FILE
        color = sitk.ReadImage(str(colorFile)) if colorFile.exists() else None
        return FusionOutput(image, color, self._rows(), provenanceOf(image), self.warnings)

    def _rows(self):
        file = self.folder / METRICS_FILE
        return list(csv.reader(file.read_text(encoding="utf-8").splitlines())) if file.exists() else None

    def killed(self):
        """Return the sentence about a fusion that the system has killed."""
        return message("fusion-killed")

    def crashed(self, code):
        """Return the sentence about a fusion that has ended without a message."""
        return message("fusion-crashed", code=code)


def provenanceOf(image):
    """Return the provenance that ``cspadn fuse`` wrote into a file, as a dictionary of texts."""
    keys = [key for key in image.GetMetaDataKeys() if key.startswith(PREFIX)]
    return {key[len(PREFIX) :]: image.GetMetaData(key) for key in keys}


def settingsArguments(settings, folder):
    """Return the arguments of ``cspadn fuse`` for some settings.

    :param settings: a :class:`cspadn.settings.FusionSettings`.
    :param folder: folder of the colour volume; the worker runs in another working folder.
    """
    if settings.model.endswith(".safetensors"):
        settings = replace(settings, model=str(Path(settings.model).resolve()))
    color = [] if settings.palette is None else ["--color", f"{folder}/{COLOR_FILE}"]
    return [*settings.arguments(), *color]
