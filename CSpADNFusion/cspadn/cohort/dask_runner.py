"""Run pairs on the workers of a Dask cluster, which may die."""

from __future__ import annotations

import logging
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from typing import TYPE_CHECKING

from cspadn import __version__
from cspadn.cohort.engine import Job, Outcome, failed, fuse_pair
from cspadn.cohort.failures import record_failure
from cspadn.cohort.pairs import Pair
from cspadn.errors import FusionError, UsageError
from cspadn.io.atomic_output import private_folder
from cspadn.messages import message
from cspadn.runtime.allocator import keep_freed_memory
from cspadn.runtime.garbage import collect_rarely
from cspadn.runtime.memory import free_main_memory
from cspadn.runtime.processes import safe_processes, safe_variables
from cspadn.runtime.terminal import explained

if TYPE_CHECKING:
    from distributed import Client, Future

Task = Callable[[Pair, Job], Outcome]
_MEMORY = 1_500_000_000  # bytes that a worker needs for the volumes of a head
_CONNECT_SECONDS, _START_SECONDS = 10, 40  # seconds for a scheduler to answer, and for its first worker to connect
_LOST_SECONDS = 300  # seconds without any worker
_LOOK_SECONDS = 1.0  # seconds between two checks for new or lost workers
_LIBRARIES = ("asyncio", "distributed", "tornado")  # names of their loggers
_LOCAL = {
    "distributed.scheduler.allowed-failures": 2,  # a pair fails after three workers died with it
    "distributed.worker.daemon": True,
    "distributed.comm.timeouts.connect": f"{_CONNECT_SECONDS}s",
    "distributed.admin.tick.limit": "1h",  # no warning when computing blocks the interpreter
    "distributed.scheduler.http.routes": [],  # pages that anybody on this computer could open
    "distributed.worker.http.routes": [],
}


def workers_here(device: str) -> int:
    """Return the number of workers that processors and memory of this computer permit; one for a graphics card."""
    from cspadn.runtime.device import resolve_device

    if resolve_device(device).type != "cpu":
        return 1
    free = free_main_memory()
    return max(1, min(_processors(), _processors() if free is None else free // _MEMORY))


def _processors() -> int:
    """Return the number of processors that this process or its container may use."""
    from dask.system import CPU_COUNT

    return int(CPU_COUNT)


@contextmanager
def dask_runner(address: str | None, workers: int | None, device: str) -> Iterator[DaskRunner]:
    """Return a runner on the scheduler at an address, or on a new cluster on this computer, which ends with the context.

    Args:
        address: of the scheduler; None for a new cluster.
        workers: of a new cluster; None: :func:`workers_here`. They share the processors.
        device: of the settings.

    Raises:
        UsageError: no scheduler answers, it has no worker, or a worker has another version of this package.
    """
    with connected(address, workers, device) as client:
        yield DaskRunner(client)


@contextmanager
def connected(address: str | None, workers: int | None, device: str) -> Iterator[Client]:
    """Return a client of the cluster, as :func:`dask_runner`."""
    import dask
    import distributed  # noqa: F401  its settings must be known before some are changed for a time

    with (
        silent_libraries(),
        dask.config.set({} if address else _LOCAL),
        _client_of(address) if address else _client_here(workers or workers_here(device)) as client,
    ):
        _check_workers(client, address)
        yield client


@contextmanager
def silent_libraries() -> Iterator[None]:
    """Keep Dask and its libraries from writing to the terminal in this context.

    They report lost workers, interrupts and their own errors with tracebacks. Outcomes and errors of this package say the same
    in a sentence.
    """
    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in _LIBRARIES]
    with ExitStack() as after:
        for logger in map(logging.getLogger, {*names, *_LIBRARIES}):
            after.callback(logger.setLevel, logger.level)
            logger.setLevel(logging.CRITICAL)
        yield


@contextmanager
def _client_here(workers: int) -> Iterator[Client]:
    """Start a cluster on the loopback interface with its own TLS key, since anyone who can connect can run code in it.

    Scheduler and workers import from their folder, and wait for a lock in it. It is therefore a folder that other users cannot
    enter.
    """
    import dask
    from distributed import Client, LocalCluster

    threads = str(max(1, _processors() // workers))
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
    with (
        private_folder("cspadn-cohort-") as folder,
        safe_processes(folder),
        dask.config.set({"temporary-directory": str(folder)}),  # of the scheduler, which knows no other way
    ):
        with _no_interrupts():
            cluster = LocalCluster(
                n_workers=workers,
                threads_per_worker=1,
                host="127.0.0.1",
                security=True,
                dashboard_address="127.0.0.1:0",
                memory_limit=None,  # cspadn asks by itself for the memory it needs
                silence_logs="CRITICAL",
                env={**dict.fromkeys(names, threads), **safe_variables()},
                local_directory=str(folder),
            )
        with cluster, Client(cluster) as client:
            yield client


@contextmanager
def _no_interrupts() -> Iterator[None]:
    """Block Ctrl-C in threads and processes that start in this context: only the main process should handle it."""
    if sys.platform == "win32":
        yield
        return
    resource_tracker.ensure_running()  # it unblocks interrupts when it starts
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _client_of(address: str) -> Iterator[Client]:
    from distributed import Client

    try:
        client = Client(address, timeout=_CONNECT_SECONDS)
    except (OSError, TimeoutError, ValueError):
        raise UsageError(message("scheduler-unreachable", address=address)) from None
    with client:
        yield client


def _check_workers(client: Client, address: str | None) -> None:
    """Check the versions of workers and scheduler: submitted objects pass through the scheduler, which must know them."""
    try:
        client.wait_for_workers(1, timeout=_START_SECONDS)
    except TimeoutError:
        raise UsageError(message("scheduler-without-workers", address=address)) from None
    try:
        versions = {client.submit(_version, pure=False).result(_START_SECONDS), *client.run(_version).values()}
    except Exception:  # many kinds of errors, which wrap each other
        raise UsageError(message("cluster-packages-differ")) from None
    if other := versions - {__version__}:
        raise UsageError(message("worker-versions-differ", other=min(other), own=__version__))


def _version() -> str:
    return __version__


class DaskRunner:
    """Fuses pairs on the workers of a cluster.

    The workers have at most one pair per thread, so that no waiting pair is blamed for another pair that kills the worker. A
    pair whose worker dies is started again elsewhere, as often as ``distributed.scheduler.allowed-failures`` permits.
    """

    def __init__(self, client: Client) -> None:
        self._client = client

    def outcomes(self, pairs: Sequence[Pair], job: Job, task: Task = fuse_pair) -> Iterator[Outcome]:
        """Fuse pairs, or do another task with them, and yield the outcomes as they end.

        Raises:
            UsageError: the scheduler is gone, or has had no worker for long.
        """
        waiting, running = deque(enumerate(pairs)), _Running(self._client, job, task)
        alive = time.monotonic()
        while waiting or running.futures:
            threads = _threads_of(self._client)
            while waiting and len(running.futures) < threads:
                running.submit(*waiting.popleft())
            if not threads:
                time.sleep(_LOOK_SECONDS)
            yield from running.ended()
            alive = time.monotonic() if threads else alive
            if time.monotonic() - alive > _LOST_SECONDS:
                raise UsageError(message("workers-gone", seconds=_LOST_SECONDS))


def _work(task: Task, pair: Pair, job: Job) -> Outcome:
    collect_rarely()
    keep_freed_memory()  # Dask lets its workers return freed memory at once, which makes computing much slower
    return task(pair, job)


def _threads_of(client: Client) -> int:
    try:
        return sum(client.nthreads().values())
    except (OSError, TimeoutError):
        raise UsageError(message("scheduler-gone")) from None


class _Running:
    """The pairs that are with the workers."""

    def __init__(self, client: Client, job: Job, task: Task) -> None:
        self.futures: dict[Future, Pair] = {}
        self._client, self._job, self._task = client, job, task

    def submit(self, number: int, pair: Pair) -> None:
        key = f"cspadn-{self._task.__name__}-{self._job.run}-{number}"
        self.futures[self._client.submit(_work, self._task, pair, self._job, key=key, pure=False)] = pair

    def ended(self) -> Iterator[Outcome]:
        """Yield the outcomes of pairs that have ended, after :data:`_LOOK_SECONDS` at the latest."""
        from distributed import wait

        if not self.futures:
            return
        try:
            futures = wait(list(self.futures), timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED").done
        except TimeoutError:
            return
        except CancelledError:
            _threads_of(self._client)  # if the scheduler is gone, that is what the user should read
            futures = {future for future in self.futures if future.done()}
        for future in futures:
            yield self._outcome(future, self.futures.pop(future))

    def _outcome(self, future: Future, pair: Pair) -> Outcome:
        """Return the outcome of a pair, also if its worker died."""
        if future.status == "finished":
            outcome: Outcome = future.result()
            return outcome
        outcome = failed(pair, _why(future), (pair.pet, pair.mri))
        if self._task is fuse_pair:
            record_failure(self._job.layout.files(pair).log, outcome)
        return outcome


def _why(future: Future) -> FusionError:
    from distributed import KilledWorker

    if future.status == "cancelled":
        return FusionError(message("pair-lost"))
    error = future.exception()
    if isinstance(error, KilledWorker):
        return FusionError(message("worker-died", times=error.allowed_failures + 1))
    return explained(error)
