"""How long an estimate takes as its user waits for it: commands in, seconds of CPU and wall out.

    python benchmarks/estimate/startup.py [COMMAND ...]

Each command runs several times; the first, which may compile bytecode, does not count. Without
arguments it is ``ethtune estimate`` beside an interpreter that does nothing. CPU time is the figure
to compare where other work runs on the machine.
"""

from __future__ import annotations

import os
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

_RUNS = 7
_DEFAULT = (
    f"{shlex.quote(sys.executable)} -c pass",
    f"{shlex.quote(sys.executable)} -m ethtune estimate --profile 12gb --gpu 'RTX 3060'",
)


def measure(command: str, bytecode: str) -> tuple[float, float]:
    """Medians of CPU and wall seconds."""
    environment = os.environ | {"PYTHONPYCACHEPREFIX": bytecode}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    cpu, wall = [], []
    for _ in range(_RUNS + 1):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(shlex.split(command), env=environment, capture_output=True, check=False)
        wall.append(time.perf_counter() - started)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return statistics.median(cpu[1:]), statistics.median(wall[1:])


def main() -> None:
    """Print a line for each command."""
    with tempfile.TemporaryDirectory() as bytecode:
        for command in sys.argv[1:] or _DEFAULT:
            cpu, wall = measure(command, bytecode)
            print(f"{cpu:6.3f} s CPU {wall:6.3f} s wall  {command}", flush=True)


if __name__ == "__main__":
    main()
