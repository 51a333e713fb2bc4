"""Findings of any order come out by place; what is said of each is kept."""

from __future__ import annotations

import random
from pathlib import Path

from ethtune.dataset.findinglist import FIRST_MAX, FindingList
from ethtune.dataset.findings import Fault, Finding

FILES = [Path("train.jsonl"), Path("test.jsonl")]


def test_findings_come_out_in_order_of_file_and_line() -> None:
    wanted = [
        Finding(code, f"{file} é \ud800", str(file), line, str(line))
        for file in FILES
        for line in range(1, 40)
        for code in ("E101", "W109")
    ]
    wanted.append(Finding("W502", "missing", "folder"))
    shuffled = random.Random(3).sample(wanted, len(wanted))
    found = FindingList(FILES)
    for finding in shuffled:
        found.add(finding)
    assert len(found) == len(wanted)

    def order(item: Finding):
        return item.where, item.code

    assert sorted(found, key=order) == sorted(wanted, key=order)
    assert [item.where for item in found] == [item.where for item in wanted]
    assert found.counts == {"E101": 78, "W109": 78, "W502": 1}
    firsts = [f"train.jsonl:{line}" for line in range(1, FIRST_MAX + 1)]
    assert [item.where for item in found.first["E101"]] == firsts
    assert list(found.codes_by_line(FILES[1])) == [(n, {"E101", "W109"}) for n in range(1, 40)]
    assert next(iter(found)) == next(iter(found))


def test_what_cannot_be_written_is_escaped_and_long_texts_are_cut() -> None:
    finding = Fault("E102", "\ud800" + "a" * 10_000, "\udfff").at("f", 1)
    assert finding.message.startswith("\\ud800aaa")
    assert len(finding.message) < 400
    assert finding.value == "\\udfff"
