"""Rows against each other: leaks by hash, input and shape, repeats, contradictions."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ethtune.core.intent import Intent
from ethtune.dataset.comparison import Comparison
from ethtune.dataset.rowforms import Row

FILES = [Path("data/train.jsonl"), Path("data/validation.jsonl"), Path("data/test.jsonl")]
HASHES = ["0x" + f"{number:02x}" * 32 for number in range(1, 60)]


def row(number: int, text: str = "a", answer: str = "b", **plain) -> Row:
    return Row("instruction", (("user", text),), answer, {"id": HASHES[number], **plain})


def found(*rows: tuple[int, Row]) -> list[tuple[str, str, str | None]]:
    """Code, place and value of what is found among rows, each with the number of its file."""
    comparison = Comparison(FILES)
    for line, (file, item) in enumerate(rows, start=1):
        intent = Intent("unknown") if "input" in item.plain else None
        comparison.add(item, intent, file=file, line=line)
    return [(each.code, each.where, each.value) for each in comparison.findings()]


@pytest.mark.parametrize(
    ("file", "other", "codes"),
    [
        (0, row(1), ["W304"]),
        (2, row(1), ["E301", "E302"]),
        (1, row(2), ["E302"]),
        (1, row(1, "c"), ["E301"]),
        (0, row(1, "c"), []),
        (0, row(2, answer="d"), ["E303"]),
        (2, row(2, answer="d"), ["E303"]),
        (2, row(2, "c", meta={"of": HASHES[1]}), ["E301"]),
        (2, row(2, "c"), []),
    ],
)
def test_the_later_row_is_found_with_the_place_of_the_first(file, other, codes) -> None:
    places = ["data/train.jsonl:2", "data/validation.jsonl:2", "data/test.jsonl:2"]
    expected = [(code, places[file], "train.jsonl:1") for code in codes]
    assert found((0, row(1)), (file, other)) == expected


def test_numbers_that_other_people_give_their_rows_are_no_hashes() -> None:
    rows = (Row("text", (), text, {"id": 1}) for text in "ab")
    assert found(*zip((0, 1), rows, strict=True)) == []


def test_texts_and_conversations_are_compared_too() -> None:
    text = Row("text", (), "a", {})
    talk = Row("chat", (("user", "a"), ("assistant", "b"), ("user", "c")), "d", {})
    other = Row("chat", (("user", "ab"), ("user", "c")), "d", {})
    assert [code for code, *_ in found((0, text), (1, text))] == ["E302"]
    assert [code for code, *_ in found((0, talk), (0, talk), (1, other))] == ["W304"]


def shaped(number: int, value: str, to: str = "0x" + "7a" * 20) -> Row:
    text = json.dumps({"to": to, "call": "stake", "args": [value]})
    return row(number, text, input=text)


def test_rows_of_one_shape_in_two_splits_are_one_finding_each_split() -> None:
    rows = [(0, shaped(1, "5")), (0, shaped(2, "6")), (2, shaped(3, "7")), (2, shaped(4, "8"))]
    assert found(*rows) == [("W305", "data/test.jsonl:3", "train.jsonl:1")]


def test_another_contract_or_a_very_common_shape_is_no_leak() -> None:
    assert found((0, shaped(1, "5")), (1, shaped(2, "5", "0x" + "7b" * 20))) == []
    many = [(number % 3, shaped(number, str(number))) for number in range(50)]
    assert found(*many) == []


def test_a_copy_has_the_shape_of_its_origin_and_no_other() -> None:
    copy = shaped(2, "6")
    copy.plain["meta"] = {"of": HASHES[9]}
    assert found((0, copy), (1, shaped(3, "7"))) == []
