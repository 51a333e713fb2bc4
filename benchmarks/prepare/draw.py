"""Records of an export drawn evenly at random, with the intents that the rules derive, to be read.

    python benchmarks/prepare/draw.py EXPORT --tokens FILE [--rows 200] [--seed 2026]
        [--view signing]

Unlike ``sample.py`` nothing decides what is drawn but the seed: every record of the export has the
same chance, duplicates and rejected ones included. Printed are hash, prompt and intent of each.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.sources import read_transactions
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.transaction import Transaction
from ethtune.dataset.prompts import render


def main() -> None:
    """Draw and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("--tokens", type=Path, action="append", default=[])
    parser.add_argument("--rows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--view", choices=("receipt", "signing"), default="receipt")
    arguments = parser.parse_args()
    registry = TokenRegistry.with_files(arguments.tokens)
    records = [
        record for record in read_transactions(arguments.export) if isinstance(record, Transaction)
    ]
    drawn = random.Random(arguments.seed).sample(records, arguments.rows)
    for number, record in enumerate(drawn, start=1):
        seen = record.before_signing() if arguments.view == "signing" else record
        described = describe(seen, registry)
        print(f"{number} {record.hash} block {record.block_number}")
        print(f"  {render(described)}")
        print(f"  {json.dumps(decode(described).as_dict(), separators=(',', ':'))}")


if __name__ == "__main__":
    main()
