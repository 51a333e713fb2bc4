"""A micro batch in, its documents in several smaller sequences out: the same sums, less memory.

A step's loss is a sum over labels divided by their number in the step, and documents do not see
each other. So a sequence may be cut between documents, each part run on its own, and gradients and
sums added up: rows, effective batch, schedule and step stay what they were.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any

import torch
from torch.nn import functional

from ethtune.model.batches import IGNORED, padding_of

_FILLS = {"input_ids": 0, "labels": IGNORED, "position_ids": 0}


def document_lengths(batch: dict[str, Any]) -> list[int]:
    """Tokens of each document, in order; what rounds a sequence up is none."""
    positions = batch["position_ids"][0]
    starts = (positions == 0).nonzero()[: len(batch["ids"]) + 1, 0].tolist()
    if len(starts) == len(batch["ids"]):  # nothing was rounded up
        starts.append(positions.numel())
    return [end - start for start, end in pairwise(starts)]


def split(batch: dict[str, Any], num_parts: int, *, multiple: int) -> list[dict[str, Any]]:
    """``batch``, as ``collate`` made it, in parts whose longest is as short as can be.

    Args:
        batch: input_ids, labels, position_ids, each (1, T), and the documents' ids.
        num_parts: how many are wanted; there are never more than documents.
        multiple: each part's length becomes a whole number of it, as the batch's is.

    Returns:
        Batches of the same shape. A single one is ``batch`` itself.
    """
    num_parts = min(num_parts, len(batch["ids"]))
    if num_parts <= 1:
        return [batch]
    lengths = document_lengths(batch)
    borders = (0, *accumulate(lengths))
    return [
        _part(batch, borders[first : last + 1], slice(first, last), multiple)
        for first, last in pairwise(cuts(lengths, num_parts))
    ]


def cuts(lengths: Sequence[int], num_parts: int) -> list[int]:
    """Indices into ``lengths`` between which parts lie, so that the largest sum is the least.

    There must be at least as many lengths as parts.
    """
    low, high = max(lengths), sum(lengths)
    while low < high:
        middle = (low + high) // 2
        fits = len(list(_filled(lengths, middle))) < num_parts
        low, high = (low, middle) if fits else (middle + 1, high)
    return [0, *_filled(lengths, low, num_parts), len(lengths)]


def _filled(lengths: Sequence[int], capacity: int, num_parts: int = 1) -> Iterator[int]:
    """Where a part ends: it is full, or as many parts as lengths are left to be made."""
    held, left = 0, num_parts - 1
    for index, length in enumerate(lengths):
        if index and (held + length > capacity or len(lengths) - index == left):
            yield index
            held, left = 0, left - 1
        held += length


def _part(
    batch: dict[str, Any], borders: Sequence[int], documents: slice, multiple: int
) -> dict[str, Any]:
    start, end = borders[0], borders[-1]
    padding = padding_of(end - start, multiple)
    part: dict[str, Any] = {
        name: functional.pad(batch[name][:, start:end], (0, padding), value=fill)
        for name, fill in _FILLS.items()
    }
    # a padding document's positions count from 0 as any document's do
    part["position_ids"][0, end - start :] = torch.arange(padding, device=batch["labels"].device)
    return part | {"ids": batch["ids"][documents]}
