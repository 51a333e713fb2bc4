"""Transactions a second of ``ethtune prepare``, beside a bare JSON parse and beside web3.py.

    python benchmarks/prepare/speed.py EXPORT.jsonl.gz [--view signing] [--tokens FILE]
        [--repeat 3] [--web3-python PYTHON] [--sample 2000] [--json]

Every measurement is a process of its own; the least of ``--repeat`` runs counts, for other load
only ever adds time. Rates per core divide by CPU seconds, all others by the clock.

parse          ``json.loads`` of every line of the decompressed export
prepare        the whole command: read, decode, label, render, check, deduplicate, split, write
prepare, all   the same with a worker for each core
decode alone   names, arguments, inner calls, events and tokens of transactions in memory
web3.py        ``decode_function_input``, and ``process_receipt`` of six common events
cookbook       a contract object for the token of each transfer and for pool and tokens of each
               swap, as eth-finetuning-cookbook makes them; what it asks of a node is left out

web3.py (``pip install web3``, in an environment of its own: ``--web3-python``) has the layouts that
ethtune has, one contract object each, made beforehand as are its receipts. The last three take a
sample spread evenly over the export and only decode: no labels, no prompts, no files.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from command import ENVIRONMENT, lines_of, prepare_command
from peers import Work, cookbook_work, web3_work

SAMPLED = ("decode alone", "web3.py", "cookbook")


@dataclass(frozen=True, slots=True)
class Timing:
    """What was run over so many rows, and how long it took."""

    what: str
    rows: int
    wall_seconds: float
    cpu_seconds: float

    @property
    def rows_per_second(self) -> float:
        """By the clock."""
        return self.rows / self.wall_seconds

    @property
    def rows_per_core_second(self) -> float:
        """By CPU time."""
        return self.rows / self.cpu_seconds


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--view", default="receipt", choices=["receipt", "signing"])
    parser.add_argument("--tokens", type=Path)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--web3-python", default=sys.executable, help="an interpreter with web3")
    parser.add_argument("--sample", type=int, default=2000, help="rows for the last three")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.add_argument("--measure", choices=["parse", *SAMPLED], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        print(json.dumps(asdict(measure(arguments))))
        return
    timings, skipped = run(arguments)
    if arguments.json:
        ratios = [asdict(timing) | ratios_of(timing, timings) for timing in timings]
        print(json.dumps({"export": arguments.export.name, "timings": ratios, "skipped": skipped}))
        return
    print(table(timings))
    for reason in skipped:
        print(reason)


def run(arguments: argparse.Namespace) -> tuple[list[Timing], list[str]]:
    """Every measurement in a process of its own, and the reasons for those left out."""
    parsed = best(partial(child, arguments, "parse", sys.executable), arguments.repeat)
    timings, skipped = [parsed], []
    for what, workers in (("prepare", 1), ("prepare, all", os.cpu_count() or 1)):
        once = partial(prepared, arguments, what, workers, parsed.rows)
        timings.append(best(once, arguments.repeat))
    for what in SAMPLED:
        python = sys.executable if what == "decode alone" else arguments.web3_python
        try:
            timings.append(best(partial(child, arguments, what, python), arguments.repeat))
        except subprocess.CalledProcessError as error:
            skipped.append(f"{what}: left out: {error.stderr.strip().splitlines()[-1]}")
    return timings, skipped


def best(run_once: Callable[[], Timing], repeat: int) -> Timing:
    """The least times of some runs."""
    runs = [run_once() for _ in range(repeat)]
    return Timing(
        runs[0].what,
        runs[0].rows,
        min(item.wall_seconds for item in runs),
        min(item.cpu_seconds for item in runs),
    )


def child(arguments: argparse.Namespace, what: str, python: str) -> Timing:
    """One measurement of this file in another process."""
    command = [python, __file__, str(arguments.export), "--measure", what]
    command += ["--sample", str(arguments.sample)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=True)
    return Timing(**json.loads(done.stdout))


def prepared(arguments: argparse.Namespace, what: str, workers: int, rows: int) -> Timing:
    """The command as users run it, from the start of the interpreter to its end."""
    with tempfile.TemporaryDirectory() as folder:
        command = prepare_command(arguments, arguments.export, Path(folder, "data"), workers)
        before, started = os.times(), time.perf_counter()
        subprocess.run(command, env=ENVIRONMENT, capture_output=True, check=True)
        wall_seconds, after = time.perf_counter() - started, os.times()
    cpu_seconds = sum(after[2:4]) - sum(before[2:4])  # of children and theirs
    return Timing(what, rows, wall_seconds, cpu_seconds)


def measure(arguments: argparse.Namespace) -> Timing:
    """Inside the child: the work alone, imports and preparations left out."""
    items: Iterable[Any] = lines_of(arguments.export)
    step: Callable[[Any], Any] = json.loads
    if arguments.measure in SAMPLED:
        stride = max(1, sum(1 for _ in items) // arguments.sample)
        ways = {"decode alone": own_work, "web3.py": web3_work, "cookbook": cookbook_work}
        items, step = ways[arguments.measure](arguments.export, stride)
    count = 0
    wall, cpu = time.perf_counter(), time.process_time()
    for item in items:
        step(item)
        count += 1
    return Timing(arguments.measure, count, time.perf_counter() - wall, time.process_time() - cpu)


def own_work(export: Path, stride: int) -> Work:
    """Transactions in memory, and what decodes one of them."""
    from ethtune.chain.describe import describe
    from ethtune.chain.sources import read_transactions
    from ethtune.chain.tokens import TokenRegistry

    registry = TokenRegistry()
    transactions = list(islice(read_transactions(export), 0, None, stride))
    describe(transactions[0], registry)  # reads the tables of signatures
    return transactions, lambda transaction: describe(transaction, registry)


def ratios_of(timing: Timing, timings: list[Timing]) -> dict[str, float]:
    """How many times as fast per core as each other measurement."""
    return {
        f"times {other.what}": round(timing.rows_per_core_second / other.rows_per_core_second, 3)
        for other in timings
        if other.what != timing.what
    }


def table(timings: list[Timing]) -> str:
    """One line a measurement; the last columns compare rates per core."""
    parse = timings[0]
    heads = [item for item in timings if item.what in SAMPLED[1:]]
    titles = ["", "rows", "wall s", "CPU s", "tx/s", "tx/s/core", "parse takes 1/"]
    lines = [[*titles, *(f"x {item.what}" for item in heads)]]
    for item in timings:
        rate = item.rows_per_core_second
        lines.append([
            item.what, f"{item.rows:,}", f"{item.wall_seconds:.2f}", f"{item.cpu_seconds:.2f}",
            f"{item.rows_per_second:,.0f}", f"{rate:,.0f}",
            f"{parse.rows_per_core_second / rate:.1f}",
            *(f"{rate / head.rows_per_core_second:.1f}" for head in heads),
        ])  # fmt: skip
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True))
        for line in lines
    )


if __name__ == "__main__":
    main()
