"""Items in, results out in the order of arrival, worked on by a few threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from queue import SimpleQueue
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

_PARTING_SECONDS = 0.5  # for work in hand, before its connections are closed


class Stopped(Exception):
    """Others failed or the user left: this thread's work is no longer wanted."""


class Crew:
    """Threads that end with the first error, when they are dismissed, or with the process."""

    def __init__(self, num_threads: int) -> None:
        self._num_threads = num_threads
        self._stopped = threading.Event()
        self._threads: list[threading.Thread] = []

    def arriving(self, work: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """Yield ``work(item)`` for every item, whichever is ready first.

        After an error the results of work in hand are still yielded, then the first error is
        raised.
        """
        results: SimpleQueue[tuple[B] | BaseException | None] = SimpleQueue()
        source, lock = ((item,) for item in items), threading.Lock()

        def next_item() -> tuple[A] | None:
            with lock:
                return None if self._stopped.is_set() else next(source, None)

        def run() -> None:
            """One thread's life: its last result is None, or what it failed with."""
            try:
                while (item := next_item()) is not None:
                    results.put((work(*item),))
                results.put(None)
            except Stopped:
                results.put(None)
            except BaseException as error:  # noqa: BLE001  # raised again by the reader
                self._stopped.set()
                results.put(error)

        self._threads = [
            threading.Thread(target=run, daemon=True) for _ in range(self._num_threads)
        ]
        for thread in self._threads:
            thread.start()
        return _read(results, self._num_threads)

    def rest(self, seconds: float) -> None:
        """Sleep in one of the threads. Raises Stopped when work is no longer wanted."""
        if self._stopped.wait(seconds):
            raise Stopped

    def dismiss(self) -> None:
        """No more work; what is in hand may take a moment longer."""
        self._stopped.set()
        deadline = time.monotonic() + _PARTING_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))


def _read(results: SimpleQueue[tuple[B] | BaseException | None], num_running: int) -> Iterator[B]:
    failure: BaseException | None = None
    while num_running:
        result = results.get()
        if isinstance(result, tuple):
            yield result[0]
        else:
            num_running -= 1
            failure = failure or result
    if failure is not None:
        raise failure
