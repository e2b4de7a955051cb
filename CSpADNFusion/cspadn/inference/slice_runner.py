"""Slices through the network, on a CPU several at a time, on a GPU as many as its memory holds."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from cspadn.errors import MemoryExhaustedError
from cspadn.imaging.windowing import from_network_range, to_network_range
from cspadn.messages import Sentence, message
from cspadn.runtime.device import empty_cache, free_memory
from cspadn.runtime.memory import is_out_of_memory

# Of a slice that is being fused: on a CPU as measured, with room; on a GPU, where a layer takes all rows at a time, by the
# sizes of its maps.
_CPU_BYTES_PER_PIXEL, _GPU_BYTES_PER_PIXEL = 1000, 2500
_SHARE = 0.5  # of the free memory that slices may take
_LARGEST_BATCH = 32  # slices: a GPU gains nothing from more
_MOST_UNKNOWN = 4  # slices at a time where nobody says how much memory there is

T = TypeVar("T")
R = TypeVar("R")


class SliceFuser:
    """The network on its device. Out of memory, it does with less at a time, then moves to the CPU, and says so.

    Args:
        make: gives the network, in single precision: :class:`cspadn.inference.FusionNetwork`.
        pixels: of a slice.
        half: whether a GPU computes in half precision; a CPU does not.

    Attributes:
        device, precision: where and in what it computes.
        batch: slices that go through the network as one.
        workers: how many batches are computed at the same time.
        warnings: sentences for the user.
    """

    def __init__(self, make: Callable[[], nn.Module], device: torch.device, pixels: int = 1, *, half: bool = False) -> None:
        self._make, self._pixels, self._half, self.warnings = make, pixels, half, list[Sentence]()
        if half and device.type == "cpu":
            self.warnings.append(message("half-precision-ignored"))
        self._move(device)

    def _move(self, device: torch.device) -> None:
        on_cpu = device.type == "cpu"
        self.device, self.precision = device, torch.float16 if self._half and not on_cpu else torch.float32
        room = self._room(_CPU_BYTES_PER_PIXEL if on_cpu else _GPU_BYTES_PER_PIXEL)
        # On a CPU a slice per thread: no thread waits for another after each layer.
        self.batch, self.workers = (1, min(room, _torch_threads())) if on_cpu else (min(room, _LARGEST_BATCH), 1)
        self._load()

    def _room(self, bytes_per_pixel: int) -> int:
        """Slices for which there is memory."""
        free = free_memory(self.device)
        return _MOST_UNKNOWN if free is None else max(1, int(_SHARE * free / (bytes_per_pixel * self._pixels)))

    def _load(self) -> None:
        """A fresh network: what another one kept for its slices is free."""
        self.network: nn.Module = nn.Identity()
        empty_cache(self.device)
        self.network = self._make().to(device=self.device, dtype=self.precision)

    def __call__(self, sources: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse (N, 2, H, W) in [0, 1] to (N, H, W) in [0, 1]; MemoryExhaustedError if not even one slice fits."""
        while True:
            try:
                return np.concatenate([self._run(part) for part in self._parts(sources)])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
            self._retreat()  # here, where the error no longer holds what was computed

    def in_order(self, work: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[tuple[T, R]]:
        """Each of ``count`` items, and what ``work`` makes of it.

        ``work``, which calls this object, runs in threads of its own, for several items at the same time; the next item is
        taken from ``items`` meanwhile, in the calling thread, which also does the work if there is only one. Where there is
        no memory for several, it goes on with one. Errors of ``work`` and of ``items`` come out here. While several are
        computed, torch has one thread in new threads.
        """
        items, left = iter(items), list[T]()
        if count == 1:  # on all of torch's threads
            yield from ((item, work(item)) for item in items)
            return
        if min(self.workers, count) > 1:
            yield from self._together(work, items, left, min(self.workers, count))
        with ThreadPoolExecutor(1) as pool:
            pending: deque[tuple[T, Future[R]]] = deque()
            for item in chain(left, items):
                pending.append((item, pool.submit(work, item)))
                if len(pending) > 1:
                    yield _first(pending)
            while pending:
                yield _first(pending)

    def _together(self, work: Callable[[T], R], items: Iterator[T], left: list[T], count: int) -> Iterator[tuple[T, R]]:
        """With ``count`` threads; without memory for that, put what is taken from ``items`` and not done into ``left``."""
        with _threads(count) as pool:
            pending: deque[tuple[T, Future[R]]] = deque()
            while True:
                item = next(items, None) if len(pending) <= count else None
                if item is not None:
                    pending.append((item, pool.submit(work, item)))
                    continue
                if not pending:
                    return
                try:
                    done = _first(pending)
                except (MemoryExhaustedError, RuntimeError, MemoryError) as error:
                    if not isinstance(error, MemoryExhaustedError) and not is_out_of_memory(error):
                        raise
                    self.workers = 1
                    self.warnings.append(message("one-slice-at-a-time", count=count))
                    left += [item for item, _ in pending]
                    return
                yield done

    def _parts(self, sources: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        return [sources[i : i + self.batch] for i in range(0, len(sources), self.batch)]

    @torch.inference_mode()
    def _run(self, sources: NDArray[np.float32]) -> NDArray[np.float32]:
        given = torch.from_numpy(sources)
        if self.device.type == "cuda":
            given = given.pin_memory()
        fused = self.network(to_network_range(given.to(self.device, non_blocking=True)))
        unit: NDArray[np.float32] = from_network_range(fused)[:, 0].clamp(0, 1).cpu().numpy()
        return unit

    def _retreat(self) -> None:
        if self.batch > 1:
            self.batch //= 2
            self.warnings.append(message("smaller-batch", device=self.device, count=self.batch))
            self._load()
        elif self.device.type != "cpu":
            self.warnings.append(message("continued-on-cpu", device=self.device))
            self._move(torch.device("cpu"))
        else:
            raise MemoryExhaustedError(message("memory-for-one-slice"))


def _first(pending: deque[tuple[T, Future[R]]]) -> tuple[T, R]:
    """The first that is pending, when it is done; on an error it stays there."""
    item, future = pending[0]
    result = future.result()
    pending.popleft()
    return item, result


# torch's number of threads is one of the process's, which a new thread starts with: remembered while some pool has set it.
_lock, _pools, _remembered = threading.Lock(), 0, 0


def _torch_threads() -> int:
    with _lock:
        return _remembered if _pools else torch.get_num_threads()


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool in which none starts threads of torch's own."""
    global _pools, _remembered
    with _lock:
        _remembered = _remembered if _pools else torch.get_num_threads()
        _pools += 1
    pool = ThreadPoolExecutor(count, thread_name_prefix="cspadn", initializer=torch.set_num_threads, initargs=(1,))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        with _lock:
            _pools -= 1
            if not _pools:
                torch.set_num_threads(_remembered)
