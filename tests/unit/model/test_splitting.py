"""A batch in parts is the batch: the same documents, none cut, the longest part at its shortest."""

from __future__ import annotations

from itertools import combinations, pairwise

import torch
from hypothesis import given
from hypothesis import strategies as st

from ethtune.core.tokens import TokenRow
from ethtune.model.batches import collate, features
from ethtune.model.splitting import cuts, document_lengths, split

TENSORS = ("input_ids", "labels", "position_ids")
_LENGTHS = st.lists(st.integers(2, 90), min_size=1, max_size=9)
_MULTIPLES = st.sampled_from([1, 7, 32])


def batch_of(lengths, multiple):
    rows = [
        TokenRow(f"row {n}", (*range(10, 9 + length), 2), 1 + n % (length - 1), 2)
        for n, length in enumerate(lengths)
    ]
    return collate([features([row]) for row in rows], multiple=multiple)


def documents(batch):
    """Each as its tokens, labels and positions, without what rounds the sequence up."""
    ends = torch.tensor(document_lengths(batch)).cumsum(0).tolist()
    return [
        tuple(batch[name][0, start:end].tolist() for name in TENSORS)
        for start, end in pairwise([0, *ends])
    ]


@given(_LENGTHS, st.integers(1, 12), _MULTIPLES)
def test_parts_hold_the_documents_of_the_batch_in_order(lengths, num_parts, multiple):
    batch = batch_of(lengths, multiple)
    parts = split(batch, num_parts, multiple=multiple)
    assert len(parts) == min(num_parts, len(lengths))
    assert [found for part in parts for found in documents(part)] == documents(batch)
    assert [row for part in parts for row in part["ids"]] == batch["ids"]
    assert all(len(part["ids"]) == len(document_lengths(part)) for part in parts)
    for part in parts:
        shapes = {part[name].shape for name in TENSORS}
        assert shapes == {(1, part["labels"].numel())}
        assert part["labels"].numel() % multiple == 0


@given(_LENGTHS, st.integers(1, 12))
def test_without_rounding_the_parts_end_to_end_are_the_batch(lengths, num_parts):
    batch = batch_of(lengths, 1)
    parts = split(batch, num_parts, multiple=1)
    for name in TENSORS:
        assert torch.equal(torch.cat([part[name] for part in parts], dim=1), batch[name])


@given(_LENGTHS, st.integers(2, 12))
def test_what_rounds_a_part_up_is_a_document_of_its_own_that_teaches_nothing(lengths, num_parts):
    for part in split(batch_of(lengths, 32), num_parts, multiple=32):
        size = sum(document_lengths(part))
        padding = part["labels"].numel() - size
        assert part["labels"][0, size:].tolist() == [-100] * padding
        assert part["position_ids"][0, size:].tolist() == [*range(padding)]


@given(_LENGTHS, st.integers(1, 9))
def test_no_other_cuts_give_a_shorter_longest_part(lengths, num_parts):
    num_parts = min(num_parts, len(lengths))

    def longest(borders):
        return max(sum(lengths[start:end]) for start, end in pairwise(borders))

    every = (
        (0, *inner, len(lengths)) for inner in combinations(range(1, len(lengths)), num_parts - 1)
    )
    found = cuts(lengths, num_parts)
    assert len(found) == num_parts + 1
    assert longest(found) == min(map(longest, every))


def test_one_part_is_the_batch_itself():
    batch = batch_of([5, 6], 32)
    assert split(batch, 1, multiple=32)[0] is batch
    alone = batch_of([5], 32)
    assert split(alone, 8, multiple=32)[0] is alone
