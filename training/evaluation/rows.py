"""Rows of the tables: ways to fuse a pair, and their scores, computed by several processes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np
import SimpleITK as sitk
import torch

from cspadn.errors import InputError, MemoryExhaustedError
from cspadn.fusion import fuse_pictures
from cspadn.imaging.windowing import FUSED_MAXIMUM, Window, from_network_range, to_network_range, to_unit
from cspadn.io.images import read_in_process
from cspadn.io.png_pairs import grey_levels, picture_pixels
from cspadn.metrics import Scores, measure
from cspadn.models.weights import load_model
from cspadn.runtime.allocator import keep_freed_memory
from cspadn.runtime.memory import is_out_of_memory
from cspadn.settings import FusionSettings
from training.baselines import METHODS, TRAINED
from training.baselines.form import Method
from training.evaluation.pairs import Levels, Pair

_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
_HALF_NOISE = 1e-6  # of a level: how far rounding errors may move a half
Mapper = Callable[..., Iterator[Any]]  # as map()
Fuser = Callable[[Pair], Levels]


@dataclass(frozen=True)
class Row:
    """One way to fuse a pair; a small object that can be sent to other processes.

    Attributes:
        name: printed name; for a baseline, its key in :mod:`training.baselines`.
        kind: a method without weights, a method with weights, one of our models as the product uses it, its network alone, or
            given images of other methods.
        source: accordingly empty, the weights file, the model's name or file, or the folder of the images.
    """

    name: str
    kind: Literal["method", "trained", "model", "network", "given"]
    source: str = ""


@dataclass(frozen=True)
class Outcome:
    """A fused image, (H, W), and its scores, all of :data:`cspadn.metrics.NAMES`."""

    fused: Levels
    scores: Scores


Outcomes = dict[str, list[Outcome]]  # by the rows' names; the lists in the order of the pairs


@cache
def fuser(row: Row) -> Fuser:
    """Return the function that fuses a pair for the row.

    Raises:
        ModelError: its weights are missing or damaged.
    """
    if row.kind == "given":
        return lambda pair: _read_given(Path(row.source), pair)
    if row.kind == "model":
        load_model(row.source)
        return lambda pair: fuse_with_model(row.source, pair)
    if row.kind == "network":
        network = load_model(row.source).network
        return lambda pair: fuse_with_network(network, pair)
    method = METHODS[row.name] if row.kind == "method" else TRAINED[row.name](Path(row.source))
    return lambda pair: _apply(method, pair)


def _apply(method: Method, pair: Pair) -> Levels:
    """Fuse and round halves up, as MATLAB does. Half of an average's levels are halves; rounding to even lowers its EN."""
    levels = method(pair.pet / 255, pair.mri / 255) * 255
    fused: Levels = np.floor(levels + 0.5 + _HALF_NOISE).astype(np.uint8)
    return fused


def fuse_with_model(model: str, pair: Pair) -> Levels:
    """Fuse as the product does, on the CPU. The PET is given as grey, so the result is grey."""
    pet, mri = (sitk.GetImageFromArray(levels) for levels in (pair.pet, pair.mri))
    fused: Levels = sitk.GetArrayFromImage(fuse_pictures(pet, mri, FusionSettings(model=model, device="cpu")).image)
    return fused


@torch.inference_mode()
def fuse_with_network(network: torch.nn.Module, pair: Pair) -> Levels:
    """Fuse with the network alone, rounded as in the product. Pixels that are black in both sources may not stay black."""
    sources = np.stack([to_unit(levels, Window(0, 255)) for levels in (pair.pet, pair.mri)])[np.newaxis]
    unit = from_network_range(network(to_network_range(torch.from_numpy(sources))))[0, 0].clamp(0, 1).numpy()
    fused: Levels = np.rint(unit * np.float32(FUSED_MAXIMUM) * (255 / FUSED_MAXIMUM)).astype(np.uint8)
    return fused


def _read_given(folder: Path, pair: Pair) -> Levels:
    path = folder / f"{pair.name}.png"
    levels = grey_levels(picture_pixels(read_in_process(path, "The fused picture"), f"The picture {path}"))
    if levels.shape != pair.pet.shape or levels.dtype != np.uint8:
        raise InputError(f"The fused picture {path} must have 8 bits and the size of the pair: create it again.")
    return levels.astype(np.uint8)


def check_rows(rows: Iterable[Row], pairs: Sequence[Pair]) -> None:
    """Raise InputError or ModelError, before the work starts, if weights or given images are missing or damaged."""
    for row in rows:
        make = fuser(row)
        if row.kind == "given":
            for pair in pairs:
                make(pair)


def measure_rows(rows: Sequence[Row], pairs: Sequence[Pair], mapper: Mapper) -> Outcomes:
    """Fuse every pair with every row, and measure the result against PET (luma) and MRI."""
    results = list(mapper(_measured, [(row, pair) for row in rows for pair in pairs]))
    count = len(pairs)
    return {row.name: results[i * count : (i + 1) * count] for i, row in enumerate(rows)}


def _measured(task: tuple[Row, Pair]) -> Outcome:
    row, pair = task
    fused = fuser(row)(pair)
    return Outcome(fused, measure(pair.pet, pair.mri, fused))


def mean_scores(outcomes: Iterable[Outcome]) -> Scores:
    """Return the mean of each score over the pairs."""
    return mean_of([outcome.scores for outcome in outcomes])


def mean_of(rows: Sequence[Scores]) -> Scores:
    """Return the mean of each score over the rows."""
    return {name: float(np.mean([row[name] for row in rows])) for name in rows[0]}


@contextmanager
def workers(processes: int) -> Iterator[Mapper]:
    """Yield a ``map`` that distributes its tasks to processes with one thread each.

    The results have the order of the tasks, and do not depend on the number of processes.

    Raises:
        MemoryExhaustedError: a process was killed or ran out of memory.
    """
    spawn = get_context("spawn")
    try:
        with _one_thread(), ProcessPoolExecutor(processes, mp_context=spawn, initializer=_start_worker) as pool:
            yield pool.map
    except (RuntimeError, MemoryError) as error:
        if not isinstance(error, BrokenProcessPool) and not is_out_of_memory(error):
            raise
        advice = "use --processes 1" if processes > 1 else "close other programs"
        raise MemoryExhaustedError(f"A worker was ended: not enough memory; {advice}.") from None


@contextmanager
def _one_thread() -> Iterator[None]:
    """Set the environment variables that new processes read on import, until the pool is closed: it may start them late."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _start_worker() -> None:
    torch.set_num_threads(1)
    keep_freed_memory()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)


def trivial_rows(*names: str) -> list[Row]:
    """Return rows for methods without weights."""
    return [Row(name, "method") for name in names]
