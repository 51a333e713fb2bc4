"""Items in, results out in the order of arrival, worked on by a few threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import Generic, TypeVar

A = TypeVar("A")
B = TypeVar("B")


class Stopped(Exception):
    """Others failed or the user left: this thread's work is no longer wanted."""


class _Pool(Generic[A, B]):
    def __init__(
        self, work: Callable[[A], B], items: Iterable[A], stopped: threading.Event
    ) -> None:
        self.results: SimpleQueue[tuple[B] | BaseException | None] = SimpleQueue()
        self._work, self._items, self._stopped = work, iter(items), stopped
        self._lock = threading.Lock()

    def run(self) -> None:
        """One thread's life: its last result is None, or what it failed with."""
        try:
            while not self._stopped.is_set():
                with self._lock:
                    item = next(self._items, self)
                if item is self:
                    break
                self.results.put((self._work(item),))  # type: ignore[arg-type]  # self marks the end
            self.results.put(None)
        except Stopped:
            self.results.put(None)
        except BaseException as error:  # noqa: BLE001  # raised again by the reader
            self._stopped.set()
            self.results.put(error)


def arriving(
    work: Callable[[A], B], items: Iterable[A], *, num_threads: int, stopped: threading.Event
) -> Iterator[B]:
    """Yield ``work(item)`` for every item, whichever is ready first.

    After an error the results of work in hand are still yielded, then the first error is raised.
    ``stopped`` is set by an error or when the reader leaves early; threads do not outlive the
    process.
    """
    pool = _Pool(work, items, stopped)
    for _ in range(num_threads):
        threading.Thread(target=pool.run, daemon=True).start()
    failure: BaseException | None = None
    num_running = num_threads
    try:
        while num_running:
            result = pool.results.get()
            if isinstance(result, tuple):
                yield result[0]
                continue
            num_running -= 1
            failure = failure or result
    except BaseException:
        stopped.set()
        raise
    if failure is not None:
        raise failure
