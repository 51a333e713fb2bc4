"""Tokens per transaction: ethtune's prompts against the raw JSON of the same rows.

    python benchmarks/prepare/tokens.py EXPORT.jsonl TOKENIZER [--rows 5000] > results.json

TOKENIZER is a folder or hub id that transformers loads, or a name of Mistral's own package
(``pip install 'mistral-common[sentencepiece]'``, which no other part of ethtune needs):

    mistral-common:v1      Mistral 7B v0.1 and v0.2, Mixtral 8x7B
    mistral-common:v3      Mistral 7B v0.3, Mixtral 8x22B
    mistral-common:tekken  Mistral Nemo, Ministral

The rows are spread evenly over the export. Prints one JSON document: quantiles of tokens per input
and per output, the share of rows that fit common limits, and rendering speed.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

from ethtune import __version__
from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.sources import read_transactions
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.transaction import Transaction
from ethtune.dataset.prompts import PROMPT_VERSION, render

RAW_KEYS = ("from", "to", "value", "input", "status", "logs")
LIMITS = (512, 1024, 2048, 4096)
MISTRAL_PACKAGE = "mistral-common"
Count = Callable[[list[str]], list[int]]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("export", type=Path)
    parser.add_argument("tokenizer")
    parser.add_argument("--rows", type=int, default=5000)
    arguments = parser.parse_args()
    package, _, name = arguments.tokenizer.partition(":")
    if package == MISTRAL_PACKAGE:
        count = mistral_counter(name)
    else:
        package, count = "transformers", transformers_counter(arguments.tokenizer)
    stride = max(1, sum(1 for _ in raw_texts(arguments.export)) // arguments.rows)
    records = islice(read_transactions(arguments.export), 0, None, stride)
    transactions = [record for record in records if isinstance(record, Transaction)]
    registry = TokenRegistry()
    started = time.perf_counter()
    pairs = [
        (render(item), decode(item).to_json()) for item in map_describe(transactions, registry)
    ]
    seconds = time.perf_counter() - started
    inputs = count([pair[0] for pair in pairs])
    outputs = count([pair[1] for pair in pairs])
    raw = count(list(islice(raw_texts(arguments.export), 0, None, stride)))
    whole = [one + other for one, other in zip(inputs, outputs, strict=True)]
    report = {
        "rows": len(transactions),
        "raw_json": quantiles(raw),
        "input": quantiles(inputs),
        "output": quantiles(outputs),
        "share_of_raw": round(sum(inputs) / sum(raw), 4),
        "fits": {str(limit): round(share(whole, limit), 4) for limit in LIMITS},
        "raw_fits": {str(limit): round(share(raw, limit), 4) for limit in LIMITS},
        "described_rendered_decoded_per_second": round(len(transactions) / seconds),
        "prompt_version": PROMPT_VERSION,
        "ethtune": __version__,
        package: version(package),
        "python": platform.python_version(),
        "command": " ".join(["python", "benchmarks/prepare/tokens.py", *map(_base, sys.argv[1:])]),
    }
    print(json.dumps(report, indent=2))


def transformers_counter(tokenizer_name: str) -> Count:
    """Counts with a tokenizer of a folder or the hub."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_name)
    return lambda texts: [len(ids) for ids in tokenizer(texts, add_special_tokens=False).input_ids]


def mistral_counter(name: str) -> Count:
    """Counts with a tokenizer that Mistral's package ships."""
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

    named = {
        "v1": MistralTokenizer.v1,
        "v3": MistralTokenizer.v3,
        "tekken": lambda: MistralTokenizer.v3(is_tekken=True),
    }
    encode = named[name]().instruct_tokenizer.tokenizer.encode
    return lambda texts: [len(encode(text, bos=False, eos=False)) for text in texts]


def map_describe(transactions: list[Transaction], registry: TokenRegistry) -> Any:
    """Described transactions, one by one."""
    return (describe(transaction, registry) for transaction in transactions)


def raw_texts(export: Path) -> Any:
    """The same rows as minified JSON of what a prompt needs: calldata, status, raw logs."""
    opener = gzip.open if export.suffix == ".gz" else open
    with opener(export, "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            yield json.dumps({key: row.get(key) for key in RAW_KEYS}, separators=(",", ":"))


def quantiles(counts: list[int]) -> dict[str, float]:
    """Mean and quantiles of token counts."""
    ordered = sorted(counts)
    named = {f"p{q}": ordered[min(len(ordered) - 1, len(ordered) * q // 100)] for q in (50, 90, 99)}
    return {"mean": round(sum(counts) / len(counts), 1), **named}


def share(counts: list[int], limit: int) -> float:
    """How many fit."""
    return sum(count <= limit for count in counts) / len(counts)


def _base(argument: str) -> str:
    return Path(argument).name if "/" in argument else argument


if __name__ == "__main__":
    main()
