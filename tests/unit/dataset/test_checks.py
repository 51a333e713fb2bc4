"""Each thing that can be wrong with a row is found, under its own code; good rows pass."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ethtune.core.errors import DataError
from ethtune.dataset.balance import Tally, balance_faults
from ethtune.dataset.checks import LineChecker
from ethtune.dataset.prompts import PROMPT_VERSION
from ethtune.dataset.rawlines import RawLine
from ethtune.dataset.reading import existing_splits, read_split
from ethtune.dataset.rowforms import Row

INPUT = '{"to":"USDC","value":"0.5","status":"success"}'
OUTPUT = '{"action":"transfer","outcome":"success","sent":[{"asset":"ETH","amount":"0.5"}]}'
HASH = "0x" + "1f" * 32
CHECKSUMMED = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"  # the first example of EIP-55


def line(**changes) -> bytes:
    row = {"id": HASH, "instruction": "Decode.", "input": INPUT, "output": OUTPUT}
    row = {key: value for key, value in (row | changes).items() if value is not None}
    return json.dumps(row).encode()


def sent(amount, asset="ETH", **more) -> str:
    entry = {"asset": asset, "amount": amount} | more
    plain = {"action": "transfer", "outcome": "unknown", "sent": [entry]}
    return json.dumps(plain, separators=(",", ":"))


def chat(*turns: tuple[str, object]) -> bytes:
    return json.dumps({"messages": [{"role": r, "content": c} for r, c in turns]}).encode()


def checker(*, any_task: bool = False) -> LineChecker:
    return LineChecker(any_task=any_task, decimals={"ETH": 18, "USDC": 6, "NFT": 0})


def codes(*lines: bytes, any_task: bool = False) -> list[list[str]]:
    """Codes of every line of one file."""
    file = checker(any_task=any_task)
    checked = (file.check(RawLine(n, len(each), each)) for n, each in enumerate(lines, start=1))
    return [[fault.code for fault in one.faults] for one in checked]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b'{"instruction": "a", ', "E101"),
        (b'{"instruction": "\xff"}', "E101"),
        (b"\0\0\0\0", "E101"),
        (b"[" * 100_000, "E101"),
        (b'{"id":' + b"9" * 5000 + b"}", "E101"),
        (b'{"id":NaN}', "E101"),
        (b"[1]", "E102"),
        (line(output=None), "E102"),
        (line(input={"to": "USDC"}), "E102"),
        (line(meta=3), "E102"),
        (b'{"ouput": "a"}', "E102"),
        (b'{"text": 5}', "E102"),
        (b'{"messages": "hello"}', "E102"),
        (b'{"messages": ["hello"]}', "E102"),
        (b'{"conversations": [{"role": "user", "content": "a"}]}', "E102"),
        (line(output="  "), "E103"),
        (b'{"text": " "}', "E103"),
        (b'{"messages": []}', "E103"),
        (chat(("user", "a")), "E103"),
        (chat(("user", "a"), ("assistant", "")), "E103"),
        (chat(("user", "a"), ("assistant", "b"), ("user", "c")), "E105"),
        (chat(("assistant", "a")), "E105"),
        (chat(("user", "a"), ("user", "b"), ("assistant", "c")), "E105"),
        (chat(("user", "a"), ("system", "b"), ("assistant", "c")), "E105"),
        (chat(("user", ""), ("assistant", "c")), "E105"),
        (chat(("user", "a"), ("robot", "b")), "E105"),
        (line(instruction="\ud800"), "E106"),
        (line(output="A short story."), "E201"),
        (line(output="[]"), "E201"),
        (line(output='{"action":"dance"}'), "E202"),
        (line(output='{"action":"transfer","sent":[{"ass'), "E202"),
        (line(output='{"action":"wrap","action":"wrap"}'), "E202"),
        (line(output='{"action":"transfer","recipient":"' + CHECKSUMMED + '"}'), "E202"),
        (line(output=OUTPUT.replace("0.5", "0.6")), "E203"),
        (line(input=INPUT.replace('"to"', '"action":"transfer","to"')), "E204"),
        (line(input='{"status":"success","value":"0.5","a":[{"label":1}]}'), "E204"),
        (line(input=json.dumps({"status": "success", "value": "0.5", "x": OUTPUT})), "E205"),
        (line(instruction=f"Say {OUTPUT}"), "E205"),
        (line(input="Transaction of 0.5 ETH"), "W206"),
        (line(input="[" * 900 + "]" * 900), "W206"),
        (line(output=sent(0.5)), "E207"),
        (line(output=sent(5)), "E207"),
        (line(output=sent("5e-1")), "E207"),
        (line(output=sent("1", token_id=7)), "E207"),
        (line(output=OUTPUT + " That is all."), "E208"),
        (line(output=f"```json\n{OUTPUT}\n```"), "E208"),
        (line(input=INPUT.replace("USDC", CHECKSUMMED[:-1] + "D")), "E209"),
        (line(id="row-1"), "W210"),
        (line(id=7), "W210"),
        (line(input='{"value":"0.5","x":"1.23456789 USDC"}', output=sent("1.23456789", "USDC")),
         "E212"),
        (line(input=INPUT.replace("}", ',"gas":1.5}')), "W215"),
        (line(meta={"view": "signing"}), "E213"),
        (line(output=OUTPUT.replace("success", "unknown")), "W216"),
        (line(output=json.dumps(json.loads(OUTPUT))), "W214"),
        (line(comment="reviewed"), "W109"),
    ],
)  # fmt: skip
def test_a_bad_row_is_found(bad: bytes, code: str) -> None:
    assert codes(bad) == [[code]]


@pytest.mark.parametrize(
    ("amount", "asset", "is_fine"),
    [
        (str(2**256 - 1), "0x" + "ab" * 20, True),
        (str(2**256), "0x" + "ab" * 20, False),
        ("115792089237316195423570985008687907853269984665640564039457.584007913129639935", "ETH",
         True),
        ("115792089237316195423570985008687907853269984665640564039457.584007913129639936", "ETH",
         False),
        ("9" * 6000, "NFT", False),
        ("unlimited", "USDC", True),
    ],
)  # fmt: skip
def test_no_amount_is_greater_than_the_chain_has_numbers(
    amount: str, asset: str, is_fine: bool
) -> None:
    seen = json.dumps({"args": [amount if amount != "unlimited" else "max"], "to": asset})
    (found,) = codes(line(input=seen, output=sent(amount, asset)))
    assert found == ([] if is_fine else ["E211"])


@pytest.mark.parametrize(
    "good",
    [
        line(),
        line(id=None),
        line(input=INPUT.replace("USDC", CHECKSUMMED)),
        line(input=INPUT.replace("USDC", CHECKSUMMED.lower())),
        line(input=INPUT.replace("USDC", "0x" + CHECKSUMMED[2:].upper())),
        line(meta={"view": "receipt"}),
    ],
)
def test_a_good_row_is_not(good: bytes) -> None:
    assert codes(good) == [[]]


@pytest.mark.parametrize(
    "good",
    [
        b'{"text": "a finished text"}',
        chat(("user", "a"), ("assistant", "b")),
        chat(("system", ""), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")),
        chat(("user", "a"), ("assistant", "b"), ("tool", "c"), ("tool", "d"), ("assistant", "e")),
        chat(("user", [{"type": "text", "text": "a"}]), ("assistant", "b")),
        b'{"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]}',
        b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": null,'
        b' "tool_calls": [{"id": "1"}]}]}',
    ],
)
def test_foreign_rows_are_fine_as_such_and_said_once_not_to_be_read(good: bytes) -> None:
    assert codes(good, good) == [["W110"], []]


def test_a_file_has_one_form() -> None:
    text = b'{"text": "a finished text"}'
    assert codes(line(), text, line(), text) == [[], ["E104"], [], ["E104"]]


def test_another_task_is_fine_when_asked_for() -> None:
    found = codes(line(output="A short story."), line(output="N/A"), any_task=True)
    assert found == [[], ["W111"]]


def test_messages_say_where_in_the_line_and_what() -> None:
    def said(raw: bytes) -> str:
        return checker().check(RawLine(1, len(raw), raw)).faults[0].message

    assert "byte 0xff at column 4 " in said(b'{"a\xff": 1}')
    assert "at column 9: " in said(b'{"a": 1 "b": 2}')
    assert "NUL bytes" in said(b"\0" * 9)
    assert "sent[0].amount is 0.1000000000000000055" in said(
        line(output=OUTPUT.replace('"0.5"', "0.1000000000000000055"))
    )
    assert "USDC" not in said(line(output="x" * 10_000_000 + "USDC"))


def test_what_holds_for_all_lines_is_said_once() -> None:
    file = checker()
    lines = [RawLine(n, 1, line(note="a"), n == 1, has_carriage_return=True) for n in (1, 2, 3)]
    found = [[fault.code for fault in file.check(each).faults] for each in lines]
    assert found == [["W108", "W108", "W109"], [], []]


def test_the_dataset_as_a_whole() -> None:
    def found(*rows: tuple[str, str, int]) -> list[str]:
        tally = Tally()
        for split, action, version in rows:
            intent = checker().check(RawLine(1, 1, line(output=f'{{"action":"{action}"}}'))).intent
            row = Row("instruction", (), "", {"meta": {"prompt_version": version}})
            tally.add(row, intent, split)
        return [fault.code for fault in balance_faults(tally, is_folder=True)]

    def row(split: str = "train", action: str = "swap", version: int = PROMPT_VERSION):
        return split, action, version

    whole = [row("validation"), row("test"), *(row(action=name) for name in ("swap", "wrap"))]
    assert found(*whole) == []
    assert found() == ["E501", "W502", "W502"]
    assert found(*whole, *([row()] * 9)) == ["W503"]
    assert found(*whole, row("test", "bridge")) == ["W504"]
    assert found(*whole, row(version=PROMPT_VERSION + 1)) == ["W505"]
    others = [row(split, action, PROMPT_VERSION + 1) for split, action, _ in whole]
    assert found(*others) == ["W506"]


def test_reading_stops_at_a_bad_row_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_bytes(line() + b"\n\n" + line(id=None, meta=None) + b"\n" + line(output="") + b"\n")
    rows = read_split(tmp_path, "train")
    assert next(rows).id == HASH
    assert next(rows).id == f"{file}:3"
    with pytest.raises(DataError, match=r"train.jsonl:4: output is empty"):
        next(rows)


def test_a_row_nested_too_deep_to_show_ends_reading_with_its_place(tmp_path: Path) -> None:
    deep = b"[" * 800 + b"]" * 800
    (tmp_path / "train.jsonl").write_bytes(b'{"instruction": %s}' % deep)
    with pytest.raises(DataError, match=r"train.jsonl:1: "):
        next(read_split(tmp_path, "train"))


def test_a_folder_without_splits_is_no_dataset(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no train\.jsonl"):
        existing_splits(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        existing_splits(tmp_path / "missing")
    with pytest.raises(DataError, match="cannot be read"):
        next(read_split(tmp_path, "test"))
