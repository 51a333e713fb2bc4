"""A seeded sample of a prepared dataset, spread evenly over actions, to be checked by hand.

    python benchmarks/prepare/sample.py FOLDER [--rows 120] [--seed 7] [--characters 1500]

FOLDER is what ``ethtune prepare`` wrote. Failed attempts are a stratum of their own beside each
action; strata take turns until there are enough rows. Printed are hash, input and output of each.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rows", type=int, default=120)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--characters", type=int, default=1500, help="of each input")
    arguments = parser.parse_args()
    drawn = stratified(read_rows(arguments.folder), arguments.seed)
    for number, row in enumerate(islice(drawn, arguments.rows), start=1):
        print(f"{number} {row['id']} block {row['meta']['block_number']}")
        print(f"  {row['input'][: arguments.characters]}")
        print(f"  {row['output']}")


def read_rows(folder: Path) -> Iterator[Row]:
    """Rows of all three splits."""
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem in ("train", "validation", "test"):
            yield from map(json.loads, path.read_text(encoding="utf-8").splitlines())


def stratified(rows: Iterable[Row], seed: int) -> Iterator[Row]:
    """One row of each stratum in turn, within a stratum in an order that the seed decides."""
    strata: dict[tuple[str, bool], list[Row]] = defaultdict(list)
    for row in rows:
        output = json.loads(row["output"])
        strata[output["action"], output.get("outcome") == "failed"].append(row)
    for members in strata.values():
        members.sort(key=lambda row: hashlib.sha256(f"{seed} {row['id']}".encode()).digest())
    turns = zip_longest(*(strata[key] for key in sorted(strata)))
    return (row for row in chain.from_iterable(turns) if row is not None)


if __name__ == "__main__":
    main()
