"""Write all objects of a derived study into a folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk

from cspadn.errors import UsageError
from cspadn.io.atomic_output import Staged, stage
from cspadn.io.dicom_writer.blending import blending_state, can_be_blended
from cspadn.io.dicom_writer.color import color_images
from cspadn.io.dicom_writer.grey import grey_images
from cspadn.io.dicom_writer.headers import save
from cspadn.io.dicom_writer.references import SourceSlices
from cspadn.io.dicom_writer.sources import Sources
from cspadn.io.dicom_writer.spatial_registration import needs_registration, registration_object
from cspadn.messages import message

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

GREY, COLOR, BLENDING, REGISTRATION = _FOLDERS = ("grey", "color", "blending", "registration")  # of the series
_FILE = re.compile(r"\d{4,}\.dcm")


def stage_study(
    image: sitk.Image,
    color: sitk.Image | None,
    folder: Path,
    sources: Sources,
    provenance: dict[str, Any],
    *,
    blended: bool = True,
) -> Staged:
    """Write a fused pair as a study: the objects that docs/dicom.md lists, each series in a folder of its own.

    Args:
        image: values from 0 to 4095, with axes at right angles. They are stored as whole numbers.
        color: RGB on the same grid, 8 bits each; None: there is no colour series.
        folder: the output, as :func:`check_study_output` accepts it.
        sources: headers from :func:`read_sources`.
        provenance: as in :class:`cspadn.FusionResult`. Its ``registration_matrix`` tells where the PET was registered to.
        blended: whether presentation state and registration are wanted: no rigid motion may place the PET series.

    Returns:
        The study in a temporary folder, for :func:`cspadn.io.atomic_output.commit`.

    Raises:
        UsageError: the folder cannot be written; no partial output is left.
        InputError: a tag of a source cannot be used.
    """

    def write(temporary: Path) -> None:
        temporary.mkdir()
        for name, objects in _series(image, color, sources, provenance, blended):
            (temporary / name).mkdir()
            for index, each in enumerate(objects):
                save(each, temporary / name / f"{index + 1:04d}.dcm")

    return stage(folder, "", write)


def _series(
    image: sitk.Image, color: sitk.Image | None, sources: Sources, provenance: dict[str, Any], blended: bool
) -> Iterator[tuple[str, Iterable[Dataset]]]:
    """Yield the series by the names of their folders."""
    made, matrix = datetime.now(), _matrix(provenance)
    slices = [SourceSlices(sources.mri, exact=provenance.get("grid", "mri") == "mri")]
    if sources.pet:
        slices.append(SourceSlices(sources.pet, matrix))
    yield GREY, grey_images(_right_handed(image), slices, sources, made, provenance)
    if color is not None:
        yield COLOR, color_images(_right_handed(color), slices, sources, made, provenance)
    if not (blended and sources.pet):
        return
    registration = None
    if needs_registration(sources, matrix):
        registration = registration_object(sources, matrix, made, provenance)
        yield REGISTRATION, [registration]
    if can_be_blended(sources):
        yield BLENDING, [blending_state(sources, registration, made, provenance)]


def _matrix(provenance: dict[str, Any]) -> Sequence[float] | None:
    """Return the 16 numbers that map a point of the MRI to the point of the PET, if the PET was moved."""
    return provenance.get("registration_matrix")


def _right_handed(image: sitk.Image) -> sitk.Image:
    """Return the image with its slices in the order of the normal that DICOM computes from rows and columns."""
    return image if np.linalg.det(np.reshape(image.GetDirection(), (3, 3))) > 0 else image[:, :, ::-1]


def check_replaceable(folder: Path) -> None:
    """Raise UsageError if a folder that a study is to replace contains anything but the files of a study."""
    files = [path.relative_to(folder) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink()]
    if not all(path.parent.name in _FOLDERS and len(path.parts) == 2 and _FILE.fullmatch(path.name) for path in files):
        raise UsageError(message("dicom-output-not-empty", path=folder))


def missing_objects(sources: Sources) -> list[str]:
    """Return sentences on the objects that a study cannot have."""
    if not sources.pet:
        return [message("dicom-pet-not-a-series")]
    return [] if can_be_blended(sources) else [message("dicom-not-one-stack")]
