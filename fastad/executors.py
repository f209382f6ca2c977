"""executors.py - where chunks of sources are computed: threads of this process, an executor of the user's, Dask.

Owns: what an `executor` may be, how many chunks at a time, that all threads of a process are busy once, what is done
about workers that die.
Must not know: what a chunk computes (source_tasks.py), the order of sums (sum_over.py).
"""
from __future__ import annotations

import os
import pickle
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import Any

from fastad import _tape as T
from fastad.errors import WorkerError
from fastad.source_tasks import Chunk, Missing, Packer, compute, program_for, work

__all__ = ["runner_for"]

Answer = tuple[int, Any]                     # number of the chunk, its sum or Diverged


def runner_for(executor: Any) -> Any:
    """What runs chunks for what the user gave as executor."""
    if executor is None:
        return Threads()
    if isinstance(executor, futures.ThreadPoolExecutor):
        return Here(executor)
    if isinstance(executor, str):
        client = dask_client(executor)
        return OnDask(client, client.close)
    if hasattr(executor, "get_executor") and hasattr(executor, "scheduler_info"):
        return OnDask(executor)
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(f"sum_over: executor is a {type(executor).__name__}; None (threads), a concurrent.futures "
                        "executor, a dask.distributed Client or the address of its scheduler is meant")
    return Elsewhere(executor)


def dask_client(address: str) -> Any:
    """A client of the scheduler at an address."""
    try:
        from distributed import Client
    except ImportError as error:
        raise ImportError(f"sum_over: executor={address!r} is the address of a Dask scheduler, and Dask is not "
                          "installed (pip install 'fastad[dask]')") from error
    return Client(address, set_as_default=False)


class Threads:
    """Threads of our own, as many as `set_num_threads` says; with one, sweeps share their loops as always."""

    def __init__(self) -> None:
        self.pool: futures.ThreadPoolExecutor | None = None
        self.made = (0, 0)

    def close(self) -> None:
        pool, self.pool = self.pool, None
        if pool is not None:
            pool.shutdown(wait=False)

    def run(self, chunks: Sequence[Chunk]) -> Iterator[Answer]:
        n = min(T.get_num_threads(), len(chunks))
        if n < 2:
            return ((k, compute(chunk)) for k, chunk in enumerate(chunks))
        if self.pool is None or self.made != (n, os.getpid()):       # (threads do not survive a fork)
            self.close()
            self.pool, self.made = futures.ThreadPoolExecutor(n, "fastad-sum"), (n, os.getpid())
        return Here(self.pool).run(chunks)


class Here:
    """An executor of threads: nothing is packed."""

    def __init__(self, executor: Any):
        self.executor = executor

    def close(self) -> None:
        """The executor is the user's."""

    def run(self, chunks: Sequence[Chunk]) -> Iterator[Answer]:
        for chunk in chunks:
            for tape, _ in chunk.jobs:
                program_for(chunk.kind, tape)                        # compiled by one thread
        return finished({self.executor.submit(alone, chunk): k for k, chunk in enumerate(chunks)}, None)


def alone(chunk: Chunk) -> Any:
    """A chunk on this thread only: the others have chunks of their own."""
    before = T.work_alone(True)
    try:
        return compute(chunk)
    finally:
        T.work_alone(before)


class Elsewhere:
    """An executor of processes, on this machine or others; `close`, if it is ours."""

    def __init__(self, executor: Any, close: Callable[[], Any] | None = None):
        self.executor, self.packer = executor, Packer()
        self.close = weakref.finalize(self, close or int)

    def run(self, chunks: Sequence[Chunk]) -> Iterator[Answer]:
        params, directions = [self.shipped(pickle.dumps(x, protocol=5))
                              for x in (chunks[0].params, chunks[0].directions)]
        ready: dict[bytes, Any] = {}         # what is sent with several chunks is made ready once

        def sent(k: int, whole: bool = False) -> Any:
            parcel, contents = self.packer.parcel(chunks[k], whole)
            ready.update({token: self.shipped(data) for token, data in contents.items() if token not in ready})
            try:
                return self.executor.submit(work, parcel, params, directions, list(contents),
                                            [ready[token] for token in contents])
            except RuntimeError as error:    # broken, or shut down
                raise WorkerError(gone(error)) from error
        yield from finished({sent(k): k for k in range(len(chunks))}, sent)
        self.packer.delivered(ready, sum([len(chunk.jobs) for chunk in chunks]))

    def shipped(self, data: bytes) -> Any:
        """What stands for these bytes among the arguments of a task."""
        return data


class OnDask(Elsewhere):
    """A Dask cluster: large messages go to its workers, not through its scheduler."""

    LARGE = 2**18                            # bytes

    def __init__(self, client: Any, close: Callable[[], Any] | None = None):
        super().__init__(client.get_executor(pure=False), close)
        self.client = client

    def shipped(self, data: bytes) -> Any:
        return data if len(data) < self.LARGE else self.client.scatter(data, hash=False, broadcast=True)


def finished(pending: dict[Any, int], sent: Callable[..., Any] | None) -> Iterator[Answer]:
    """Answers as they come; what is not needed any more, after an error or Ctrl-C, is not begun."""
    try:
        while pending:
            done, _ = futures.wait(pending, return_when=futures.FIRST_COMPLETED)
            for future in done:
                k = pending.pop(future)
                answer = result_of(future)
                if isinstance(answer, Missing) and sent is not None:
                    pending[sent(k, True)] = k
                else:
                    yield k, answer
    finally:
        for future in pending:
            future.cancel()


def result_of(future: Any) -> Any:
    """The result, or what became of the worker in our own words: the sum is given up, never a part of it returned."""
    try:
        return future.result()
    except (futures.BrokenExecutor, futures.CancelledError) as error:
        raise WorkerError(gone(error)) from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] == "distributed":        # KilledWorker, cancelled futures
            raise WorkerError(gone(error)) from error
        raise


def gone(error: BaseException) -> str:
    return (f"sum_over: a worker died, or its executor was shut down, while sources were computed "
            f"({type(error).__name__}: {error}). There is no sum. Workers die for want of memory as a rule; a process "
            "pool that has lost one cannot go on: make a new executor and a new sum_over. Dask computes again "
            "elsewhere what a worker has not finished, three times by default.")

