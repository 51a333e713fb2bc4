"""Runs as lines, for a stream that is no terminal: a file, a pipe, a CI job. Words, or JSON."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from ethtune.core.diagnosis import Diagnosis, Kind
from ethtune.core.logline import LineLog
from ethtune.services.monitoring import Watch
from ethtune.services.snapshot import Snapshot
from ethtune.ui.terminal import clean


def plain_lines(stream: TextIO) -> LineLog:
    """A sink that writes a line an event to ``stream``, at once."""
    return LineLog(_writer(stream))


def follow_lines(watch: Watch, stream: TextIO, *, interval: float) -> Sequence[Snapshot]:
    """Write what the runs say, from their first word, until nothing more will come.

    What ails a run gets a line when it begins. A stream that was closed raises BrokenPipeError.
    """
    lines: dict[Path, _Lines] = {}

    def of(path: Path) -> _Lines:
        if path not in lines:
            name = "" if watch.is_single else f"{path.resolve().name}: "
            lines[path] = _Lines(_writer(stream, name))
        return lines[path]

    while True:
        snapshots = watch.poll(lambda path, logged: of(path).log.take(logged))
        stream.flush()  # where nobody reads any more, this says so
        for snapshot in snapshots:
            of(snapshot.path).diagnosed(snapshot.diagnoses)
        if all(snapshot.is_over for snapshot in snapshots):
            return snapshots
        time.sleep(interval)


class _Lines:
    """Of one run."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._known: frozenset[Kind] = frozenset()
        self.log = LineLog(write)

    def diagnosed(self, diagnoses: Sequence[Diagnosis]) -> None:
        for found in diagnoses:
            if found.kind not in self._known:
                self._write(_diagnosis(found))
        self._known = frozenset(found.kind for found in diagnoses)


def follow_json(watch: Watch, stream: TextIO, *, interval: float) -> Sequence[Snapshot]:
    """Write a JSON line for each run at each look, until nothing more will come."""
    over: set[Path] = set()
    while True:
        snapshots = watch.poll()
        for snapshot in snapshots:
            if snapshot.path not in over:
                line = json.dumps(snapshot.as_dict(), separators=(",", ":"), ensure_ascii=True)
                stream.write(line + "\n")
        stream.flush()
        over = {snapshot.path for snapshot in snapshots if snapshot.is_over}
        if len(over) == len(snapshots):
            return snapshots
        time.sleep(interval)


def _diagnosis(found: Diagnosis) -> str:
    advice = f" {found.advice}" if found.advice else ""
    end = "" if found.evidence.endswith(".") or not advice else "."
    command = f": {found.command}" if found.command else ""
    return f"{found.level}: {found.title}: {found.evidence}{end}{advice}{command}\n"


def _writer(stream: TextIO, prefix: str = "") -> Callable[[str], None]:
    def write(line: str) -> None:
        encoding = stream.encoding or "utf-8"
        stream.write(clean(prefix + line).encode(encoding, "replace").decode(encoding))
        stream.flush()

    return write
