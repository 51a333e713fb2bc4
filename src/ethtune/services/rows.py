"""A dataset folder in, packs of token rows out, with what was left out and why."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ethtune.core.config import DataSection
from ethtune.core.errors import DataError
from ethtune.core.events import Emit, Message, PhaseStarted, Progress
from ethtune.core.example import Example
from ethtune.core.tokens import TokenRow
from ethtune.dataset.packing import pack
from ethtune.dataset.reading import read_split
from ethtune.dataset.tokens import TokenizerLike, TooLong, tokenize

_PROGRESS_ROWS = 200


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Packs of both splits; ``too_long`` are ids of rows above the limit, in neither."""

    train: Sequence[Sequence[TokenRow]]
    validation: Sequence[Sequence[TokenRow]]
    too_long: tuple[str, ...]
    prompt_versions: tuple[str, ...]


def load_rows(
    folder: Path, section: DataSection, tokenizer: TokenizerLike, emit: Emit
) -> TrainingRows:
    """Read, tokenise, pack. Raises DataError where a row is bad or none fits."""
    train = list(_limited(read_split(folder, "train"), section.max_train_samples))
    has_validation = (folder / "validation.jsonl").is_file()
    validation = (
        list(_limited(read_split(folder, "validation"), section.max_eval_samples))
        if has_validation
        else []
    )
    if not train:
        raise DataError(
            f"{folder / 'train.jsonl'} has no rows", hint="ethtune prepare makes a dataset"
        )
    emit(PhaseStarted("tokenizing", len(train) + len(validation)))
    too_long: list[str] = []
    rows = [
        list(_fitting(tokenize(part, tokenizer, section.max_seq_length), too_long))
        for part in (_told(train, len(validation), emit), validation)
    ]
    if not rows[0]:
        raise DataError(
            f"none of the {len(train)} training rows fits in {section.max_seq_length} tokens",
            hint="raise data.max_seq_length",
        )
    if too_long:
        emit(Message("warning", _left_out(too_long, len(train) + len(validation), section)))
    versions = {str(example.meta.get("prompt_version", "")) for example in train} - {""}
    return TrainingRows(
        train=_packed(rows[0], section),
        validation=_packed(rows[1], section),
        too_long=tuple(too_long),
        prompt_versions=tuple(sorted(versions)),
    )


def file_hashes(folder: Path) -> dict[str, str]:
    """SHA-256 of the split files that a run depends on."""
    found = {}
    for name in ("train.jsonl", "validation.jsonl"):
        path = folder / name
        if path.is_file():
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _limited(examples: Iterator[Example], limit: int | None) -> Iterable[Example]:
    """Evenly spaced over the split, so that a sample by block order is still of all blocks."""
    if limit is None:
        return examples
    rows = list(examples)
    if len(rows) <= limit:
        return rows
    return [rows[index * len(rows) // limit] for index in range(limit)]


def _told(examples: Sequence[Example], others: int, emit: Emit) -> Iterator[Example]:
    for done, example in enumerate(examples, start=1):
        if done % _PROGRESS_ROWS == 0:
            emit(Progress("tokenizing", done, len(examples) + others))
        yield example


def _fitting(rows: Iterable[TokenRow | TooLong], too_long: list[str]) -> Iterator[TokenRow]:
    for row in rows:
        if isinstance(row, TooLong):
            too_long.append(row.id)
        else:
            yield row


def _left_out(too_long: Sequence[Any], total: int, section: DataSection) -> str:
    return (
        f"{len(too_long):,} of {total:,} rows are longer than {section.max_seq_length} tokens and "
        "are left out whole, none is cut; data.max_seq_length is the limit"
    )


def _packed(rows: Sequence[TokenRow], section: DataSection) -> Sequence[Sequence[TokenRow]]:
    if not section.packing:
        return [[row] for row in rows]
    return [[rows[index] for index in item.rows] for item in pack(rows, section.max_seq_length)]
