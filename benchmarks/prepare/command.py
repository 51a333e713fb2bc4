"""What the benchmarks of ``ethtune prepare`` share: the command line and the lines of an export."""

from __future__ import annotations

import gzip
import os
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2] / "src")}
_ENTRY = "from ethtune.cli.app import main; main()"


def prepare_command(
    arguments: Namespace, export: Path, output: Path, workers: int, *more: str
) -> list[str]:
    """The command as users run it; ``arguments`` has ``view`` and perhaps ``tokens``."""
    tokens = ["--tokens", str(arguments.tokens)] if arguments.tokens else []
    command = [sys.executable, "-c", _ENTRY, "prepare", "--view", arguments.view, *tokens]
    return [*command, "-i", str(export), "-o", str(output), "--workers", str(workers), *more]


def lines_of(export: Path) -> Iterator[str]:
    """Decompressed lines."""
    opener = gzip.open if export.suffix == ".gz" else open
    with opener(export, "rt", encoding="utf-8") as lines:
        yield from lines
