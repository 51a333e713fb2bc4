"""How much there is to train on: a prepared folder in, tokens and packs of an epoch out, no torch.

Rows are measured with the base model's own tokenizer where it lies on this machine, a sample of
them where there are many. Else their characters stand for them.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from ethtune.core.config import Config, DataSection
from ethtune.core.errors import DataError
from ethtune.core.example import Example
from ethtune.core.tokens import TokenRow
from ethtune.dataset.packing import pack_lengths
from ethtune.dataset.reading import read_file
from ethtune.services.modelfolder import local_folder

if TYPE_CHECKING:
    from ethtune.services.rows import TrainingRows

_T = TypeVar("_T")

# SmolLM2's tokenizer on prepared rows: 0.50 to 0.70 tokens a character in nine of ten rows, 0.65 in
# the mean of 12,500 rows of receipts, 0.74 where only calldata is known; hexadecimal is cut small.
_TOKENS_PER_CHARACTER = (0.5, 0.65, 0.8)
_MARKUP_TOKENS = 15  # what its chat template adds to a row: turns, an empty system turn, the end
_SAMPLED_ROWS = 1000
_TOKENS_PER_ROW = (150, 570)  # means of whole datasets seen: plain transfers; calldata alone


@dataclass(frozen=True, slots=True)
class Packing:
    """How an epoch's rows fall into sequences.

    ``longest`` is the longest sequence in tokens. ``labelled_fraction`` of all tokens are learned;
    ``most_labels`` is the largest number of them in one sequence.
    """

    num_sequences: int
    num_tokens: int
    longest: int
    labelled_fraction: float
    most_labels: int
    num_validation_tokens: int = 0
    num_left_out: int = 0

    @property
    def mean_length(self) -> float:
        """Tokens of a sequence."""
        return self.num_tokens / self.num_sequences


@dataclass(frozen=True, slots=True)
class Amount:
    """Tokens of one epoch, low and high; ``packing`` None where only rows were counted."""

    num_tokens: tuple[int, int]
    assumption: str
    packing: Packing | None = None


@dataclass(frozen=True, slots=True)
class _Lengths:
    """Tokens of each row and of its answer."""

    totals: list[int]
    labels: list[int]
    spread: tuple[float, float]
    basis: str


def rows_amount(num_rows: int) -> Amount:
    """So many rows of usual length."""
    few, many = _TOKENS_PER_ROW
    return Amount((num_rows * few, num_rows * many), f"{num_rows:,} rows of {few} to {many} tokens")


def packed_amount(rows: TrainingRows) -> Amount:
    """Counted in rows that are tokenised and packed already."""
    packs = [_sums(pack) for pack in rows.train]
    total = sum(length for length, _ in packs)
    packing = Packing(
        num_sequences=len(packs),
        num_tokens=total,
        longest=max(length for length, _ in packs),
        labelled_fraction=sum(labels for _, labels in packs) / total,
        most_labels=max(labels for _, labels in packs),
        num_validation_tokens=sum(_sums(pack)[0] for pack in rows.validation),
        num_left_out=len(rows.too_long),
    )
    return Amount((total, total), "counted in the training rows", packing)


def dataset_amount(folder: Path, config: Config) -> Amount:
    """Rows of a prepared folder as ``config`` would pack them. Raises DataError."""
    path = folder / "train.jsonl" if folder.is_dir() else folder
    if not (texts := _texts(path)):
        raise DataError(f"{path} holds no rows", hint="ethtune prepare makes such a folder")
    tokenizer = local_folder(config.model)
    rows = _measured(_limited(texts, config.data.max_train_samples), tokenizer)
    limit = config.data.max_seq_length
    kept = [(n, m) for n, m in zip(rows.totals, rows.labels, strict=True) if n <= limit]
    if not kept:
        raise DataError(
            f"{path}: none of the {len(rows.totals):,} rows fits in {limit} tokens",
            hint="raise data.max_seq_length",
        )
    validation = _validation(path.parent / "validation.jsonl", config.data, tokenizer)
    packing = _packed(kept, config.data, validation, len(rows.totals) - len(kept))
    low, high = (int(packing.num_tokens * factor) for factor in rows.spread)
    fill = packing.mean_length / limit
    text = f"{len(kept):,} rows of {path}, {rows.basis}; sequences {fill:.0%} full"
    if packing.num_left_out:
        text += f"; {packing.num_left_out:,} longer than {limit} tokens left out"
    return Amount((low, high), text, packing)


def _packed(
    kept: Sequence[tuple[int, int]], section: DataSection, validation: int, num_left_out: int
) -> Packing:
    lengths = [length for length, _ in kept]
    groups: list[tuple[int, ...]] = [(index,) for index in range(len(kept))]
    if section.packing:
        groups = [item.rows for item in pack_lengths(lengths, section.max_seq_length)]
    return Packing(
        num_sequences=len(groups),
        num_tokens=sum(lengths),
        longest=max(sum(lengths[row] for row in group) for group in groups),
        labelled_fraction=sum(labels for _, labels in kept) / sum(lengths),
        most_labels=max(sum(kept[row][1] for row in group) for group in groups),
        num_validation_tokens=validation,
        num_left_out=num_left_out,
    )


def _validation(path: Path, section: DataSection, tokenizer: Path | None) -> int:
    if not path.is_file() or not (texts := _texts(path)):
        return 0
    rows = _measured(_limited(texts, section.max_eval_samples), tokenizer)
    return sum(length for length in rows.totals if length <= section.max_seq_length)


@functools.lru_cache(maxsize=2)
def _texts(path: Path) -> tuple[Example, ...]:
    return tuple(read_file(path))


def _limited(rows: Sequence[_T], limit: int | None) -> Sequence[_T]:
    if limit is None or len(rows) <= limit:
        return rows
    return [rows[index * len(rows) // limit] for index in range(limit)]


def _measured(rows: Sequence[Example], folder: Path | None) -> _Lengths:
    """Tokens of all rows: counted, in proportion to a counted sample, or by their characters."""
    prompts, answers = [len(row.prompt) for row in rows], [len(row.output) for row in rows]
    low, usual, high = _TOKENS_PER_CHARACTER
    if folder is None or not (folder / "tokenizer.json").is_file():
        spread = (low / usual, high / usual)
        basis = f"{low:g} to {high:g} tokens a character"
        return _scaled(prompts, answers, (usual, usual), (spread, basis))
    sample = _limited(range(len(rows)), _SAMPLED_ROWS)
    counted = _counted([rows[index] for index in sample], folder / "tokenizer.json")
    if len(sample) == len(rows):
        totals = [prompt + answer for prompt, answer in counted]
        return _Lengths(totals, [answer for _, answer in counted], (1.0, 1.0), "tokens counted")
    rates = tuple(
        sum(pair[part] for pair in counted) / max(sum(texts[index] for index in sample), 1)
        for part, texts in enumerate((prompts, answers))
    )
    basis = f"tokens counted in {len(sample):,} of them"
    return _scaled(prompts, answers, (rates[0], rates[1]), ((0.98, 1.02), basis), markup=0)


def _scaled(
    prompts: Iterable[int],
    answers: Iterable[int],
    rates: tuple[float, float],
    said: tuple[tuple[float, float], str],
    markup: int = _MARKUP_TOKENS,
) -> _Lengths:
    labels = [max(round(length * rates[1]), 1) for length in answers]
    questions = (round(length * rates[0]) + markup for length in prompts)
    totals = [prompt + answer for prompt, answer in zip(questions, labels, strict=True)]
    return _Lengths(totals, labels, *said)


def _counted(rows: Sequence[Example], file: Path) -> list[tuple[int, int]]:
    """Tokens of each prompt with its turns, and of each answer with its end."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    prompts = tokenizer.encode_batch([row.prompt for row in rows], add_special_tokens=False)
    answers = tokenizer.encode_batch([row.output for row in rows], add_special_tokens=False)
    return [
        (len(prompt.ids) + _MARKUP_TOKENS - 1, len(answer.ids) + 1)
        for prompt, answer in zip(prompts, answers, strict=True)
    ]


def _sums(pack: Sequence[TokenRow]) -> tuple[int, int]:
    return sum(len(row.input_ids) for row in pack), sum(row.num_labels for row in pack)
