"""Packs of token rows in, one flat sequence a micro batch out: nothing is ever padded.

    input_ids     p p p c c │ p p c c c c │ p c      p prompt, c completion
    position_ids  0 1 2 3 4 │ 0 1 2 3 4 5 │ 0 1      restart at each row: rows do not see each other
    labels        . . . c c │ . . c c c c │ . c      . is -100: no loss

On the CPU alone a sequence is rounded up to a whole number of 32 tokens by one more document that
nobody sees or learns from: its matrix library compiles kernels for each length it meets and keeps
them all, about 10 MB a length, so that a run over hundreds of lengths would grow without end.

transformers reads the restarts as document borders when no attention mask is given; a mask, even
of ones, would let the rows see each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from datasets import Dataset

from ethtune.core.tokens import TokenRow

IGNORED = -100
CPU_MULTIPLE = 32


def to_dataset(packs: Iterable[Sequence[TokenRow]]) -> Dataset:
    """One dataset row a pack, in the given order."""
    return Dataset.from_list([features(pack) for pack in packs])


def padding_of(length: int, multiple: int) -> int:
    """Tokens that are missing to a whole number of ``multiple``."""
    return -length % multiple


def collate(features: Sequence[dict[str, Any]], *, multiple: int) -> dict[str, Any]:
    """Lay the packs of a micro batch end to end.

    Args:
        features: rows of ``to_dataset``; of a blank one nothing is learned.
        multiple: the sequence's length becomes a whole number of it; 1 adds nothing.

    Returns:
        input_ids, labels, position_ids: each int64 of shape (1, T), T the sum of all lengths.
        ids: of the rows, for messages.
    """
    lengths = [length for item in features for length in item["seq_lengths"]]
    padding = padding_of(sum(lengths), multiple) if any(lengths) else multiple
    input_ids = [token for item in features for token in item["input_ids"]] + [0] * padding
    labels = [token for item in features for token in item["labels"]] + [IGNORED] * padding
    lengths.append(padding)
    return {
        "input_ids": torch.tensor([input_ids]),
        "labels": torch.tensor([labels]),
        "position_ids": torch.cat([torch.arange(length) for length in lengths])[None],
        "ids": [row for item in features for row in item["ids"]],
    }


def features(pack: Sequence[TokenRow]) -> dict[str, Any]:
    """A pack as a row of the dataset; of no rows, a blank one."""
    labels: list[int] = []
    for row in pack:
        labels += [IGNORED] * row.prompt_length + list(row.input_ids[row.prompt_length :])
    return {
        "input_ids": [token for row in pack for token in row.input_ids],
        "labels": labels,
        "seq_lengths": [len(row.input_ids) for row in pack],
        "ids": [row.id for row in pack],
    }
