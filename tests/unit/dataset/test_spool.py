"""Repeated rows are told from contradictions; lines come back in the order of blocks."""

from __future__ import annotations

import json

import pytest
from dataset_builders import ALICE, SENDER, example, spooled_row

from ethtune.dataset.splits import assign_splits
from ethtune.dataset.spool import open_spool, spooled


def prompt(amount: str = "1") -> str:
    return json.dumps({"to": ALICE, "call": "deposit", "args": [amount]})


def test_the_spool_tells_repeated_rows_from_contradictions() -> None:
    rows = [
        example(1, prompt()),
        example(1, prompt("2")),
        example(2, prompt()),
        example(3, prompt(), '{"action":"swap"}'),
        example(4, prompt("4")),
    ]
    with open_spool() as spool:
        assert [spool.add(spooled(row, sender=SENDER)) for row in rows] == [
            ("kept", rows[0].id),
            ("duplicate", rows[0].id),
            ("duplicate", rows[0].id),
            ("contradiction", rows[0].id),
            ("kept", rows[4].id),
        ]
        assign_splits(spool.database, (1, 0, 0))
        lines = [line.decode().rstrip("\n") for line, _ in spool.lines("train")]
    assert lines == [rows[0].to_json(), rows[4].to_json()]


@pytest.mark.parametrize(("source", "verdict"), [("user", "contradiction"), ("rules", "duplicate")])
def test_two_labels_of_the_user_for_one_transaction_contradict_each_other(source, verdict) -> None:
    rows = [
        example(1, prompt(), label_source=source),
        example(1, prompt("2"), '{"action":"swap"}', label_source=source),
    ]
    with open_spool() as spool:
        verdicts = [spool.add(spooled(row, sender=SENDER))[0] for row in rows]
    assert verdicts == ["kept", verdict]


def test_lines_are_in_the_order_of_blocks_those_without_one_first() -> None:
    blocks = [7, 3, None, 5]
    with open_spool() as spool:
        for number, block in enumerate(blocks):
            spool.add(spooled_row(number, block_number=block, line=b"%d\n" % number))
        assign_splits(spool.database, (1, 0, 0))
        assert [line for line, _ in spool.lines("train")] == [b"2\n", b"1\n", b"3\n", b"0\n"]


def test_an_augmented_row_is_for_training_unless_it_reads_like_another() -> None:
    with open_spool() as spool:
        spool.add(spooled_row(1, text=b"one"))
        assign_splits(spool.database, (1, 0, 0))
        assert spool.place(spooled_row(2, text=b"two"))
        assert not spool.place(spooled_row(3, text=b"one"))
        assert spool.query("SELECT split, COUNT(*) FROM placed") == [("train", 2)]
