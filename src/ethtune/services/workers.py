"""Items in, what is made of each out, in the same order; by other processes when there are many.

    items ──chunk──▶ worker 1 ┐
          ──chunk──▶ worker 2 ├──▶ results, in turn
          ──chunk──▶ worker 1 ┘

A worker has one chunk in hand and sends its results before it gets the next, so that neither side
ever waits for the other to read. Results do not depend on how many workers there are. A worker
whose pipe closes ends, so none outlives the process that started it.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from multiprocessing.connection import Connection
from typing import Generic, TypeVar

from ethtune.core.errors import MachineError

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK_ITEMS = 250
ALONE_ITEMS = 2_000  # starting workers takes about as long as making these
WORKERS_MAX = 8  # of an automatic choice: more would wait for the one process that hands out
_JOIN_SECONDS = 5


def available_workers() -> int:
    """One for each core that this process may use, up to ``WORKERS_MAX``."""
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    return min(cores, WORKERS_MAX)


def in_order(
    items: Iterable[Item],
    make: Callable[[Item], Result],
    *,
    workers: int = 1,
    name: Callable[[Item], str] = str,
) -> Generator[tuple[Item, Result], None, None]:
    """Each item with what ``make`` makes of it; ``name`` tells the user which item it is.

    With several workers ``make``, items and results must pickle, and the first ``ALONE_ITEMS`` are
    made in this process. Raises MachineError when a worker is killed.
    """
    rest = iter(items)
    yield from ((item, make(item)) for item in islice(rest, ALONE_ITEMS if workers > 1 else None))
    busy: deque[_Worker[Item, Result]] = deque()
    with ExitStack() as stack:
        while chunk := list(islice(rest, CHUNK_ITEMS)):
            if len(busy) < workers:
                worker = stack.enter_context(_started(make, name))
                worker.give(chunk)
                busy.append(worker)
            else:
                worker = busy.popleft()
                done = worker.take()
                worker.give(chunk)
                busy.append(worker)
                yield from done
        for worker in busy:
            yield from worker.take()


class _Worker(Generic[Item, Result]):
    """This side of a worker."""

    def __init__(
        self,
        process: multiprocessing.process.BaseProcess,
        pipe: Connection,
        name: Callable[[Item], str],
    ) -> None:
        self._process = process
        self._pipe = pipe
        self._name = name
        self._chunk: Sequence[Item] = ()

    def give(self, chunk: Sequence[Item]) -> None:
        self._chunk = chunk
        try:
            self._pipe.send(chunk)
        except OSError:
            raise self._death() from None

    def take(self) -> Iterator[tuple[Item, Result]]:
        try:
            results: list[Result] = self._pipe.recv()
        except (EOFError, OSError):
            raise self._death() from None
        return zip(self._chunk, results, strict=True)

    def _death(self) -> Exception:
        self._process.join(_JOIN_SECONDS)
        code = self._process.exitcode
        rows = f"{self._name(self._chunk[0])} to {self._name(self._chunk[-1])}"
        if code is None or code >= 0:  # it said why on stderr
            return RuntimeError(f"a worker failed on the rows {rows}")
        return MachineError(
            f"a worker was killed by signal {-code} while it had the rows {rows}",
            hint="if memory ran out, --workers 1 needs the least",
        )


@contextmanager
def _started(
    make: Callable[[Item], Result], name: Callable[[Item], str]
) -> Iterator[_Worker[Item, Result]]:
    """A process that lives as long as the context; spawned, for other threads run here."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(theirs, make), daemon=True)
    try:
        with _sigint_held():
            process.start()
        theirs.close()  # or its death would not close the pipe
        yield _Worker(process, ours, name)
    finally:
        ours.close()
        if process.pid is not None:
            process.kill()
            process.join()


@contextmanager
def _sigint_held() -> Iterator[None]:
    """Ctrl-C goes to all processes of a terminal: those started in here never get it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(pipe: Connection, make: Callable[[Item], Result]) -> None:
    """What a worker does until its pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with suppress(EOFError, OSError):
        while True:
            pipe.send([make(item) for item in pipe.recv()])
