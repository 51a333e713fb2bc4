"""Run a probe in a child process: source in, its JSON lines out, whatever happens to the child.

A library that crashes, hangs or prints on import must not take this process with it. A probe
writes one JSON object a line as it goes; a crash keeps the lines before it. Other output is noise.
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
            code = child.wait(timeout_seconds)
            problem = _how_it_ended(code, _tail(err))
        except subprocess.TimeoutExpired:
            problem = f"did not finish within {timeout_seconds:g} s"
        finally:
            _end(child)
        lines = tuple(_objects(out))
    return ProbeResult(lines, problem, time.monotonic() - begin)


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
    return last[0].strip() if last else f"ended with exit code {code}"


def _tail(stream: IO[bytes]) -> str:
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - _KEPT_CHARACTERS))
    return stream.read().decode("utf-8", errors="replace")


def _objects(stream: IO[bytes]) -> list[dict[str, Any]]:
    stream.seek(0)
    found = []
    for line in stream.read().decode("utf-8", errors="replace").splitlines():
        if not line.startswith("{"):
            continue
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found
