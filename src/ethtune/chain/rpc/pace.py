"""When the next request may go out: a rate that all threads share, and waits after failures."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime

_BACKOFF_MAX_SECONDS = 30.0


class Pacer:
    """Hands out times to go: never more than ``calls_per_second`` and one batch in any second."""

    def __init__(
        self,
        calls_per_second: float | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._seconds_per_call = 1 / calls_per_second if calls_per_second else 0.0
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._free_at = 0.0

    def take(self, num_calls: int) -> None:
        """Wait for the turn of a request with so many calls."""
        with self._lock:
            now = self._clock()
            start = max(now, self._free_at)
            self._free_at = start + num_calls * self._seconds_per_call
        if start > now:
            self._sleep(start - now)

    def pause(self, seconds: float) -> bool:
        """Nobody goes before so many seconds from now: the server has had enough of all of us.

        False when others have brought that about already, give or take a second.
        """
        with self._lock:
            until, held = self._clock() + seconds, self._free_at
            self._free_at = max(held, until)
        return until > held + 1


def backoff_seconds(num_failures: int, first_seconds: float) -> float:
    """Doubles with each failure; jittered, so that threads that fell together come back apart."""
    longest: float = min(first_seconds * 2 ** (num_failures - 1), _BACKOFF_MAX_SECONDS)
    return longest * random.uniform(0.5, 1.0)  # noqa: S311  # no secret hangs on it


def retry_after_seconds(header: str | None) -> float | None:
    """Seconds of a Retry-After header, which holds a number or a date; None when it says neither.

    >>> retry_after_seconds("2"), retry_after_seconds("soon")
    (2.0, None)
    """
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return float(header)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=timezone.utc)
    return max(0.0, (moment - datetime.now(timezone.utc)).total_seconds())
