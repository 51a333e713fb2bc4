"""Peak memory of ``ethtune prepare`` over exports of several sizes, made from one real export.

    python benchmarks/prepare/memory.py EXPORT.jsonl.gz [--rows 64000 640000] [--view signing]
        [--tokens FILE] [--workers 1] [--json]

The rows of the export are taken over and over, each time with another hash, another sender and a
few wei more of value, so that none is a duplicate; no limit of the command leaves rows out. The
made export lies compressed in the temporary folder. Reported is the sum of what each process of
the command held at its peak (``VmHWM`` of Linux), an upper bound of what they held together.
"""

from __future__ import annotations

import argparse
import gzip
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from hashlib import sha256
from itertools import count, islice
from pathlib import Path
from typing import Any

from command import ENVIRONMENT, lines_of, prepare_command

POLL_SECONDS = 0.1
UNLIMITED = ("--max-alike", "1000000000", "--max-contract-share", "1")


def main() -> None:
    """Make, measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--rows", type=int, nargs="+", default=[64_000, 640_000])
    parser.add_argument("--view", default="receipt", choices=["receipt", "signing"])
    parser.add_argument("--tokens", type=Path)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    arguments = parser.parse_args()
    results = [measured(arguments, rows) for rows in arguments.rows]
    if arguments.json:
        print(json.dumps({"export": arguments.export.name, "results": results}))
        return
    print(f"{'rows':>9} {'kept':>9} {'peak MiB':>9} {'seconds':>8} {'processes':>9}")
    for item in results:
        print(
            f"{item['rows']:9,} {item['kept']:9,} {item['peak_mib']:9.0f}"
            f" {item['wall_seconds']:8.1f} {item['processes']:9}"
        )


def measured(arguments: argparse.Namespace, rows: int) -> dict[str, Any]:
    """The command over a made export of so many rows."""
    with tempfile.TemporaryDirectory() as folder:
        export, output = Path(folder, "export.jsonl.gz"), Path(folder, "data")
        with gzip.open(export, "wt", compresslevel=1, encoding="utf-8") as stream:
            stream.writelines(islice(varied(arguments.export), rows))
        command = prepare_command(arguments, export, output, arguments.workers, *UNLIMITED)
        started = time.perf_counter()
        process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL)
        peaks: dict[int, int] = {}
        while process.poll() is None:
            for pid in descendants(process.pid):
                peaks[pid] = max(peaks.get(pid, 0), peak_kib(pid))
            time.sleep(POLL_SECONDS)
        wall_seconds = time.perf_counter() - started
        if process.returncode:
            sys.exit(f"prepare ended with {process.returncode}")
        kept = json.loads((output / "manifest.json").read_bytes())["kept"]
    return {
        "rows": rows,
        "kept": kept,
        "peak_mib": sum(peaks.values()) / 1024,
        "processes": len(peaks),
        "wall_seconds": wall_seconds,
    }


def varied(export: Path) -> Iterator[str]:
    """The lines of the export as often as one likes, no two of them alike."""
    for turn in count():
        for line in lines_of(export):
            row = json.loads(line)
            row["hash"] = "0x" + sha256(f"{row['hash']} {turn}".encode()).hexdigest()
            row["from"] = "0x" + sha256(f"{row['from']} {turn}".encode()).hexdigest()[:40]
            row["value"] = str(int(row["value"]) + turn)
            yield json.dumps(row, separators=(",", ":")) + "\n"


def descendants(pid: int) -> list[int]:
    """The process and all that it started, those of them that still run."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    except OSError:
        return []
    return [pid, *(item for child in children for item in descendants(int(child)))]


def peak_kib(pid: int) -> int:
    """The most memory that a process ever held; 0 when it has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except OSError:
        return 0
    lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return int(lines.get("VmHWM", "0 kB").split()[0])


if __name__ == "__main__":
    main()
