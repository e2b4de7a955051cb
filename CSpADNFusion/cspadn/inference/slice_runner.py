"""Run slices through a network: several threads on a CPU, batches on a GPU, within the memory there is."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

import numpy as np
from numpy.typing import NDArray

from cspadn.errors import MemoryExhaustedError, ModelError
from cspadn.imaging.windowing import from_network_range, to_network_range
from cspadn.messages import Sentence, message
from cspadn.runtime.device import empty_cache, free_memory
from cspadn.runtime.memory import is_out_of_memory

if TYPE_CHECKING:
    import torch
    from torch import nn

# Memory of one slice while it is fused: on a CPU, measured and rounded up; on a GPU, where a layer computes all rows at once,
# from the sizes of its maps.
_CPU_BYTES_PER_PIXEL, _GPU_BYTES_PER_PIXEL = 1000, 2500
_SHARE = 0.5  # largest share of the free memory that slices take
_LARGEST_BATCH = 32  # slices; a GPU gains nothing from more
_MOST_UNKNOWN = 4  # slices at a time if the free memory is unknown

T = TypeVar("T")
R = TypeVar("R")


class SliceFuser:
    """Fuse slices with a network on a device.

    If the memory runs out, it halves the batches, then moves to the CPU, and adds a warning.

    Args:
        make: creates the network, in single precision; see :func:`cspadn.inference.fast_network.ready_to_fuse`.
        device: device to start on.
        pixels: pixels of a slice.
        half: whether to compute in half precision on a GPU; a CPU always computes in single precision.

    Attributes:
        device: current device.
        precision: type of the numbers in the network.
        batch: slices per batch.
        workers: batches that are computed at the same time.
        warnings: sentences for the user.
    """

    def __init__(self, make: Callable[[], nn.Module], device: torch.device, pixels: int = 1, *, half: bool = False) -> None:
        self._make, self._pixels, self._half, self.warnings = make, pixels, half, list[Sentence]()
        if half and device.type == "cpu":
            self.warnings.append(message("half-precision-ignored"))
        self._move(device)

    def _move(self, device: torch.device) -> None:
        import torch

        on_cpu = device.type == "cpu"
        self.device, self.precision = device, torch.float16 if self._half and not on_cpu else torch.float32
        room = self._room(_CPU_BYTES_PER_PIXEL if on_cpu else _GPU_BYTES_PER_PIXEL)
        # On a CPU, each thread has its own slice: no thread waits for others after a layer.
        self.batch, self.workers = (1, min(room, _torch_threads())) if on_cpu else (min(room, _LARGEST_BATCH), 1)
        self._load()

    def _room(self, bytes_per_pixel: int) -> int:
        """Return how many slices fit into the free memory."""
        free = free_memory(self.device)
        return _MOST_UNKNOWN if free is None else max(1, int(_SHARE * free / (bytes_per_pixel * self._pixels)))

    def _load(self) -> None:
        """Create the network anew, which frees the memory that the former one kept."""
        from torch import nn

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
            self._retreat()  # outside of the handler: the error would keep intermediate results alive

    def in_order(self, work: Callable[[T], R], items: Iterable[T], count: int) -> Iterator[tuple[T, R]]:
        """Yield each item with the result of ``work``, in order.

        ``work`` runs in threads, for several items at the same time. The calling thread meanwhile takes the next item; with a
        single item, it also does the work. If there is not enough memory for several items, the rest is done one at a time.
        While several items are computed, torch uses one thread in each new thread.

        Args:
            work: processes an item; it calls this object.
            items: the items, taken in the calling thread.
            count: number of items.

        Raises:
            Exception: any error of ``work`` or ``items``.
        """
        items, left = iter(items), list[T]()
        if count == 1:  # with all threads of torch
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
        """Work in ``count`` threads; if the memory does not suffice, put the unfinished items into ``left`` and stop."""
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

    def _run(self, sources: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        with torch.inference_mode():
            given = torch.from_numpy(sources)
            if self.device.type == "cuda":
                given = given.pin_memory()
            fused = self.network(to_network_range(given.to(self.device, non_blocking=True)))
            if not fused.isfinite().all():
                raise ModelError(message("model-without-numbers"))
            unit: NDArray[np.float32] = from_network_range(fused)[:, 0].clamp(0, 1).cpu().numpy()
            return unit

    def _retreat(self) -> None:
        import torch

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
    """Wait for the first pending item and remove it; if its work failed, raise the error and keep it."""
    item, future = pending[0]
    result = future.result()
    pending.popleft()
    return item, result


# torch.set_num_threads sets the number for the calling thread and for all threads that start later. The number from before is
# kept while pools exist.
_lock, _pools, _remembered = threading.Lock(), 0, 0


def _torch_threads() -> int:
    """Return how many threads torch uses when no pool limits it."""
    import torch

    with _lock:
        return _remembered if _pools else torch.get_num_threads()


@contextmanager
def _threads(count: int) -> Iterator[ThreadPoolExecutor]:
    """Open a pool whose threads compute without further threads of torch."""
    import torch

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
