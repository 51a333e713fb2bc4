"""Two bare processes: what they tell each other, and what they decide together."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from accelerate.data_loader import BatchSamplerShard
from torch.utils.data import BatchSampler, SequentialSampler

from ethtune.core.errors import UsageError
from ethtune.core.ranks import Rank, rank
from ethtune.core.signals import StopSignals
from ethtune.model.processes import from_main, gathered, share_signal, total
from ethtune.model.sharing import own_share, shared_order

TALK = """
import sys, torch
from ethtune.core.errors import DivergedError, MachineError
from ethtune.core.ranks import rank
from ethtune.core.signals import StopSignals
from ethtune.model.divergence import Guard
from ethtune.model.processes import (
    LeftAlone, announce, await_task, from_main, gathered, share_signal, together, total,
)
from pathlib import Path

me = rank().index
if me == 0:
    announce("the task")
else:
    assert await_task() == "the task"
assert total([1.0, me]) == [2.0, 1.0]
assert gathered({"rank": me}) == [{"rank": 0}, {"rank": 1}]
assert from_main(lambda: me + 10) == 10

signals = StopSignals(lambda: None)
assert not share_signal(signals)
signals.received = 15 if me == 1 else None
assert share_signal(signals) and signals.received == 15

guard = Guard(lambda event: None)
guard.add(torch.tensor(float("nan") if me == 1 else 1.0), [f"row {me}"])
try:
    guard.judge(7, torch.tensor(1.0), is_scaled=False)
except DivergedError as error:
    assert "the loss is nan" in error.message and "row 1" in error.message, error.message
    assert "row 0" not in error.message
else:
    raise AssertionError("rank 1's loss is rank 0's too")

def fail():
    raise DivergedError("as rank 0 found")

try:
    from_main(fail)
except DivergedError:
    assert me == 0
except LeftAlone:
    assert me == 1

try:
    with together(Path("runs/a")):
        if me == 1:
            raise MachineError("out of memory")
        total([1.0])
except MachineError as error:
    told = "out of memory" if me else "process 1 of 2 failed: out of memory"
    assert error.message == told, error.message
print(f"rank {me} is well")
"""


def test_two_processes_decide_as_one(tmp_path):
    script = tmp_path / "talk.py"
    script.write_text(TALK, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(script)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    # the one that failed first may be ended by the launcher before it says so
    assert "rank 0 is well" in done.stdout, done.stderr


def test_a_process_alone_is_told_what_it_says():
    signals = StopSignals(lambda: None)
    assert total([1.5, 2]) == [1.5, 2]
    assert gathered("mine") == ["mine"]
    assert from_main(lambda: 3) == 3
    assert not share_signal(signals)
    signals.received = 2
    assert share_signal(signals)


@pytest.mark.parametrize(("environment", "expected"), [
    ({}, Rank()),
    ({"RANK": "1", "WORLD_SIZE": "4"}, Rank(1, 4, is_launched=True)),
    ({"RANK": "0", "WORLD_SIZE": "1"}, Rank(0, 1, is_launched=True)),
    ({"WORLD_SIZE": "4"}, Rank()),
])  # fmt: skip
def test_a_rank_is_what_the_launcher_said(monkeypatch, environment, expected):
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert rank() == expected


def test_a_rank_that_cannot_be_is_refused(monkeypatch):
    monkeypatch.setenv("RANK", "4")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(UsageError, match="RANK=4 and WORLD_SIZE=4"):
        rank()


@pytest.mark.parametrize(("num_rows", "batch_rows", "size"), [(9, 4, 2), (5, 1, 3), (8, 2, 2)])
def test_every_row_is_dealt_out_once_in_the_order_of_one(monkeypatch, num_rows, batch_rows, size):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", str(size))
    torch.manual_seed(3)
    order = shared_order([*range(num_rows), "blank"], batch_rows)
    dealt = [
        list(
            BatchSamplerShard(BatchSampler(again(order), batch_rows, drop_last=False), size, index)
        )
        for index in range(size)
    ]
    assert len({len(batches) for batches in dealt}) == 1
    in_turn = [row for together in zip(*dealt, strict=True) for batch in together for row in batch]
    assert in_turn[:num_rows] == list(again(order))[:num_rows]
    assert sorted(in_turn[:num_rows]) == list(range(num_rows))
    assert set(in_turn[num_rows:]) <= {num_rows}


def again(order):
    """From the first epoch's beginning."""
    order.set_epoch(0)
    return SequentialList(list(order))


class SequentialList(SequentialSampler):
    """A sampler of what is in it."""

    def __iter__(self):
        return iter(self.data_source)


def test_shares_of_validation_hold_every_row_once(monkeypatch):
    from datasets import Dataset

    dataset, found = Dataset.from_dict({"row": [*range(7), -1]}), []  # the last one is blank
    monkeypatch.setenv("WORLD_SIZE", "3")
    for index in range(3):
        monkeypatch.setenv("RANK", str(index))
        found += own_share(dataset)["row"]
        assert len(found) == 3 * (index + 1)  # a pass through parts of a model needs all of them
    assert sorted(found) == [-1, -1, *range(7)]
