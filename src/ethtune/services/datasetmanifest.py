"""A filled spool in, the files of a dataset folder out: rows, manifest, card and charts.

Nothing in them depends on the time, the machine or the number of workers.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ethtune import __version__
from ethtune.dataset.card import charts, dataset_card
from ethtune.dataset.prompts import INSTRUCTION, PROMPT_VERSION
from ethtune.dataset.rowlengths import Distribution, TokenCounter
from ethtune.dataset.splits import SPLITS, Split
from ethtune.dataset.spool import Spool
from ethtune.services.datasetfolder import DATASET_FORMAT, MANIFEST_NAME

_COUNTS = """
SELECT {column}, COUNT(*) AS size FROM rows LEFT JOIN placed USING (number) WHERE {which}
GROUP BY {column} ORDER BY size DESC, {column}
"""
_CONTRACTS = """
SELECT action, contract, MAX(CASE WHEN contract IS NULL THEN 0 ELSE size END), SUM(size) FROM (
    SELECT action, contract, COUNT(*) AS size FROM rows JOIN placed USING (number)
    GROUP BY action, contract ORDER BY contract)
GROUP BY action ORDER BY action
"""

_BATCH_LINES = 256

Lines = Sequence[tuple[bytes, int]]
Measure = Callable[[Lines], Iterable[int]]
"""The lengths of rows by their lines and characters."""


@dataclass(frozen=True, slots=True)
class Written:
    """A split's file, and the lengths of its rows."""

    name: str
    sha256: str
    lengths: array[int]


def in_tokens(tokenizer: TokenCounter) -> Measure:
    """Counts rows as training will: prompt with chat template, answer with end token."""

    def measure(lines: Lines) -> Iterable[int]:
        rows = [json.loads(line) for line, _ in lines]
        prompts = [[("user", f"{row['instruction']}\n{row['input']}")] for row in rows]
        return map(sum, tokenizer.count_tokens(prompts, [row["output"] for row in rows]))

    return measure


def in_characters(lines: Lines) -> Iterable[int]:
    """The lengths that the spool knows."""
    return (characters for _, characters in lines)


def write_splits(folder: Path, spool: Spool, measure: Measure) -> dict[Split, Written]:
    """A file of JSON lines for each split."""
    return {split: _write_split(folder, split, spool, measure) for split in SPLITS}


def _write_split(folder: Path, split: Split, spool: Spool, measure: Measure) -> Written:
    digest, lengths = hashlib.sha256(), array("I")
    path = folder / f"{split}.jsonl"
    rows = spool.lines(split)
    with path.open("wb") as stream:
        while batch := list(islice(rows, _BATCH_LINES)):
            for line, _ in batch:
                digest.update(line)
                stream.write(line)
            lengths.extend(measure(batch))
    return Written(path.name, digest.hexdigest(), lengths)


def manifest_of(
    spool: Spool, written: Mapping[Split, Written], *, tokenizer: str | None
) -> dict[str, Any]:
    """What the spool and the files tell; the caller adds where the rows come from."""
    return {
        "format": DATASET_FORMAT,
        "ethtune": __version__,
        "prompt_version": PROMPT_VERSION,
        "instruction": INSTRUCTION,
        "limited": counts(spool, "limited", "limited IS NOT NULL"),
        "labels": counts(spool, "label_source", "split IS NOT NULL"),
        "splits": {
            split: {
                "rows": len(file.lengths),
                "actions": counts(spool, "action", f"split = '{split}'"),
                "protocols": counts(spool, "protocol", f"split = '{split}'"),
            }
            for split, file in written.items()
        },
        "contracts": {
            action: {"contract": contract, "share": round(size / total, 4)}
            for action, contract, size, total in spool.query(_CONTRACTS)
            if contract
        },
        "lengths": {
            "tokenizer": tokenizer,
            "splits": {
                split: Distribution.of(file.lengths).as_dict()
                for split, file in written.items()
                if file.lengths
            },
        },
        "files": [
            {"name": file.name, "sha256": file.sha256, "rows": len(file.lengths)}
            for file in written.values()
        ],
    }


def counts(spool: Spool, column: str, which: str) -> dict[str, int]:
    """Rows by a column, the most frequent value first."""
    sql = _COUNTS.format(column=column, which=which)
    return {str(value): count for value, count in spool.query(sql)}


def write_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """The manifest, and the card with its charts, which show what it says."""
    text = json.dumps(manifest, indent=2, ensure_ascii=False) + "\n"
    files = {MANIFEST_NAME: text, "README.md": dataset_card(manifest)} | charts(manifest)
    for name, content in files.items():
        (folder / name).write_bytes(content.encode("utf-8", "backslashreplace"))


def source_facts(file: Path) -> dict[str, Any]:
    """Name, hash and size of a file that had a say."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    return {"name": file.name, "sha256": digest.hexdigest(), "bytes": file.stat().st_size}
