"""A PET and an MRI to be fused, and the two volumes that the engine reads for them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple

from cspadn.cohort.bids_names import GRID, SPACE, labels_of
from cspadn.errors import InputError
from cspadn.imaging.metadata import SOURCE_NAME
from cspadn.io.atomic_output import check_different, check_names
from cspadn.io.images import check_path, read_image
from cspadn.io.input_files import files_of_input, sha256_of
from cspadn.messages import Sentence, message

if TYPE_CHECKING:
    import SimpleITK as sitk

    from cspadn.io.dicom_study import Series
    from cspadn.io.dicom_writer import Sources
    from cspadn.io.reader import VolumeReader

_CONTRASTS = ("T1w", "T2w", "T2starw", "PDw", "FLAIR")  # suffixes of BIDS by which a list may name an MRI


@dataclass(frozen=True)
class Placement:
    """How another program has brought the PET into the space of the MRI.

    Attributes:
        software: name and version of the program.
        file: BIDS URI of its transform; empty if the PET is already resampled in the space of the MRI.
        matrix: the 16 numbers of :func:`cspadn.registration.placing.matrix_of`, from a point of the MRI to the point of the
            PET; None if the PET is already resampled.
    """

    software: str
    file: str = ""
    matrix: tuple[float, ...] | None = None

    def placed(self, pet: sitk.Image) -> sitk.Image:
        """Return a PET of three dimensions in the space of the MRI: the same voxels at another place."""
        from cspadn.registration.placing import placed, transform_of

        return pet if self.matrix is None else placed(pet, transform_of(self.matrix))

    def provenance(self) -> dict[str, Any]:
        """Return the entries of the provenance."""
        used = {} if self.matrix is None else {"registration_file": self.file, "registration_matrix": list(self.matrix)}
        return {"registration": self.software, **used}


@dataclass(frozen=True)
class Pair:
    """A PET, its MRI, and what is known of them before they are read.

    Attributes:
        name: outputs are named after it; unique in a run. Empty until the layout of the outputs has given it, except for pairs
            of a BIDS dataset.
        pet, mri: image files, or folders with one DICOM series each; empty where there is an obstacle, or for a study.
        study: folder with one DICOM study, which holds both.
        sources: BIDS URIs of the two; empty for pairs that are not from a BIDS dataset.
        participant, session, output: labels and name of the fused file that a list gives; empty without.
        line: line in the list; 0 for other sources.
        obstacle: sentence that says why the pair cannot be fused; empty if none is known.
        warnings: sentences for the user.
        pet_window, mri_window: of the whole cohort; None: as the settings say.
        placement: how another program has registered the two; None: the settings say whether they are registered.
    """

    name: str = ""
    pet: str = ""
    mri: str = ""
    study: str = ""
    sources: tuple[str, str] | None = None
    participant: str = ""
    session: str = ""
    output: str = ""
    line: int = 0
    obstacle: str = ""
    warnings: tuple[str, ...] = ()
    pet_window: tuple[float, float] | None = None
    mri_window: tuple[float, float] | None = None
    placement: Placement | None = None

    @property
    def inputs(self) -> list[Path]:
        """Files and folders that are read, as far as they are named."""
        return [Path(each) for each in (self.pet, self.mri, self.study) if each]

    @property
    def contrast(self) -> str:
        """Return the contrast of the MRI as BIDS calls it; T1w for pairs that are not from a dataset and have other names."""
        suffix = PurePath(self.mri).name.partition(".")[0].rsplit("_", 1)[-1]
        return suffix if self.sources or suffix in _CONTRASTS else "T1w"

    @property
    def grid_of_mri(self) -> dict[str, str]:
        """Return the BIDS entities that tell in which space the MRI lies, and with which voxels: space and, if named, others.

        An MRI whose name has no space defines its own, unless another program has registered it and the PET to the T1w image.
        """
        own = {key: label for key, label in labels_of(self.mri).items() if key in GRID}
        return own if SPACE in own else {SPACE: "T1w" if self.placement else self.contrast}

    def grid_of_pet(self, *, moved: bool) -> dict[str, str]:
        """Return the same entities for the voxels of the PET.

        Args:
            moved: whether the PET is registered before it is fused: its voxels then lie in the space of the MRI.
        """
        own = {key: label for key, label in labels_of(self.pet).items() if key in GRID}
        if not (moved or self.placement or SPACE in own):
            return {SPACE: "pet"}
        others = own if SPACE in own else {key: label for key, label in self.grid_of_mri.items() if key != "res"}
        return {**others, "res": "pet"}

    @property
    def entities(self) -> dict[str, str]:
        """Return the BIDS entities of the name by their keys, such as {"sub": "01", "ses": "2"}."""
        return dict(part.split("-", 1) for part in self.name.split("_"))


class Volume(NamedTuple):
    """One of the two volumes of a pair.

    Attributes:
        name: "The PET" or "The MRI", for messages.
        path: image file, folder with one DICOM series, or folder of the study.
        series: the series of the study; None if ``path`` is the volume itself.
    """

    name: str
    path: Path
    series: Series | None = None

    def __str__(self) -> str:
        """Return where the volume lies; for a study, without anything that identifies the patient but the folder's name."""
        return f"{self.path}: {self.series}" if self.series else str(self.path)

    def read(self, reader: VolumeReader, *, suv: bool = False, frames: str | None = None) -> sitk.Image:
        """Read the volume.

        Args:
            reader: of this pair.
            suv: scale a DICOM series from Bq/ml to SUV by body weight.
            frames: of a dynamic PET, as in the settings.

        Raises:
            InputError, MemoryExhaustedError: as :func:`cspadn.io.images.read_image`.
        """
        if self.series is None:
            return read_image(self.path, self.name, reader=reader, suv=suv, frames=frames)
        image = reader.read(self.path, self.name, files=self.series.files, suv=suv, frames=frames)
        image.SetMetaData(SOURCE_NAME, f"{self.path.name} {self.name.removeprefix('The ')}")
        return image

    def sha256(self) -> str:
        """Return the SHA-256 of the contents of all files of the volume, in the order of their paths.

        Raises:
            InputError: a file does not exist or cannot be read.
        """
        check_path(self.path, self.name)
        try:
            return sha256_of(self.series.files if self.series else files_of_input(self.path))
        except OSError as error:
            raise InputError(message("pair-file-unreadable", volume=self.name, path=self.path, why=error.strerror)) from None


def volumes_of(pair: Pair) -> tuple[Volume, Volume]:
    """Return PET and MRI of a pair. In a study, choose its only PET and its only MR series.

    Raises:
        InputError: the pair has an obstacle, a name is not UTF-8, both are one file, or a study leaves a choice.
    """
    if pair.obstacle:
        raise InputError(pair.obstacle)
    check_names(pair.inputs)
    if not pair.study:
        check_different(*pair.inputs)
        return Volume("The PET", Path(pair.pet)), Volume("The MRI", Path(pair.mri))
    from cspadn.io.dicom_study import one_series, series_below

    folder = Path(pair.study)
    series = series_below(folder)
    pet, mri = (one_series(series, modality, folder.name) for modality in ("PT", "MR"))
    return Volume("The PET", folder, pet), Volume("The MRI", folder, mri)


def read_volumes(
    pair: Pair, volumes: tuple[Volume, Volume], reader: VolumeReader, *, suv: bool, frames: str | None
) -> tuple[sitk.Image, sitk.Image]:
    """Read PET and MRI of a pair, and place the PET as another program has registered it.

    Args:
        pair: the pair.
        volumes: of :func:`volumes_of`.
        reader, suv, frames: as for :meth:`Volume.read`.

    Raises:
        InputError, MemoryExhaustedError: as :meth:`Volume.read`.
    """
    from cspadn.imaging.frames import select_frames

    pet, mri = volumes[0].read(reader, suv=suv, frames=frames), volumes[1].read(reader)
    if pair.placement is not None:
        pet = pair.placement.placed(select_frames(pet, frames, volumes[0].name))
    return pet, mri


def without_padding_of_cohort(pet: sitk.Image, mri: sitk.Image, pair: Pair) -> tuple[sitk.Image, sitk.Image, list[Sentence]]:
    """Treat volumes with windows of the cohort as with automatic ones: users who give windows know the values.

    Raises:
        InputError: as :func:`cspadn.imaging.modality.check_modalities`.

    Returns:
        PET and MRI, without padding if their window is that of the cohort, and warnings about padding that was guessed.
    """
    from cspadn.imaging.modality import check_modalities
    from cspadn.imaging.padding import padding_warnings, without_padding
    from cspadn.imaging.windowing import without_holes

    warnings = list[Sentence]()
    if pair.pet_window:
        pet, share = without_padding(pet)
        warnings += padding_warnings(share, "The PET")
    if pair.mri_window:
        mri, share = without_padding(mri)
        warnings += padding_warnings(share, "The MRI")
    if pair.pet_window or pair.mri_window:
        check_modalities(without_holes(pet, 0.0)[0], without_holes(mri, 0.0)[0])
    return pet, mri, warnings


def sources_of(volumes: tuple[Volume, Volume]) -> Sources:
    """Return the headers of the DICOM series of a pair, for a study that is derived from them.

    Raises:
        UsageError, InputError: as :func:`cspadn.io.dicom_writer.read_sources`.
    """
    from cspadn.io.dicom_writer import read_sources

    pet, mri = (volume.series.files if volume.series else volume.path for volume in volumes)
    return read_sources(mri, pet)


def content_of(path: Path) -> list[Path]:
    """Return an output file, or all files of an output folder in the order of their paths."""
    return sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
