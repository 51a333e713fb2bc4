"""Lines that another process reads tell the same as lines read here, broken ones included."""

from __future__ import annotations

import json
import pickle

from ethtune.chain.sources import (
    Rejected,
    Unread,
    read_transactions,
    record_of,
    unread_transactions,
)

HASH, SENDER = "0x" + "ab" * 32, "0x" + "cd" * 20
ROW = {"hash": HASH, "from": SENDER, "to": None, "value": "5", "input": "0x60", "block_number": 1}
RENAMED = {"tx_hash": HASH} | {name: value for name, value in ROW.items() if name != "hash"}
PAIR = {"transaction": ROW | {"chainId": "0x1"}, "receipt": None}


def test_lines_read_elsewhere_tell_the_same(tmp_path) -> None:
    lines = [*map(json.dumps, [ROW, RENAMED, ROW | {"value": "?"}, [1]]), '{"torn', "", " \t"]
    (tmp_path / "rows.jsonl").write_text("\n".join(lines))
    (tmp_path / "pairs.jsonl").write_text(json.dumps(PAIR))
    items = list(unread_transactions(tmp_path))
    assert {type(item) for item in items} == {Unread}
    records = [record_of(item) for item in pickle.loads(pickle.dumps(items))]
    assert records == list(read_transactions(tmp_path))
    reasons = [item.reason for item in records if isinstance(item, Rejected)]
    assert len(records) == 6
    assert [reason.split()[0] for reason in reasons] == ["value", "expected", "not"]


def test_rows_that_are_no_lines_of_json_are_read_at_once(tmp_path) -> None:
    (tmp_path / "rows.json").write_text(json.dumps([ROW, ROW | {"value": "?"}]))
    items = list(unread_transactions(tmp_path))
    assert items == list(map(record_of, items)) == list(read_transactions(tmp_path))
    assert isinstance(items[1], Rejected)
