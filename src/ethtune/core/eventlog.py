"""events.jsonl: one writer appends whole lines, any number of readers follow.

A line is ``{"v":1,"seq":7,"time":1700000000.1,"kind":"step",...}``. Each is one ``write`` on an
O_APPEND descriptor, so a reader sees whole lines or a torn last one, which it keeps for its next
poll. The writer never raises: a full disk must not end a training.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from ethtune.core.events import (
    CheckpointSaved,
    Event,
    MemoryAdjusted,
    Message,
    Progress,
    RunEnded,
    RunStarted,
    event_fields,
    event_from_fields,
)

VERSION = 1
_DURABLE = (RunStarted, CheckpointSaved, MemoryAdjusted, Message, RunEnded)
_READ_BYTES = 1 << 20
_LINE_BYTES_MAX = 4 << 20  # far more than any event


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """An event with its place in the log; ``time`` in seconds since 1970."""

    seq: int
    time: float
    event: Event


class EventWriter:
    """Appends events; continues the numbering of an existing log and cuts a torn last line."""

    def __init__(self, path: Path) -> None:
        self._seq = _repair(path)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._is_torn = False
        self.lost = 0  # events that a failing disk refused

    def emit(self, event: Event) -> None:
        """Write one event. Progress is for live views only and is not kept."""
        if isinstance(event, Progress):
            return
        self._seq += 1
        envelope = {"v": VERSION, "seq": self._seq, "time": round(time.time(), 3)}
        row = envelope | {"kind": event.kind} | event_fields(event)
        line = json.dumps(row, separators=(",", ":"), ensure_ascii=False, allow_nan=False) + "\n"
        if self._is_torn:  # a full disk took half of the line before
            line = "\n" + line
        # file names may hold lone surrogates; their backslash form is what JSON writes too
        content = line.encode(errors="backslashreplace")
        try:
            written = os.write(self._descriptor, content)
            self._is_torn = written < len(content)
            self.lost += self._is_torn
            if isinstance(event, _DURABLE):
                os.fsync(self._descriptor)
        except OSError:
            self.lost += 1

    def close(self) -> None:
        """Further events are lost."""
        os.close(self._descriptor)
        self._descriptor = -1  # the number may soon be another file's


class EventReader:
    """Follows a log from its beginning; ``poll`` returns what is new.

    Memory stays small however large the log, or a line of garbage in it, is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0  # behind the last whole line: a torn one may yet be cut and rewritten
        self._inode: int | None = None
        self._is_overlong = False  # what stands at the offset goes on a line that is no event
        self.restarts = 0  # how often another or a shrunk file began anew: forget what it said
        self.skipped = 0  # lines that were no events of a known version
        self.unread_share = 0.0  # of the log, behind the event that was returned last

    def poll(self) -> Iterator[LoggedEvent]:
        """New events since the last poll. A missing file has none; a shrunk one starts over.

        Who leaves off early gets the rest from the next poll.
        """
        try:
            handle = self._path.open("rb")
        except OSError:
            return
        with handle:
            status = os.fstat(handle.fileno())
            if status.st_ino != self._inode or status.st_size < self._offset:
                self._offset, self._inode, self._is_overlong = 0, status.st_ino, False
                self.restarts += 1
            for line in self._lines(handle):
                self.unread_share = max(1 - self._offset / max(status.st_size, 1), 0.0)
                logged = _parse(line)
                if logged is not None:
                    yield logged
                else:
                    self.skipped += 1
            self.unread_share = 0.0

    def _lines(self, handle: BinaryIO) -> Iterator[bytes]:
        handle.seek(self._offset)
        tail = b""
        while chunk := handle.read(_READ_BYTES):
            *lines, tail = (tail + chunk).split(b"\n")
            for line in lines:
                self._offset += len(line) + 1
                is_whole, self._is_overlong = not self._is_overlong, False
                yield line if is_whole else b""
            if len(tail) > _LINE_BYTES_MAX:
                self._offset += len(tail)
                tail, self._is_overlong = b"", True


def _parse(line: bytes) -> LoggedEvent | None:
    try:
        row = json.loads(line)
        event = event_from_fields(row.pop("kind"), row)
        logged = LoggedEvent(int(row["seq"]), float(row["time"]), event) if event else None
        return logged if logged and math.isfinite(logged.time) else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError):
        return None


def _repair(path: Path) -> int:
    """Cut a torn last line; return the last sequence number, 0 for a new log."""
    try:
        with path.open("r+b") as handle:
            size, num_bytes = handle.seek(0, os.SEEK_END), _READ_BYTES
            while True:  # the end of a long log is enough, once there is an event in it
                start = handle.seek(max(size - num_bytes, 0))
                lines = handle.read().split(b"\n")
                found = filter(None, map(_parse, reversed(lines[bool(start) : -1])))
                last = next(found, None)
                if last is not None or start == 0:
                    break
                num_bytes *= 4
            handle.truncate(size - len(lines[-1]))
    except FileNotFoundError:
        return 0
    return last.seq if last else 0
