"""Run a probe in a child process: source in, its JSON lines out, whatever happens to the child.

A library that crashes, hangs or prints on import must not take this process with it. A probe
writes one JSON object a line as it goes; a crash keeps the lines before it. Other output is noise.
The last line of every probe is ``{"stage": "end"}``: a library may end the process as if all were
well.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

# Python puts the working folder first for -c, where a stray torch.py would shadow the package;
# -P would do, but Python 3.10 does not know it.
_PRELUDE = "import sys\nif sys.path and sys.path[0] == '':\n    del sys.path[0]\n"
_KEPT_CHARACTERS = 4000
_OUTPUT_BYTES = 8 << 20  # a library that prints without end must not fill the disk
_LOOK_SECONDS = 0.1


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """``lines`` are the objects the probe wrote; ``problem`` says how it ended, None when well."""

    lines: tuple[dict[str, Any], ...]
    problem: str | None
    seconds: float


def run_probe(
    source: str,
    *,
    timeout_seconds: float,
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> ProbeResult:
    """Run Python ``source`` in a child of the same interpreter, at most so long.

    ``environment`` adds to this process's own.
    """
    program = f"{_PRELUDE}exec(compile({source!r}, '<probe>', 'exec'))"
    begin = time.monotonic()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            child = subprocess.Popen(  # noqa: S603  # our own interpreter and our own source
                [sys.executable, "-c", program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
                start_new_session=True,  # so that its own children end with it
            )
        except OSError as error:
            return ProbeResult((), f"could not be started: {error}", time.monotonic() - begin)
        try:
            code, problem = _watch(child, (out, err), begin + timeout_seconds)
        finally:
            _end(child)
        if problem is None and code is None:
            problem = f"did not finish within {timeout_seconds:g} s"
        lines = tuple(_objects(out))
        if problem is None and code is not None:
            problem = _how_it_ended(code, _tail(err))
        if problem is None and not any(line.get("stage") == "end" for line in lines):
            problem = "the process ended in the middle, without an error"
    return ProbeResult(lines, problem, time.monotonic() - begin)


def _watch(
    child: subprocess.Popen[bytes], streams: tuple[IO[bytes], ...], deadline: float
) -> tuple[int | None, str | None]:
    """Exit code, None where time ran out; and what else was wrong."""
    while (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return child.wait(min(left, _LOOK_SECONDS)), None
        if any(os.fstat(stream.fileno()).st_size > _OUTPUT_BYTES for stream in streams):
            return None, f"printed more than {_OUTPUT_BYTES >> 20} MiB"
    return None, None


def _end(child: subprocess.Popen[bytes]) -> None:
    """End the child and all it started; a no-op when it is gone."""
    with contextlib.suppress(OSError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _how_it_ended(code: int, errors: str) -> str | None:
    if code == 0:
        return None
    if code < 0:
        with contextlib.suppress(ValueError):
            return f"ended by {signal.Signals(-code).name}"
        return f"ended by signal {-code}"
    last = [line for line in errors.splitlines() if line.strip()][-1:]
    return last[0].strip()[:300] if last else f"ended with exit code {code}"


def _tail(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _KEPT_CHARACTERS))
    return stream.read().decode("utf-8", errors="replace")


def _objects(stream: IO[bytes]) -> list[dict[str, Any]]:
    stream.seek(0)
    found = []
    for line in stream.read(_OUTPUT_BYTES).decode("utf-8", errors="replace").splitlines():
        if not line.startswith("{"):
            continue
        with contextlib.suppress(ValueError, RecursionError):
            found.append(json.loads(line))
    return found
