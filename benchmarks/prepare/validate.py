"""Time of ethtune validate-data against that of tokenising the same texts once.

    python benchmarks/prepare/validate.py DATASET [BASE_MODEL] [--repeats 3] > results.json

Prints one JSON document: seconds of each, the better of the repeats, taken in turns so that a busy
machine slows both, and their ratio. Tokenising once is the tokenizer's own batch call over all
prompts and completions, without reading files, rendering or checking.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from ethtune import __version__
from ethtune.dataset.reading import existing_splits, read_file
from ethtune.services.validation import open_tokenizer, validate_data


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dataset", type=Path)
    parser.add_argument("base_model", nargs="?", default="smollm2-135m")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    counter = open_tokenizer(arguments.base_model)
    rows = [row for file in existing_splits(arguments.dataset).values() for row in read_file(file)]
    texts = [row.prompt for row in rows] + [row.output for row in rows]
    tokenise = counter.tokenizer  # type: ignore[attr-defined]  # of PromptTokenizer
    seconds: dict[str, list[float]] = {"tokenising": [], "validation": [], "without_tokens": []}
    for _ in range(arguments.repeats):
        seconds["tokenising"].append(timed(lambda: tokenise(texts, add_special_tokens=False)))
        seconds["validation"].append(
            timed(lambda: validate_data(arguments.dataset, tokenizer=counter))
        )
        seconds["without_tokens"].append(timed(lambda: validate_data(arguments.dataset)))
    best = {name: min(values) for name, values in seconds.items()}
    report = {
        "ethtune": __version__,
        "tokenizers": version("tokenizers"),
        "machine": platform.machine(),
        "rows": len(rows),
        "characters": sum(map(len, texts)),
        "seconds": best,
        "ratio": best["validation"] / best["tokenising"],
        "rows_per_second": len(rows) / best["validation"],
    }
    print(json.dumps(report, indent=2))


def timed(work: Callable[[], object]) -> float:
    """Seconds that ``work`` takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
