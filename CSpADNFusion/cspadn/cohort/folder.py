"""Outputs in a plain folder: an NRRD volume and its side file for each pair, with colours and a table if wanted."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspadn.cohort.engine import Fused, PairFiles
from cspadn.cohort.failures import LOGS
from cspadn.cohort.pairs import Pair
from cspadn.errors import UsageError
from cspadn.io.dicom_writer import check_replaceable
from cspadn.io.formats import COLOR_SUFFIXES, VOLUME_SUFFIXES
from cspadn.io.images import TABLE_SUFFIX, check_output, check_sidecar, stage_image, stage_table
from cspadn.messages import message
from cspadn.settings import FusionSettings

if TYPE_CHECKING:
    from cspadn.io.atomic_output import Staged

RECORD = "batch"  # key of the side file
_FUSED_SUFFIX = ".nrrd"
_NOT_IN_RECORD = ("warnings", "run", "seconds")  # the first is beside the record; the others change with each run


@dataclass(frozen=True)
class PlainFolder:
    """Layout of a plain folder. All files of a pair are named after its fused file, which is the name of the pair.

    Attributes:
        folder: absolute path.
        colored: whether each pair has a colour volume.
        measured: whether each pair has a table of metrics.
        dicom: whether each pair is written as a DICOM study as well, into a folder.
        protected: files that are never replaced: the inputs of all pairs, and the list.
    """

    folder: Path
    colored: bool = False
    measured: bool = False
    protected: tuple[Path, ...] = ()
    dicom: bool = False

    def files(self, pair: Pair) -> PairFiles:
        """Return the files of a pair."""
        fused, stem = self.folder / pair.name, _stem(pair.name)
        others = {}
        if self.measured:
            others["metrics"] = self.folder / f"{stem} metrics.csv"
        if self.colored:
            others["color"] = self.folder / f"{stem} color.nrrd"
        if self.dicom:
            others["dicom"] = self.folder / f"{stem} DICOM"
        return PairFiles(fused, self.folder / f"{stem}.json", self.folder / LOGS / f"{stem}.json", others)

    def check(self, files: PairFiles, _record: dict[str, Any] | None, replaceable: bool) -> bool:
        """Return ``replaceable``.

        Raises:
            UsageError: an output is an input, exists and is not replaceable, or cannot be written.
        """
        suffixes = {"fused": VOLUME_SUFFIXES, "color": COLOR_SUFFIXES, "metrics": (TABLE_SUFFIX,)}
        for name, path in files.outputs.items():
            if name in suffixes:
                check_output(path, suffixes[name], inputs=self.protected, overwrite=replaceable)
            elif path.exists() and not replaceable:
                raise UsageError(message("output-exists", path=path))
            else:
                check_replaceable(path)
        check_sidecar(files.sidecar, overwrite=replaceable)
        return replaceable

    def record_of(self, description: dict[str, Any]) -> dict[str, Any]:
        """Return the record in the content of a side file."""
        return {**description[RECORD], "warnings": description["warnings"]}

    def describe(self, _pair: Pair, provenance: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        """Return the side file: that of ``cspadn fuse``, and the record without the metrics of the slices."""
        kept = {name: value for name, value in record.items() if name not in _NOT_IN_RECORD}
        if kept["metrics"]:
            kept["metrics"] = {"mean": kept["metrics"]["mean"]}
        return {**provenance, "warnings": record["warnings"], RECORD: kept}

    def stages(
        self, _pair: Pair, files: PairFiles, fused: Fused, _settings: FusionSettings
    ) -> dict[str, Callable[[], Staged]]:
        """Return the functions that write the table and the colour volume."""
        result = fused.result
        stages: dict[str, Callable[[], Staged]] = {}
        if self.colored and result.color is not None:
            stages["color"] = partial(stage_image, result.color, files.others["color"], result.provenance)
        if fused.scores is not None:
            stages["metrics"] = partial(stage_table, files.others["metrics"], fused.scores.to_rows())
        return {**stages, **fused.study(files.others["dicom"])} if self.dicom else stages

    def named(self, pairs: Sequence[Pair]) -> list[Pair]:
        """Return the pairs with names: the chosen outputs first, then free ones like "MRI-PET fused.nrrd".

        A pair whose chosen output is not a plain name, or belongs to another pair, has an obstacle, and is named by its line.
        """
        checked = [replace(pair, obstacle=pair.obstacle or _obstacle(pair)) for pair in pairs]
        names = _Names(self)
        named: dict[int, Pair] = {}
        for index in sorted(range(len(checked)), key=lambda index: not checked[index].output):
            pair = checked[index]
            if not pair.obstacle and not pair.output:
                pair = replace(pair, name=names.free(_default_name(pair)))
            elif not pair.obstacle and (other := names.holder(pair.output)):
                pair = replace(pair, obstacle=message("list-output-collides", output=pair.output, other=other))
            elif not pair.obstacle:
                pair = replace(pair, name=names.take(pair.output))
            named[index] = replace(pair, name=f"line {pair.line}") if pair.obstacle else pair
        return [named[index] for index in range(len(checked))]


class _Names:
    """The names that are taken, for thousands of pairs that often have the same default."""

    def __init__(self, layout: PlainFolder) -> None:
        self._layout = layout
        self._taken: dict[str, str] = {}
        self._numbers: Counter[str] = Counter()

    def holder(self, name: str) -> str | None:
        """Return the pair that has a file in common with a pair of this name, or None."""
        return next((self._taken[key] for key in self._keys(name) if key in self._taken), None)

    def take(self, name: str) -> str:
        """Take a name, and return it."""
        self._taken.update(dict.fromkeys(self._keys(name), name))
        return name

    def free(self, name: str) -> str:
        """Take a name, with a number if it is not free, and return it."""
        key, proposed = next(self._keys(name)), name
        while self.holder(proposed):
            self._numbers[key] += 1
            proposed = f"{_stem(name)} {self._numbers[key] + 1}{_FUSED_SUFFIX}"
        return self.take(proposed)

    def _keys(self, name: str) -> Iterator[str]:
        """Yield the names of the files, alike where file systems take them for the same (capitals, forms of accents)."""
        files = self._layout.files(Pair(name))
        for path in (*files.outputs.values(), files.sidecar):
            yield unicodedata.normalize("NFC", path.name).casefold()


def _obstacle(pair: Pair) -> str:
    output = pair.output
    if not output or (Path(output).name == output and "\\" not in output and Path(output).suffix.lower() == _FUSED_SUFFIX):
        return ""
    return message("list-output-invalid", output=output, line=pair.line, suffix=_FUSED_SUFFIX)


def _default_name(pair: Pair) -> str:
    inputs = [pair.study] if pair.study else [pair.mri, pair.pet]
    names = [Path(each).name if pair.study else _name_of(Path(each)) for each in inputs]
    return f"{'-'.join(names)} fused{_FUSED_SUFFIX}"


def _stem(name: str) -> str:
    return name[: -len(_FUSED_SUFFIX)] if name.lower().endswith(_FUSED_SUFFIX) else name


def _name_of(path: Path) -> str:
    """Return the name of a file without its suffix, or of a folder, which may have dots."""
    name = path.name if path.name not in ("", "..") else _resolved_name(path)
    if _is_folder(path):
        return name
    return name[: -len(".nii.gz")] if name.lower().endswith(".nii.gz") else Path(name).stem


def _resolved_name(path: Path) -> str:
    try:
        return path.resolve().name
    except (OSError, RuntimeError, ValueError):  # links in a circle, or an impossible name: reading it raises a message
        return ""


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # an impossible name: reading it raises a message
        return False


def make_folder(folder: Path) -> list[Path]:
    """Make a folder for outputs, unless it exists, and return its contents.

    Raises:
        UsageError: it cannot be made or listed.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        return list(folder.iterdir())
    except OSError as error:
        why = error.strerror or error
        raise UsageError(message("output-folder-not-created", path=folder, why=why)) from None
