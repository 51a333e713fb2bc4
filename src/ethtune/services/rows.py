"""A dataset folder in, packs of token rows out, with what was left out and why."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ethtune.core.config import DataSection
from ethtune.core.errors import DataError
from ethtune.core.events import Emit, Message, PhaseStarted, Progress
from ethtune.core.example import Example
from ethtune.core.tokens import TokenRow
from ethtune.dataset.packing import pack
from ethtune.dataset.reading import read_split
from ethtune.dataset.tokens import TokenizerLike, TooLong, tokenize
from ethtune.services.lengthbudget import SplitRows, require_some, require_within_budget

_PROGRESS_ROWS = 200


@dataclass(frozen=True, slots=True)
class TrainingRows:
    """Packs of both splits; ``too_long`` are rows above the limit, in neither."""

    train: Sequence[Sequence[TokenRow]]
    validation: Sequence[Sequence[TokenRow]]
    too_long: tuple[TooLong, ...]
    prompt_versions: tuple[str, ...]


def load_rows(
    folder: Path,
    section: DataSection,
    tokenizer: TokenizerLike,
    emit: Emit,
    *,
    has_budget: bool = True,
) -> TrainingRows:
    """Read, tokenise, pack. Raises DataError where a row is bad, or too many do not fit.

    Without ``has_budget`` any number of rows may be too long, as long as some fit.
    """
    train = list(read_split(folder, "train"))
    if not train:
        raise DataError(
            f"{folder / 'train.jsonl'} has no rows", hint="ethtune prepare makes a dataset"
        )
    validation: list[Example] = []
    if (folder / "validation.jsonl").is_file():
        validation = list(read_split(folder, "validation"))
    learned, checked = _tokenized(train, validation, section, tokenizer, emit)
    for split in (learned, checked):
        require_some(split, section.max_seq_length)
    if has_budget:
        require_within_budget((learned, checked), section)
    too_long = (*learned.too_long, *checked.too_long)
    if too_long:
        num_rows = learned.num_rows + checked.num_rows
        emit(Message("warning", _left_out(len(too_long), num_rows, section)))
    versions = {str(example.meta.get("prompt_version", "")) for example in train} - {""}
    return TrainingRows(
        train=_packed(learned.kept, section),
        validation=_packed(checked.kept, section),
        too_long=too_long,
        prompt_versions=tuple(sorted(versions)),
    )


def _tokenized(
    train: Sequence[Example],
    validation: Sequence[Example],
    section: DataSection,
    tokenizer: TokenizerLike,
    emit: Emit,
) -> tuple[SplitRows, SplitRows]:
    used = _limited(train, section.max_train_samples)
    checked = _limited(validation, section.max_eval_samples)
    total = len(used) + len(checked)
    emit(PhaseStarted("tokenizing", total))
    results = tokenize(_told([*used, *checked], emit), tokenizer, section.max_seq_length)
    return (
        _split("training", islice(results, len(used)), is_sample=len(used) < len(train)),
        _split("validation", results, is_sample=len(checked) < len(validation)),
    )


def _limited(rows: Sequence[Example], limit: int | None) -> Sequence[Example]:
    """Evenly spaced over the split, so that a sample by block order is still of all blocks."""
    if limit is None or len(rows) <= limit:
        return rows
    return [rows[index * len(rows) // limit] for index in range(limit)]


def _told(examples: Sequence[Example], emit: Emit) -> Iterator[Example]:
    for done, example in enumerate(examples, start=1):
        if done % _PROGRESS_ROWS == 0:
            emit(Progress("tokenizing", done, len(examples)))
        yield example


def _split(name: str, results: Iterable[TokenRow | TooLong], *, is_sample: bool) -> SplitRows:
    kept: list[TokenRow] = []
    too_long: list[TooLong] = []
    for row in results:
        if isinstance(row, TooLong):
            too_long.append(row)
        else:
            kept.append(row)
    return SplitRows(name, kept, too_long, is_sample)


def _left_out(count: int, total: int, section: DataSection) -> str:
    return (
        f"{count:,} of {total:,} rows are longer than {section.max_seq_length} tokens and "
        "are left out whole, none is cut; data.max_seq_length is the limit"
    )


def _packed(rows: Sequence[TokenRow], section: DataSection) -> Sequence[Sequence[TokenRow]]:
    if not section.packing:
        return [[row] for row in rows]
    return [[rows[index] for index in item.rows] for item in pack(rows, section.max_seq_length)]
