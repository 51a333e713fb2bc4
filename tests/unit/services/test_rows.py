"""Rows that do not fit are left out whole; too many of them are refused, with what would do."""

from __future__ import annotations

import json
import re

import pytest

from ethtune.core.config import DataSection
from ethtune.core.errors import DataError
from ethtune.core.events import SILENT
from ethtune.services.rows import load_rows

SHORT, LONG = 10, 90


class Letters:
    """One token a character; the question has none of its own but a mark."""

    end_id = 0

    def encode_rows(self, prompts, completions):
        return [([1], [*text.encode(), 0]) for text in completions]


@pytest.fixture
def load(tmp_path):
    """``load(train, validation, **settings)``: packs of rows that are so many tokens long."""

    def write(name, lengths):
        rows = [
            {"id": f"0x{number}", "instruction": "i", "input": "", "output": "y" * (length - 2)}
            for number, length in enumerate(lengths)
        ]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(train, validation=(), *, has_budget=True, **settings):
        write("train.jsonl", train)
        write("validation.jsonl", validation)
        section = DataSection(**{"max_seq_length": 50, "packing": False} | settings)
        return load_rows(tmp_path, section, Letters(), SILENT, has_budget=has_budget)

    return run


def test_one_in_a_hundred_may_be_longer(load):
    rows = load([SHORT] * 99 + [LONG])
    assert (len(rows.train), [row.id for row in rows.too_long]) == (99, ["0x99"])
    with pytest.raises(DataError, match=r"2 of 101 training rows \(1\.98 %\)"):
        load([SHORT] * 99 + [LONG] * 2)


def test_the_refusal_names_rows_and_the_smallest_length_that_will_do(load):
    lengths = [SHORT] * 190 + [60, 70, 80, 500, 65, 66, 67, 68, 69, 71]
    with pytest.raises(DataError) as caught:
        load(lengths)
    assert "0x190: 60 tokens\n    0x191: 70 tokens\n    0x192: 80 tokens\n    and 7 more" in (
        caught.value.message
    )
    enough, longest = map(int, re.findall(r"=(\d+) ", caught.value.hint))
    assert (enough, longest) == (71, 500)
    assert len(load(lengths, max_seq_length=enough).too_long) == 2
    with pytest.raises(DataError):
        load(lengths, max_seq_length=enough - 1)
    assert not load(lengths, max_seq_length=longest).too_long
    assert caught.value.hint.endswith("--set data.max_over_length_share=0.05")
    assert len(load(lengths, max_over_length_share=0.05).too_long) == 10


def test_validation_rows_have_the_same_budget(load):
    with pytest.raises(DataError, match="5 of 100 validation rows"):
        load([SHORT] * 1000, [SHORT] * 95 + [LONG] * 5)


def test_a_sample_may_by_chance_hold_more(load):
    """Of a split within the budget, 2 of 50 sampled rows were no reason to refuse."""
    split = [SHORT] * 1000
    split[0], split[500] = LONG, LONG
    sample = {"max_eval_samples": 50}
    assert len(load([SHORT] * 9, split, **sample).too_long) == 2
    split[20:220:20] = [LONG] * 10
    with pytest.raises(DataError, match="12 of 50 validation rows"):
        load([SHORT] * 9, split, **sample)


def test_no_budget_none_allowed_and_all_allowed(load):
    lengths = [SHORT] + [LONG] * 3
    assert len(load(lengths, has_budget=False).too_long) == 3
    assert len(load(lengths, max_over_length_share=1).too_long) == 3
    with pytest.raises(DataError, match="1 of 1,001 training rows"):
        load([SHORT] * 1000 + [LONG], max_over_length_share=0)


@pytest.mark.parametrize("name", ["training", "validation"])
def test_a_split_of_which_nothing_fits_is_refused_whatever_the_budget(load, name):
    splits = ([LONG] * 2, [SHORT]) if name == "training" else ([SHORT], [LONG] * 2)
    with pytest.raises(DataError, match=f"none of the 2 {name} rows fits in 50 tokens") as caught:
        load(*splits, max_over_length_share=1)
    assert "the shortest has 90 tokens" in caught.value.hint
