"""Transactions in, one training task out: the same token rows for everybody who is compared.

The task is a folder: ``train.jsonl`` and ``validation.jsonl`` as ``ethtune prepare`` writes them,
cut to the rows that fit; ``tokens/train.jsonl`` with the same rows as token ids and labels, for
trainers that are handed finished rows; ``task.json`` with everything else.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ETHTUNE = (sys.executable, "-c", "from ethtune.cli.app import main; main()")
SAMPLED = 4000  # made-up transactions, where there are no real ones
SCANNED = 6  # rows that are tokenised for each one that is wanted
IGNORED = -100
_RELIABILITY = Path(__file__).resolve().parents[1] / "reliability"


@dataclass(frozen=True, slots=True)
class Task:
    """``packs_per_step``: as many packs as hold ``rows_per_step`` in the mean."""

    folder: str
    model: str
    source: str
    max_seq_length: int
    num_rows: int
    num_tokens: int
    num_labels: int
    num_packs: int
    rows_per_step: int
    packs_per_step: int

    @property
    def path(self) -> Path:
        """Where its files are."""
        return Path(self.folder)

    @property
    def num_steps(self) -> int:
        """Of one pass, in rows; packs may make one more or less."""
        return -(-self.num_rows // self.rows_per_step)

    @classmethod
    def read(cls, folder: Path) -> Task:
        """A task that ``make_task`` wrote."""
        return cls(**json.loads((folder / "task.json").read_text("utf-8")))


def make_task(folder: Path, *, real: Path | None, is_tiny: bool, steps: int, batch: int) -> Task:
    """Write a task of ``steps`` steps of ``batch`` rows; one that is there already is kept."""
    if (folder / "task.json").is_file():
        return Task.read(folder)
    folder.mkdir(parents=True, exist_ok=True)
    data, source = _prepared(folder, real)
    model = _tiny_model(folder / "model") if is_tiny else _small_model()
    limit = 2048 if is_tiny else 1024  # a tiny model's tokens are bytes; else as in profile cpu
    rows = list(_fitting(data / "train.jsonl", model, limit, steps * batch))
    held = list(_fitting(data / "validation.jsonl", model, limit, max(batch, 12)))
    for name, part in (("train", rows), ("validation", held)):
        _write(folder / f"{name}.jsonl", [row["example"] for row in part])
        finished = [{key: row[key] for key in ("input_ids", "labels")} for row in part]
        _write(folder / "tokens" / f"{name}.jsonl", finished)
    from ethtune.dataset.packing import pack_lengths

    packs = pack_lengths([len(row["input_ids"]) for row in rows], limit)
    task = Task(
        folder=str(folder.resolve()),
        model=str(model),
        source=source,
        max_seq_length=limit,
        num_rows=len(rows),
        num_tokens=sum(len(row["input_ids"]) for row in rows),
        num_labels=sum(label != IGNORED for row in rows for label in row["labels"]),
        num_packs=len(packs),
        rows_per_step=batch,
        packs_per_step=max(1, round(len(packs) * batch / len(rows))),
    )
    text = json.dumps(dataclasses.asdict(task), indent=1)
    (folder / "task.json").write_text(text + "\n", encoding="utf-8")
    return task


def _prepared(folder: Path, real: Path | None) -> tuple[Path, str]:
    """The folder of ``ethtune prepare``, and where its rows are from."""
    data, raw = folder / "prepared", folder / "raw"
    if not (data / "train.jsonl").is_file():
        if real is None:
            _ethtune("sample-data", "--output", raw, "--transactions", SAMPLED)
        source = raw if real is None else real / "mainnet_receipts.jsonl.gz"
        _ethtune("prepare", "--input", source, "--output", data)
    return data, "made-up transactions" if real is None else "real mainnet transactions"


def _ethtune(*words: object) -> None:
    line = [*ETHTUNE, *map(str, words)]
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def _small_model() -> Path:
    from ethtune.core.events import SILENT
    from ethtune.model.basemodels import resolve

    return Path(resolve("smollm2-135m", revision=None, cache_dir=None, emit=SILENT).source)


def _tiny_model(folder: Path) -> Path:
    sys.path.insert(0, str(_RELIABILITY))
    from tiny import save_model

    save_model(folder)
    return folder


def _fitting(path: Path, model: Path, limit: int, wanted: int) -> Iterator[dict[str, Any]]:
    """``wanted`` rows from all over the file, none longer than ``limit``."""
    from transformers import AutoTokenizer

    from ethtune.dataset.reading import read_file
    from ethtune.dataset.tokens import TooLong, tokenize
    from ethtune.model.tokenizer import PromptTokenizer

    tokenizer = PromptTokenizer(AutoTokenizer.from_pretrained(model))
    examples = {example.id: example for example in read_file(path)}
    every = max(len(examples) // (wanted * SCANNED), 1)
    scanned = list(examples.values())[::every]
    rows = [row for row in tokenize(scanned, tokenizer, limit) if not isinstance(row, TooLong)]
    for index in range(min(wanted, len(rows))):
        row = rows[index * len(rows) // min(wanted, len(rows))]
        answer = list(row.input_ids[row.prompt_length :])
        yield {
            "id": row.id,
            "example": json.loads(examples[row.id].to_json()),
            "input_ids": list(row.input_ids),
            "labels": [IGNORED] * row.prompt_length + answer,
        }


def _write(path: Path, rows: Sequence[Any]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def environment(folder: Path, *, threads: int) -> dict[str, str]:
    """The same for every process that is compared; calibrations do not go to the user's cache."""
    return os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "GOMP_SPINCOUNT": "20000",
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_DATASETS_CACHE": str(folder / "datasets"),
        "TRANSFORMERS_VERBOSITY": "error",
        "TOKENIZERS_PARALLELISM": "false",
        "ETHTUNE_CACHE": str(folder / "cache"),
    }
