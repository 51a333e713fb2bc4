"""Runs as plain lines, for a stream that is no terminal: a file, a pipe, a CI job."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TextIO

from ethtune.core.logline import LineLog
from ethtune.services.monitoring import Snapshot, Watcher
from ethtune.ui.dashboard import verdict
from ethtune.ui.terminal import clean


def plain_lines(stream: TextIO) -> LineLog:
    """A sink that writes a line an event to ``stream``, at once."""
    return LineLog(_writer(stream))


def follow_lines(watchers: Sequence[Watcher], stream: TextIO, *, interval: float) -> list[Snapshot]:
    """Write what the runs say, from their first word, until nothing more will come.

    A run that falls silent gets a line that says so.
    """
    prefixes = [f"{w.name}: " if len(watchers) > 1 else "" for w in watchers]
    writers = [_writer(stream, prefix) for prefix in prefixes]
    logs = [LineLog(writer) for writer in writers]
    verdicts = [""] * len(watchers)
    while True:
        snapshots = []
        for i, watcher in enumerate(watchers):
            snapshot = watcher.poll()
            for logged in watcher.news:
                logs[i].take(logged)
            said = verdicts[i]
            verdicts[i] = "" if snapshot.is_well else snapshot.status
            if verdicts[i] != said and not snapshot.state.ended:
                for line in verdict(snapshot):
                    writers[i](line.plain + "\n")
            snapshots.append(snapshot)
        if all(snapshot.is_over for snapshot in snapshots):
            return snapshots
        time.sleep(interval)


def _writer(stream: TextIO, prefix: str = "") -> Callable[[str], None]:
    def write(line: str) -> None:
        encoding = stream.encoding or "utf-8"
        stream.write(clean(prefix + line).encode(encoding, "replace").decode(encoding))
        stream.flush()

    return write
