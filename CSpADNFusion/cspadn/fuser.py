"""Slices through the network, on a CPU several at a time, on a GPU as many as its memory holds."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from .device import free_memory, is_out_of_memory
from .errors import MemoryExhaustedError
from .inference import FusionNetwork
from .intensity import from_network_range, to_network_range

_BYTES_PER_PIXEL = 1500  # of a slice that is being fused, measured (docs/benchmarks.md): mostly three maps of 80 channels
_SHARE = 0.5  # of the free memory that slices may take
_LARGEST_BATCH = 32  # slices: a GPU gains nothing from more

T = TypeVar("T")
R = TypeVar("R")


class SliceFuser:
    """The network on its device. Out of memory, it does with less at a time, then moves to the CPU, and says so.

    Args:
        pixels: of a slice.

    Attributes:
        batch: slices that go through the network as one.
        workers: how many batches are computed at the same time.
        warnings: sentences for the user.
    """

    def __init__(self, network: FusionNetwork, device: torch.device, pixels: int = 1) -> None:
        self._pixels, self.warnings = pixels, list[str]()
        self._move(network, device)

    def _move(self, network: FusionNetwork, device: torch.device) -> None:
        self.device, self.network = device, network.to(device)
        free = free_memory(device)
        room = _LARGEST_BATCH if free is None else int(_SHARE * free / (_BYTES_PER_PIXEL * self._pixels))
        on_cpu = device.type == "cpu"
        # A slice per thread: no thread waits for another after each layer.
        self.batch = 1 if on_cpu else max(1, min(room, _LARGEST_BATCH))
        self.workers = max(1, min(room, torch.get_num_threads())) if on_cpu else 1

    def __call__(self, sources: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fuse (N, 2, H, W) in [0, 1] to (N, H, W) in [0, 1]."""
        while True:
            try:
                return np.concatenate([self._run(part) for part in self._parts(sources)])
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self._retreat()

    def in_order(self, work: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[tuple[T, R]]:
        """Each of ``count`` items and what ``work``, which calls this object, makes of it.

        Some are computed at the same time, while the next is taken from ``items``, which happens in the calling thread.
        """
        with _threads(min(self.workers, count)) as pool:
            pending: deque[tuple[T, Future[R]]] = deque()
            for item in items:
                pending.append((item, pool.submit(work, item)))
                if len(pending) > min(self.workers, count):
                    yield self._taken(pending, pool, work)
            while pending:
                yield self._taken(pending, pool, work)

    def _taken(self, pending: deque[tuple[T, Future[R]]], pool: ThreadPoolExecutor, work: Callable[[T], R]) -> tuple[T, R]:
        """The first that is pending. If there was no memory for it beside the others: alone, as all that follow."""
        item, future = pending.popleft()
        try:
            return item, future.result()
        except MemoryExhaustedError:
            if self.workers == 1:
                raise
        told = f"Out of memory with {self.workers} slices at a time: went on with one at a time."
        self.warnings.append(told)
        self.workers = 1
        for _, other in pending:
            other.exception()  # waits for it
        return item, pool.submit(work, item).result()

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
            self.warnings.append(f"Out of memory on {self.device}: went on with {self.batch} slices at a time.")
        elif self.device.type != "cpu":
            self.warnings.append(f"Out of memory on {self.device} with one slice: went on with the CPU.")
            self._move(self.network, torch.device("cpu"))
            self.workers = 1
        else:
            raise MemoryExhaustedError("There is not enough memory to fuse even one slice: close other programs.")


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """A pool in which, if it has several threads, none starts threads of torch's own."""
    threads = torch.get_num_threads()
    alone = (lambda: torch.set_num_threads(1)) if count > 1 else None
    pool = ThreadPoolExecutor(count, thread_name_prefix="cspadn", initializer=alone)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        torch.set_num_threads(threads)  # what a new thread starts with was set above as well
