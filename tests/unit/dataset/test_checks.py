"""Each thing that can be wrong with a row is found, under its own code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ethtune.core.errors import DataError
from ethtune.dataset.balance import check_balance
from ethtune.dataset.checks import CheckedRow, RowChecker
from ethtune.dataset.findings import FIXES, TITLES
from ethtune.dataset.prompts import PROMPT_VERSION
from ethtune.dataset.reading import existing_splits, read_split

INPUT = '{"to":"USDC","value":"0.5","status":"success"}'
OUTPUT = '{"action":"transfer","outcome":"success","sent":[{"asset":"ETH","amount":"0.5"}]}'


def line(**changes) -> bytes:
    row = {"id": "0x1", "instruction": "Decode.", "input": INPUT, "output": OUTPUT}
    row = {key: value for key, value in (row | changes).items() if value is not None}
    return json.dumps(row).encode()


def codes(*lines: bytes, splits: str = "", any_task: bool = False, count=None) -> list[list[str]]:
    checker = RowChecker(count_tokens=count, max_seq_length=100, any_task=any_task)
    names = {"v": "validation", "t": "test"}
    return [
        [
            finding.code
            for finding in checker.check(each, f"f:{n}", names.get(splits[n : n + 1], "train"))[1]
        ]
        for n, each in enumerate(lines)
    ]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"instruction": "a", ', "E101"),
        (b'{"instruction": "\xff"}', "E101"),
        (b"[1]", "E102"),
        (line(output=None), "E102"),
        (line(input={"to": "USDC"}), "E102"),
        (line(meta=3), "E102"),
        (b'{"text": "a finished text"}', "E102"),
        (line(output="  "), "E103"),
        (line(output="A short story."), "E201"),
        (line(output='{"action":"dance"}'), "E202"),
        (line(output=OUTPUT.replace("0.5", "0.6")), "E203"),
        (line(input=INPUT.replace('"to"', '"action":"transfer","to"')), "E204"),
        (line(input=json.dumps({"status": "success", "value": "0.5", "x": OUTPUT})), "E205"),
        (line(input="Transaction of 0.5 ETH"), "W206"),
    ],
)
def test_a_bad_row_is_found(bad: bytes, code: str) -> None:
    assert codes(bad) == [[code]]


def test_a_good_row_is_not() -> None:
    assert codes(line(), line(id="0x2", input=INPUT.replace("USDC", "DAI"))) == [[], []]


@pytest.mark.parametrize(
    ("other", "splits", "expected"),
    [
        (line(), "..", ["W304"]),
        (line(), ".t", ["E301", "E302"]),
        (line(id="0x2"), ".v", ["E302"]),
        (line(input=INPUT.replace("USDC", "DAI")), "vt", ["E301"]),
        (line(id="0x2", output=OUTPUT.replace("transfer", "deposit")), "..", ["E303"]),
    ],
)
def test_rows_are_compared_within_and_across_splits(
    other: bytes, splits: str, expected: list[str]
) -> None:
    assert codes(line(), other, splits=splits) == [[], expected]


def test_rows_without_id_are_not_taken_for_one_transaction() -> None:
    rows = (line(id=None), line(id=None, input=INPUT.replace("USDC", "DAI")))
    assert codes(*rows, splits=".t") == [[], []]


def test_another_task_is_fine_when_asked_for() -> None:
    assert codes(line(output="A short story."), any_task=True) == [[]]


def test_length_is_judged_where_it_can_be_counted() -> None:
    assert codes(line(), count=lambda example: 101) == [["E401"]]
    assert codes(line(), count=lambda example: 100) == [[]]


def test_the_dataset_as_a_whole() -> None:
    def found(*rows: CheckedRow) -> list[str]:
        return [finding.code for finding in check_balance(rows, "data")]

    def row(split: str = "train", action: str = "swap", version: int = PROMPT_VERSION):
        return CheckedRow(split, action, version)

    whole = [row("validation"), row("test"), *(row(action=name) for name in ("swap", "wrap"))]
    assert found(*whole) == []
    assert found() == ["E501", "W502", "W502"]
    assert found(*whole, *([row()] * 9)) == ["W503"]
    assert found(*whole, row("test", "bridge")) == ["W504"]
    assert found(*whole, row(version=PROMPT_VERSION + 1)) == ["W505"]
    others = [CheckedRow(each.split, each.action, PROMPT_VERSION + 1) for each in whole]
    assert found(*others) == ["W506"]


def test_every_code_has_a_fix() -> None:
    assert set(TITLES) == set(FIXES)


def test_reading_stops_at_a_bad_row_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_bytes(line() + b"\n\n" + line(id=None, meta=None) + b"\n" + line(output="") + b"\n")
    rows = read_split(tmp_path, "train")
    assert next(rows).id == "0x1"
    assert next(rows).id == f"{file}:3"
    with pytest.raises(DataError, match=r"train.jsonl:4: output is empty"):
        next(rows)


def test_a_folder_without_splits_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no train\.jsonl"):
        existing_splits(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        existing_splits(tmp_path / "missing")
    with pytest.raises(DataError, match="cannot be read"):
        next(read_split(tmp_path, "test"))
