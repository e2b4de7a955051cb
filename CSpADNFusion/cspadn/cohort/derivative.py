"""Outputs as a BIDS derivative: names, side files, pages, and the files that describe the folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cspadn.cohort.bids import description, relative_to
from cspadn.cohort.bids_names import DESCRIPTION_FILE, SPACE
from cspadn.cohort.engine import Fused, PairFiles
from cspadn.cohort.failures import LOGS, SOFTWARE, remove_record
from cspadn.cohort.folder import make_folder
from cspadn.cohort.pairs import Pair
from cspadn.cohort.sources import Source
from cspadn.errors import UsageError
from cspadn.imaging.metadata import NOTE
from cspadn.io.atomic_output import PREFIX, commit
from cspadn.io.dicom_writer import check_replaceable
from cspadn.io.images import stage_bytes, stage_text
from cspadn.io.regular_files import read_regular_text
from cspadn.io.transforms import stage_transform
from cspadn.messages import message
from cspadn.palettes import DEFAULT_PALETTE
from cspadn.settings import FusionSettings

if TYPE_CHECKING:
    from cspadn.io.atomic_output import Staged

INDEX, PAGE_SUFFIX, FIGURES = "index.html", ".html", "figures"
RECORD = SOFTWARE  # key of the side file
FUSED_ENDING, USUAL_SPACE = "_desc-fused_brightness", "_space-T1w"  # of names; pages and logs omit the latter
_STUDIES = "dicom"  # folder of the DICOM studies
_IGNORED = (  # files that BIDS has no names for
    "*.html",
    FIGURES,  # with a slash at the end, the validator would not ignore the folder itself
    f"{LOGS}/",
    _STUDIES,
    "group_metrics.tsv",
    "windows.json",
    "*_xfm.txt",
    f"*{FUSED_ENDING}.*",
)
_README = f"""# PET and MRI fused by CSpA-DN

`sub-*/[ses-*/]pet/*_desc-fused_brightness.nii.gz`: brightness from 0 to 4095, without a unit; no uptake. A JSON file beside
each says how it was made, and has the metrics of each slice. `index.html` shows all, `sub-*.html` each. `windows.json` has
the windows of the cohort. `logs` says what failed. {NOTE}
"""


@dataclass(frozen=True)
class Derivative:
    """Layout of a BIDS derivative: a NIfTI volume, its side file and a page for each pair.

    Attributes:
        folder: absolute path of the derivative.
        grid: volume whose voxels the results have, "mri" or "pet".
        registered: whether the PETs are registered to the MRIs, so that each pair has a transform as well.
        dicom: whether each pair is written as a DICOM study as well, into a folder of ``dicom``.
    """

    folder: Path
    grid: str = "mri"
    registered: bool = False
    dicom: bool = False
    measured = True
    colored = False  # the page colours the slices that it shows

    def files(self, pair: Pair) -> PairFiles:
        """Return the files of a pair, named as BIDS says."""
        labels = (f"{key}-{label}" for key, label in pair.entities.items() if key in ("sub", "ses"))
        folder = self.folder.joinpath(*labels, "pet")
        grid = pair.grid_of_pet(moved=self.registered) if self.grid == "pet" else pair.grid_of_mri
        name = "_".join([pair.name, *(f"{key}-{label}" for key, label in grid.items())])
        stem = f"{name}{FUSED_ENDING}"
        name = name.removesuffix(USUAL_SPACE)
        page, log = self.folder / f"{name}{PAGE_SUFFIX}", self.folder / LOGS / f"{name}.json"
        others = {"page": page, "thumbnail": thumbnail_file(self.folder, name)}
        if self.registered and pair.placement is None:
            others["transform"] = folder / f"{pair.name}_from-PET_to-{pair.grid_of_mri[SPACE]}_mode-image_xfm.txt"
        if self.dicom:
            others["dicom"] = self.folder / _STUDIES / name
        return PairFiles(folder / f"{stem}.nii.gz", folder / f"{stem}.json", log, others)

    def check(self, files: PairFiles, record: dict[str, Any] | None, _replaceable: bool) -> bool:
        """Return True: results of other inputs or settings are replaced.

        Raises:
            UsageError: a file exists, but no record; it is not replaced, even if the user allows it.
        """
        outputs = (files.fused, files.sidecar, *files.others.values())
        if record is None and (foreign := next((path for path in outputs if path.exists()), None)):
            raise UsageError(message("result-not-recorded", path=foreign))
        if self.dicom:
            check_replaceable(files.others["dicom"])
        return True

    def record_of(self, description: dict[str, Any]) -> dict[str, Any]:
        """Return the record in the content of a side file."""
        record: dict[str, Any] = description[RECORD]
        return record

    def describe(self, pair: Pair, provenance: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        """Return the side file: the fields of BIDS, then provenance and record."""
        sources = pair.sources or tuple(relative_to(Path(pair.study or each), self.folder) for each in (pair.pet, pair.mri))
        used = [pair.placement.file] if pair.placement and pair.placement.file else []
        return {
            "Description": f"PET and MRI fused by CSpA-DN: brightness from 0 to 4095, without a unit. {NOTE}",
            "Sources": list(dict.fromkeys([*sources, *used])),
            "SpatialReference": sources[0 if self.grid == "pet" and not self._is_moved(pair) else 1],
            **({"Resolution": "The voxels of the PET."} if self.grid == "pet" else {}),
            "SkullStripped": record["origin"]["skull_stripped"],
            RECORD: {**provenance, **record},
        }

    def _is_moved(self, pair: Pair) -> bool:
        """Return whether the voxels of the PET are fused at another place than in its file."""
        return self.registered if pair.placement is None else pair.placement.matrix is not None

    def stages(self, pair: Pair, files: PairFiles, fused: Fused, settings: FusionSettings) -> dict[str, Callable[[], Staged]]:
        """Return the functions that write the page, the thumbnail and the transform."""
        from cspadn.report.key_slices import thumbnail
        from cspadn.report.pages import page_of_scene, scene_of_result

        title, palette = pair.name.replace("_", " "), settings.palette or DEFAULT_PALETTE
        scene = scene_of_result(fused.pet, fused.mri, fused.result, palette)
        page = page_of_scene(scene, fused.result, fused.scores, title=title, palette=palette, index=INDEX)
        stages: dict[str, Callable[[], Staged]] = {
            "page": partial(stage_text, files.others["page"], page),
            "thumbnail": partial(stage_bytes, files.others["thumbnail"], thumbnail(scene, palette)),
        }
        if fused.result.registration is not None:
            transform = fused.result.registration.transform
            stages["transform"] = partial(stage_transform, files.others["transform"], transform)
        return {**stages, **fused.study(files.others["dicom"])} if self.dicom else stages


def thumbnail_file(folder: Path, name: str) -> Path:
    """Return the picture of a pair in the rows of the group page."""
    return folder / FIGURES / f"{name}.webp"


def check_derivative(output: Path) -> None:
    """Raise UsageError unless a folder is a derivative that this program has made."""
    if not _is_ours(output):
        raise UsageError(message("cohort-not-fused", path=output))


def make_derivative(source: Source, output: Path) -> Path:
    """Make the folder and its description, unless an earlier run has, and return its absolute path.

    Raises:
        UsageError: it cannot be made, or holds other files, which are not changed.
    """
    folder = output.resolve()
    if source.path.resolve() == folder or folder in source.path.resolve().parents:
        if source.path.is_dir():
            better = source.path / "derivatives" / "cspadn"
            raise UsageError(message("output-contains-dataset", path=output, better=better))
        raise UsageError(message("output-contains-input", path=output))
    others = [path for path in make_folder(output) if not path.name.startswith(PREFIX)]
    if others and not _is_ours(folder):
        raise UsageError(message("output-folder-in-use", path=output))
    _describe(source, folder)
    return folder


def forget_failures(output: Path, pairs: Sequence[Pair]) -> None:
    """Remove the failure records of pairs that the source no longer has."""
    names = {pair.name for pair in pairs}
    for log in (output / LOGS).glob("sub-*.json"):
        if log.stem.split("_space-")[0] not in names:
            remove_record(log)


def _is_ours(folder: Path) -> bool:
    return any(name == SOFTWARE for name in _generators(_read_description(folder)))


def _read_description(folder: Path) -> dict[str, Any]:
    """Return the description of a folder; empty if there is none."""
    try:
        described = json.loads(read_regular_text(folder / DESCRIPTION_FILE))
        return described if isinstance(described, dict) else {}
    except (OSError, ValueError, RecursionError):
        return {}


def _generators(described: dict[str, Any]) -> list[str]:
    generated = described.get("GeneratedBy")
    return [str(each.get("Name")) for each in generated if isinstance(each, dict)] if isinstance(generated, list) else []


def _describe(source: Source, folder: Path) -> None:
    """Write what is missing: the user may have added to the files, and several runs may start at the same time."""
    ours = description(source.path, folder, is_dataset=source.is_bids, petprep=source.petprep)
    found = _read_description(folder)
    if found and found.get("SourceDatasets") != ours["SourceDatasets"]:
        raise UsageError(message("output-folder-of-other-input", path=folder))
    texts = {".bidsignore": "".join(f"{pattern}\n" for pattern in _IGNORED), "README.md": _README}
    wanted = {folder / name: text for name, text in texts.items() if not (folder / name).exists()}
    merged = {**ours, **found, "GeneratedBy": ours["GeneratedBy"]}
    if isinstance(links := ours.get("DatasetLinks"), dict) and isinstance(others := found.get("DatasetLinks"), dict):
        merged["DatasetLinks"] = {**others, **links}
    if merged != found:
        wanted = {folder / DESCRIPTION_FILE: json.dumps(merged, indent=2, ensure_ascii=False) + "\n", **wanted}
    commit([partial(stage_text, file, text) for file, text in wanted.items()], overwrite=True)
