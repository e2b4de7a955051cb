"""Which pairs a batch fuses, of a CSV file or of a folder of studies, and what the files are called that come of them."""

import unicodedata
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from cspadn.errors import UsageError
from cspadn.io.atomic_output import check_different, check_names
from cspadn.io.images import read_image, sidecar_of
from cspadn.io.pair_list import read_pairs

_REQUIRED, _OUTPUT = ("pet", "mri"), "output"
_FUSED_SUFFIX = ".nrrd"


class Outputs(NamedTuple):
    """The files that come of a pair.

    :ivar color, metrics: None where they are not wanted.
    """

    fused: Path
    sidecar: Path
    color: Path | None
    metrics: Path | None

    @classmethod
    def of(cls, folder, name, *, color, metrics):
        """All are named after the fused file, ``name``."""
        fused = folder / name
        stem = _stem(name)
        colorFile = folder / f"{stem} color.nrrd" if color else None
        return cls(fused, sidecar_of(fused), colorFile, folder / f"{stem} metrics.csv" if metrics else None)


class FilePair:
    """A row of the CSV file: two files, or folders with one DICOM series each.

    :ivar pet, mri: for the summary.
    :ivar output: name of the fused file; as long as it is empty, ``defaultName`` is proposed.
    :ivar obstacle: why the pair cannot be fused, as far as that is known beforehand.
    """

    def __init__(self, row, folder, line):
        self.inputs = [folder / row[column] for column in _REQUIRED if row[column]]
        self.pet, self.mri = (str(folder / row[column]) if row[column] else "" for column in _REQUIRED)
        self.output, self.obstacle = row[_OUTPUT], _obstacle(row, line)
        self.defaultName = "-".join(nameOf(path) for path in reversed(self.inputs)) + f" fused{_FUSED_SUFFIX}"

    def load(self, suv):
        """Read both volumes: (image, name) of PET and MRI."""
        check_names(self.inputs)
        check_different(*self.inputs)
        pet, mri = self.inputs
        return (read_image(pet, "The PET", suv=suv), nameOf(pet)), (read_image(mri, "The MRI"), nameOf(mri))


def _obstacle(row, line):
    output = row[_OUTPUT]
    if empty := [column for column in _REQUIRED if not row[column]]:
        return f"Line {line} of the list names no {' and no '.join(empty)}."
    if output and (Path(output).name != output or "\\" in output or Path(output).suffix.lower() != _FUSED_SUFFIX):
        return f"The output '{output}' in line {line} of the list must be a name without folders that ends in {_FUSED_SUFFIX}."
    return ""


class StudyPair:
    """A folder with the series of one DICOM study, of which one is a PET and one an MRI; the attributes of a FilePair."""

    def __init__(self, folder):
        self._folder = folder
        self.inputs, self.pet, self.mri, self.obstacle = [folder], "", "", ""
        self.output, self.defaultName = "", f"{folder.name} fused{_FUSED_SUFFIX}"

    def load(self, suv):
        """Choose the two series and read them: (image, name) of PET and MRI."""
        check_names([self._folder])
        from cspadn.io.dicom_reader import read_files
        from cspadn.io.dicom_study import one_series, series_below

        series, name = series_below(self._folder), self._folder.name
        pet, mri = one_series(series, "PT", name), one_series(series, "MR", name)
        self.pet, self.mri = (f"{self._folder}: {each}" for each in (pet, mri))
        petImage = read_files(pet.files, self._folder, "The PET", suv=suv)
        return (petImage, f"{name} PET"), (read_files(mri.files, self._folder, "The MRI"), f"{name} MRI")


def pairsOfTable(file):
    """A pair for each row of a CSV file with the columns pet, mri, and perhaps output; paths are relative to the file.

    :raises UsageError: it is no such file.
    """
    return [FilePair(row.cells, file.resolve().parent, row.line) for row in read_pairs(file, [_OUTPUT])]


def pairsOfStudies(folder, outputFolder):
    """A pair for each folder in a folder; the one for the outputs is no study.

    :raises UsageError: there is none.
    """
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    except OSError as error:
        raise UsageError(f"The folder of studies {folder} cannot be read: {error.strerror or error}.") from None
    studies = [path for path in inside if path.resolve() != outputFolder.resolve()]
    if not studies:
        raise UsageError(f"The folder of studies {folder} holds no folders: it needs one for each study.")
    return [StudyPair(path) for path in studies]


def nameOutputs(pairs, outputsOf):
    """Give each pair an output of its own: names that the user chose first. One that was chosen twice is an obstacle.

    :param outputsOf: the :class:`Outputs` of a name.
    """
    taken, numbers = {}, Counter()
    for pair in sorted((pair for pair in pairs if not pair.obstacle), key=lambda pair: not pair.output):
        chosen = pair.output
        pair.output = chosen or _free(pair.defaultName, outputsOf, taken, numbers)
        keys = _keys(outputsOf(pair.output))
        if chosen and (other := next((taken[key] for key in keys if key in taken), None)):
            pair.obstacle = f"The output {chosen} would lie where that of another pair does, {other}: choose another name."
        else:
            taken.update(dict.fromkeys(keys, pair.output))


def _free(name, outputsOf, taken, numbers):
    """``numbers`` says how many have had the name: thousands of pairs often have the same."""
    key, proposed = _keys(outputsOf(name))[0], name
    while any(each in taken for each in _keys(outputsOf(proposed))):
        numbers[key] += 1
        proposed = f"{_stem(name)} {numbers[key] + 1}{_FUSED_SUFFIX}"
    return proposed


def _stem(name):
    return name[: -len(_FUSED_SUFFIX)]


def _keys(outputs):
    """What tells files apart where capitals and the forms of accents do not."""
    return [unicodedata.normalize("NFC", path.name).casefold() for path in outputs if path]


def nameOf(path):
    """Of a file without its suffix, or of a folder: it may hold dots."""
    name = path.name if path.name not in ("", "..") else _resolvedName(path)
    if _isFolder(path):
        return name
    return name[: -len(".nii.gz")] if name.lower().endswith(".nii.gz") else Path(name).stem


def _resolvedName(path):
    try:
        return path.resolve().name
    except (OSError, RuntimeError, ValueError):  # links that go round, or what no name may hold: reading it will say so
        return ""


def _isFolder(path):
    try:
        return path.is_dir()
    except (OSError, ValueError):  # a name that is too long, or holds what no name may: reading it will say so
        return False
