"""Every row is trained on exactly once, whole, and the same way for the same rows."""

from __future__ import annotations

import pytest
from dataset_builders import example, token_row
from hypothesis import given
from hypothesis import strategies as st

from ethtune.core.errors import DataError
from ethtune.core.tokens import TokenRow
from ethtune.dataset.packing import pack
from ethtune.dataset.tokens import TooLong, tokenize

LIMIT = 64
lengths = st.lists(st.integers(2, LIMIT), max_size=80)


class ByteTokenizer:
    """One token a byte; 0 ends an answer."""

    end_id = 0

    begin, end = [1], [end_id]

    def encode_rows(self, prompts, completions) -> list[tuple[list[int], list[int]]]:
        return [
            ([*self.begin, *prompt.encode()] if self.begin else [], [*text.encode(), *self.end])
            for prompt, text in zip(prompts, completions, strict=True)
        ]


@given(lengths)
def test_every_row_is_in_one_pack_and_no_pack_is_too_long(sizes: list[int]) -> None:
    rows = [token_row(number, size) for number, size in enumerate(sizes)]
    packs = pack(rows, LIMIT)
    assert sorted(row for item in packs for row in item.rows) == list(range(len(sizes)))
    for item in packs:
        assert item.length == sum(sizes[row] for row in item.rows) <= LIMIT
        assert list(item.rows) == sorted(item.rows)
    assert packs == pack(rows, LIMIT)


@given(lengths)
def test_no_two_packs_could_be_one(sizes: list[int]) -> None:
    packs = pack([token_row(0, size) for size in sizes], LIMIT)
    emptiest = sorted(item.length for item in packs)[:2]
    assert len(emptiest) < 2 or sum(emptiest) > LIMIT


def test_best_fit_fills_the_fullest_pack_that_has_room() -> None:
    packs = pack([token_row(0, size) for size in (50, 40, 20, 14, 4)], LIMIT)
    assert [item.rows for item in packs] == [(0, 3), (1, 2, 4)]


def test_a_row_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="65 tokens, limit 64"):
        pack([token_row(0, LIMIT + 1)], LIMIT)


def test_rows_are_tokenized_whole_or_not_at_all() -> None:
    short, long = example(1, "hi", "yes"), example(2, "x" * 100, "yes")
    row, refused = tokenize([short, long], ByteTokenizer(), 40)
    assert bytes(row.input_ids) == b"\x01Decode.\nhiyes\x00"
    assert (row.prompt_length, row.num_labels) == (11, 4)
    assert refused == TooLong(long.id, 113, 40)


def test_an_answer_that_never_ends_is_refused() -> None:
    tokenizer = ByteTokenizer()
    tokenizer.end = []
    with pytest.raises(ValueError, match="end token"):
        list(tokenize([example(1, "hi", "yes")], tokenizer, 40))


def test_a_row_of_which_everything_would_be_learned_is_refused() -> None:
    tokenizer = ByteTokenizer()
    tokenizer.begin = []
    with pytest.raises(DataError, match="the whole row would be learned"):
        list(tokenize([example(1, "hi", "yes")], tokenizer, 40))


def test_an_answer_without_tokens_is_refused() -> None:
    class Deaf(ByteTokenizer):
        def encode_rows(self, prompts, completions):
            return [
                (prompt, [self.end_id]) for prompt, _ in super().encode_rows(prompts, completions)
            ]

    with pytest.raises(DataError, match="no token of the output 'yes'"):
        list(tokenize([example(1, "hi", "yes")], Deaf(), 40))


def test_rows_come_in_order_through_many_batches() -> None:
    rows = [example(number, "x" * (number % 50), "yes") for number in range(1200)]
    found = list(tokenize(iter(rows), ByteTokenizer(), 40))
    assert [row.id for row in found] == [row.id for row in rows]
    assert {type(row) for row in found} == {TooLong, TokenRow}
