"""What a user types after a crash, as one command: ``python go_on.py RUN TRAIN-COMMAND...``.

A folder without a manifest.json is no run yet: train. Every other is resumed. That a run has
nothing left to do is an error of ``ethtune resume``, but what an interrupted user wants to hear.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tiny import ETHTUNE

NOTHING_LEFT = 6


def main(run: Path, train: list[str]) -> int:
    """The exit code; all that was said goes to stderr."""
    is_run = (run / "manifest.json").is_file()
    line = [*ETHTUNE, "resume", str(run)] if is_run else train
    ended = subprocess.run(line, stderr=subprocess.PIPE, text=True, check=False)
    sys.stderr.write(ended.stderr)
    is_over = ended.returncode == NOTHING_LEFT and "nothing is left to do" in ended.stderr
    return 0 if is_over else ended.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
