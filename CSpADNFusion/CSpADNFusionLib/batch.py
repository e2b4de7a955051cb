"""Fuse many pairs, one after the other: a bad pair is recorded, and the rest goes on."""

import contextlib
import csv
import glob
import hashlib
import json
import logging
import math
import time
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import SimpleITK as sitk
import slicer

from cspadn import __version__
from cspadn.errors import CancelledError, FusionError, InputError, UsageError
from cspadn.imaging.metadata import PREFIX
from cspadn.io.atomic_output import commit
from cspadn.io.formats import COLOR_SUFFIXES, VOLUME_SUFFIXES
from cspadn.io.images import (
    TABLE_SUFFIX,
    check_output,
    check_sidecar,
    stage_image,
    stage_sidecar,
    stage_table,
)
from cspadn.metrics import TABLE_NAMES
from cspadn.runtime.terminal import silence_libraries
from cspadn.settings import FusionSettings
from CSpADNFusionLib.pairs import Outputs, nameOutputs
from CSpADNFusionLib.scene import metrics
from CSpADNFusionLib.scene.node_references import COLOR_ROLE, METRICS_ROLE
from CSpADNFusionLib.scene.volumes import imageFromVolumeNode, provenanceOf, volumeNodeFromImage

SUMMARY_FILE = "summary.csv"
DONE, FAILED = "done", "failed"
_COLUMNS = ["pet", "mri", "output", "status", "message", "warnings", "seconds"]
_ORIGIN = "batch"  # in the side file: of which inputs, with which settings


@dataclass
class Options:
    """What holds for all pairs.

    :ivar folder: receives the outputs.
    :ivar settings: fields of :class:`cspadn.settings.FusionSettings`.
    :ivar protected: files that are never overwritten, beside the inputs.
    """

    folder: Path
    settings: dict[str, Any]
    measured: bool = False
    suv: bool = False
    overwrite: bool = False
    protected: list[Path] = field(default_factory=list)

    @cached_property
    def modelHash(self):
        """SHA-256 of the weights."""
        from cspadn.models.weights import load_model

        return load_model(FusionSettings(**self.settings).model).card.sha256

    def origin(self, pair):
        """What the results of a pair depend on, as JSON has it."""
        inputs = repr([_states(path) for path in pair.inputs]).encode(errors="surrogateescape")
        return {
            "software": __version__,
            "inputs": hashlib.sha256(inputs).hexdigest(),  # paths may be personal
            "model": self.modelHash,
            "suv": self.suv,
            **FusionSettings(**self.settings).origin(),
        }

    def outputsOf(self, name):
        """The files that come of a pair."""
        return Outputs.of(self.folder, name, color=self.settings.get("palette") is not None, metrics=self.measured)


@dataclass
class Record:
    """What became of a pair."""

    status: str
    message: str = ""
    warnings: list[str] = field(default_factory=list)
    means: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    earlier: bool = False


class Batch:
    """A run over all pairs.

    :param pairs: of :mod:`CSpADNFusionLib.pairs`.
    :param options: :class:`Options`.
    :param fuse: ``CSpADNFusionLogic.fuse``.
    :param say: called with each line of progress.
    :raises UsageError: nothing can be written to the folder, or a file of another origin is where the summary would be.
    """

    def __init__(self, pairs, options, fuse, say=print):
        self._pairs, self._options, self._fuse, self._say = pairs, options, fuse, say
        self._summary = Summary(options)
        self._inputs = [*options.protected, *(path for pair in pairs for path in pair.inputs)]
        nameOutputs(pairs, options.outputsOf)

    def run(self):
        """Fuse what can be fused, and return the exit code: 0 all done, 1 any failure, 130 interrupted, 143 terminated."""
        silence_libraries()
        interrupted = None
        try:
            for number, pair in enumerate(self._pairs, 1):
                self._summary.add(pair, record := self._attempt(pair))
                self._say(f"[{number}/{len(self._pairs)}] {_lineOf(pair, record)}")
                self._summary.write(self._say)
                slicer.app.processEvents()  # writes what was said to Slicer's log
        except KeyboardInterrupt as request:
            interrupted = request
        written = self._summary.write(self._say)
        self._say(self._counts())
        if interrupted:
            return getattr(interrupted, "exit_code", CancelledError.exit_code)
        return 0 if written and self._summary.failed == 0 else 1

    def _counts(self):
        done, failed = self._summary.done, self._summary.failed
        left = len(self._pairs) - done - failed
        return f"{done} done, {failed} failed{f', {left} left' if left else ''}: {self._summary.path}"

    def _attempt(self, pair):
        start = time.monotonic()
        record = self._record(pair)
        record.seconds = time.monotonic() - start
        return record

    def _record(self, pair):
        """Whatever goes wrong with one pair becomes a sentence."""
        try:
            return self._fusePair(pair)
        except FusionError as error:
            return Record(FAILED, str(error))
        except Exception as error:
            logging.exception(f"CSpADNFusion: unexpected error with {pair.output}")
            first = next(iter(str(error).splitlines()), "")
            return Record(FAILED, f"Unexpected error ({type(error).__name__}: {first}): the log says where.")

    def _fusePair(self, pair):
        """Nothing of the pair is kept in the scene, nor anything half-done in the folder."""
        if pair.obstacle:
            raise InputError(pair.obstacle)
        options, outputs = self._options, self._options.outputsOf(pair.output)
        origin = options.origin(pair)
        if not options.overwrite and (earlier := _earlier(outputs, origin)):
            return earlier
        replace = options.overwrite or _isHalf(outputs)
        self._checkOutputs(outputs, replace)
        told = []
        with _nodesRemovedAfterwards(slicer.mrmlScene):
            petNode, mriNode = (volumeNodeFromImage(image, name) for image, name in pair.load(options.suv))
            fusedNode = self._fuse(petNode, mriNode, metrics=options.measured, warned=told.append, **options.settings)
            commit(_stages(fusedNode, outputs, told, origin), overwrite=replace)
            tableNode = fusedNode.GetNodeReference(METRICS_ROLE)
            return Record(DONE, warnings=told, means=metrics.meanOf(tableNode) if tableNode else {})

    def _checkOutputs(self, outputs, replace):
        """Before the work starts."""
        kinds = ((outputs.fused, VOLUME_SUFFIXES), (outputs.color, COLOR_SUFFIXES), (outputs.metrics, (TABLE_SUFFIX,)))
        for path, suffixes in kinds:
            if path:
                check_output(path, suffixes, inputs=self._inputs, overwrite=replace)
        check_sidecar(outputs.sidecar, overwrite=replace)


class Summary:
    """A CSV file with a line for each pair that was attempted; whole at any time.

    :raises UsageError: it cannot be written, or would replace a file that is no summary.
    """

    def __init__(self, options):
        self.path = options.folder / SUMMARY_FILE
        self.done = self.failed = 0
        self._metrics = TABLE_NAMES if options.measured else ()
        self._rows = [[*_COLUMNS, *(f"mean_{name}" for name in self._metrics)]]
        self._check(options.protected)
        self._commit()

    def _check(self, protected):
        if not self.path.exists():
            return
        if any(self.path.samefile(file) for file in protected):
            raise UsageError(f"The list of pairs {self.path} lies where the summary is to be: rename it.")
        try:
            with self.path.open(encoding="utf-8", newline="") as file:
                ours = next(csv.reader(file), [])[: len(_COLUMNS)] == _COLUMNS
        except (OSError, UnicodeDecodeError, csv.Error):
            ours = False
        if not ours:
            raise UsageError(f"{self.path} is no summary of an earlier run: rename it, or choose another folder.")

    def add(self, pair, record):
        """A line for a pair."""
        self.done += record.status == DONE
        self.failed += record.status == FAILED
        means = (_cell(record.means.get(name, math.nan)) for name in self._metrics)
        told = [pair.pet, pair.mri, pair.output, record.status, record.message, " ".join(record.warnings)]
        self._rows.append([*map(_printable, told), f"{record.seconds:.1f}", *means])

    def write(self, say):
        """True where that succeeds. On Windows it does not while another program shows the file: it will the next time."""
        try:
            self._commit()
        except FusionError as error:
            say(f"The summary is not up to date: {error}")
            return False
        return True

    def _commit(self):
        commit([lambda: stage_table(self.path, self._rows)], overwrite=True)


def _states(path):
    """Name, size and time of all files of an input, also of those that a header may name; none of what cannot be read."""
    try:
        files = path.rglob("*") if path.is_dir() else path.parent.glob(f"{glob.escape(path.stem)}.*")
        known = ((str(file), file.stat()) for file in sorted(files) if file.is_file())
        return [(name, state.st_size, state.st_mtime_ns) for name, state in known]
    except (OSError, ValueError):
        return []


def _earlier(outputs, origin):
    """What an earlier run has told of a pair, if it did it with the same inputs and settings; None otherwise."""
    try:
        told = json.loads(outputs.sidecar.read_text(encoding="utf-8"))
        if told[_ORIGIN] != origin or not all(path.exists() for path in outputs if path):
            return None
        if told["date"] != _dateOf(outputs.fused):  # a kill came between the two
            return None
        return Record(DONE, warnings=list(told["warnings"]), means=_meansOf(outputs.metrics), earlier=True)
    except (OSError, ValueError, LookupError, TypeError, RuntimeError):  # there is none, or it is somebody else's
        return None


def _isHalf(outputs):
    """Whether a kill came while the files of a new pair were given their names: the side file is first, the volume last."""
    try:
        return not outputs.fused.exists() and _ORIGIN in json.loads(outputs.sidecar.read_text(encoding="utf-8"))
    except (OSError, ValueError, TypeError):
        return False


def _dateOf(file):
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(file))
    reader.ReadImageInformation()
    return reader.GetMetaData(PREFIX + "date")


def _meansOf(file):
    """The last row of a table of metrics."""
    if file is None:
        return {}
    with file.open(encoding="utf-8", newline="") as opened:
        names, *_, values = csv.reader(opened)
    return {name: float(value) for name, value in zip(names[2:], values[2:], strict=True) if value}


def _stages(fusedNode, outputs, told, origin):
    """What :func:`cspadn.io.atomic_output.commit` wants: each file written under a temporary name."""
    provenance = provenanceOf(fusedNode)
    stages = [lambda: stage_sidecar(outputs.sidecar, {**provenance, _ORIGIN: origin}, told)]
    if outputs.metrics:
        rows = _rowsOf(fusedNode.GetNodeReference(METRICS_ROLE))
        stages.append(lambda: stage_table(outputs.metrics, rows))
    if outputs.color:
        color = imageFromVolumeNode(fusedNode.GetNodeReference(COLOR_ROLE))
        stages.append(lambda: stage_image(color, outputs.color, provenance))
    image = imageFromVolumeNode(fusedNode)
    stages.append(lambda: stage_image(image, outputs.fused, provenance))
    return stages


def _rowsOf(tableNode):
    """As :meth:`cspadn.metrics.VolumeScores.to_rows` has it, from the nodes of :func:`metrics.updateMetricsNodes`."""
    table, mean = tableNode.GetTable(), metrics.meanOf(tableNode)
    columns = [table.GetColumn(index) for index in range(table.GetNumberOfColumns())]
    rows = [[column.GetTuple1(row) for column in columns] for row in range(table.GetNumberOfRows())]
    body = [[int(index), *map(_cell, values)] for index, *values in rows]
    return [[column.GetName() for column in columns], *body, ["mean", "", *map(_cell, mean.values())]]


def _cell(value):
    return "" if math.isnan(value) else value


@contextlib.contextmanager
def _nodesRemovedAfterwards(scene):
    """What came into the scene meanwhile goes again, but for nodes that a scene has once, such as the subject hierarchy."""
    known = {node.GetID() for node in _nodesOf(scene)}
    try:
        yield
    finally:
        for node in _nodesOf(scene):
            # Some go with another one, as a display node with its volume.
            if node.GetScene() and node.GetID() not in known and not node.GetSingletonTag():
                scene.RemoveNode(node)


def _nodesOf(scene):
    return [scene.GetNthNode(index) for index in range(scene.GetNumberOfNodes())]


def _lineOf(pair, record):
    if record.status == FAILED:
        return _printable(f"{FAILED}: {record.message}")
    if record.earlier:
        return _printable(f"{DONE} by an earlier run: {pair.output}")
    return _printable(f"{DONE}: {pair.output} ({record.seconds:.1f} s)")


def _printable(text):
    """Names of files may hold bytes that are no UTF-8."""
    return text.encode(errors="backslashreplace").decode()
