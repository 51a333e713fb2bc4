"""How much of a step is ethtune's own: a profile of every call in, shares of a step out.

Counted is what the training's thread does in ethtune's own functions, and in whatever they call
that is no part of the training libraries (the event log's writes, psutil, Rich, the guard's read of
the losses), and what the screen's thread does in refreshing. Not counted is what any trainer has
to do and ethtune does its own way: the loss and laying rows end to end; the latter is told apart.
A profile makes Python slower and products of matrices not: the share is an upper bound.
"""

from __future__ import annotations

import cProfile
import fcntl
import json
import os
import pstats
import pty
import struct
import sys
import termios
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import transformers.trainer
from transformers import TrainerCallback

WARMUP_STEPS = 1
_OURS = f"{os.sep}ethtune{os.sep}"
_BENCHMARK = str(Path(__file__).resolve().parent)
_WORK = ("model/loss.py", "model/frozenhead.py")
_ROWS = ("model/batches.py",)
_LIBRARIES = tuple(
    f"{os.sep}{name}{os.sep}"
    for name in ("torch", "transformers", "trl", "peft", "accelerate", "bitsandbytes", "datasets")
)
_COLUMNS, _LINES = 120, 40


def profile(output: Path) -> None:
    """Profile the next training of this process, with a terminal on stderr for its live view."""
    drawn = _Drawn()
    _open_terminal()
    calls = cProfile.Profile()
    started: list[float] = []

    class Profiler(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if state.global_step == WARMUP_STEPS:
                drawn.seconds, drawn.frames = 0.0, 0
                started.append(time.perf_counter())
                calls.enable()

            elif state.global_step == state.max_steps:  # what ends a run is no part of a step
                calls.disable()
                seconds = time.perf_counter() - started[0]
                steps = state.global_step - WARMUP_STEPS
                found = shares(pstats.Stats(calls), seconds, drawn) | {"steps": steps}
                path = output.with_suffix(".overhead.json")
                path.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")

    transformers.trainer.DEFAULT_CALLBACKS.append(Profiler)


class _Drawn:
    """CPU time of the thread that draws, which is not the training's."""

    def __init__(self) -> None:
        self.seconds, self.frames = 0.0, 0
        from rich.live import Live

        refresh = Live.refresh

        def timed(live: Any) -> None:
            before = time.thread_time()
            refresh(live)
            self.seconds += time.thread_time() - before
            self.frames += 1

        Live.refresh = timed  # type: ignore[method-assign]


def _open_terminal() -> None:
    """Make stderr a terminal; what is written on it goes where stderr went before."""
    reading, writing = pty.openpty()
    before = os.dup(2)
    fcntl.ioctl(writing, termios.TIOCSWINSZ, struct.pack("HHHH", _LINES, _COLUMNS, 0, 0))
    os.dup2(writing, 2)
    sys.stderr = open(2, "w", buffering=1, encoding="utf-8", closefd=False)  # noqa: SIM115
    os.environ["TERM"] = "xterm-256color"

    def drain() -> None:
        while written := os.read(reading, 65536):
            os.write(before, written)

    threading.Thread(target=drain, daemon=True).start()


def shares(stats: pstats.Stats, seconds: float, drawn: _Drawn) -> dict[str, Any]:
    """Of ``seconds`` of training: what is ours, by function, and what the screen takes."""
    own: dict[str, float] = {}
    rows = 0.0
    for file, name, taken in _taken(stats):
        if file.endswith(_ROWS):
            rows += taken
        elif not file.endswith(_WORK):
            key = f"{file.rpartition(_OURS)[2]}:{name}"
            own[key] = own.get(key, 0.0) + taken
    first = sorted(own.items(), key=lambda item: -item[1])[:12]
    return {
        "seconds": seconds,
        "own_share": sum(own.values()) / seconds,
        "screen_share": drawn.seconds / seconds,
        "frames": drawn.frames,
        "rows_share": rows / seconds,
        "largest_seconds": dict(first),
    }


def _taken(stats: pstats.Stats) -> Iterator[tuple[str, str, float]]:
    """Functions of ours, with seconds in them or in what is neither ours nor a library's."""
    for (file, _, name), (_, _, inner, _, callers) in stats.stats.items():  # type: ignore[attr-defined]
        if _is_ours(file):
            yield file, name, inner
        elif not any(part in file for part in _LIBRARIES):
            for (by, _, caller), (_, _, _, whole) in callers.items():
                if _is_ours(by):
                    yield by, caller, whole


def _is_ours(file: str) -> bool:
    return _OURS in file and not file.startswith(_BENCHMARK)
