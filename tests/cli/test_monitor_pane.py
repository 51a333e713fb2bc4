"""The monitor in a real terminal, over the log of a real run; ETHTUNE_WRITE_GOLDEN=1 accepts."""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from pathlib import Path

import pytest
from tmux import MONITOR, needs_tmux, open_pane

from ethtune.core.runlock import RunLock

pytestmark = needs_tmux
__all__ = ["open_pane"]  # a fixture
GOLDEN = Path(__file__).parents[1] / "golden"
# of the clock, and of this machine's memory
VARYING = re.compile(r"\d+s so far|(?<=/)[\d.]+(?= GiB process)")
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7])(?:;\d+)*m")


@pytest.fixture
def runs(tmp_path):
    """A folder with one finished run."""
    shutil.copytree(GOLDEN / "real_run", tmp_path / "runs" / "real")
    (tmp_path / "runs" / "real" / "manifest.json").write_text("{}")
    (tmp_path / "runs" / "real" / "lock").write_text("")
    return tmp_path / "runs"


@pytest.fixture
def training(runs):
    """The same run as it was after 85 steps, in the hands of a process that lives."""
    events = runs / "real" / "events.jsonl"
    lines = [json.loads(line) for line in events.read_text().splitlines()]
    end = next(i for i, line in enumerate(lines) if line.get("step") == 85)
    late = time.time() - lines[end]["time"]
    shown = [line | {"time": line["time"] + late} for line in lines[: end + 1]]
    events.write_text("".join(json.dumps(line) + "\n" for line in shown))
    lock = RunLock(runs / "real" / "lock")
    yield runs
    lock.release()


def accepted(name, shown):
    """What was seen, beside what was accepted as right."""
    shown, path = VARYING.sub("~", shown), GOLDEN / f"{name}.txt"
    if os.environ.get("ETHTUNE_WRITE_GOLDEN"):
        path.write_text(shown, encoding="utf-8")
    return shown, path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [80, 120])
def test_pane_beside_a_training(open_pane, training, width):
    pane = open_pane(*MONITOR, "runs/real", width=width, height=30, folder=training.parent)
    shown, right = accepted(f"pane_training_{width}x30", pane.wait_for("q quit"))
    assert shown == right


@pytest.mark.parametrize("colours", [{}, {"NO_COLOR": "1"}], ids=["dark", "no colour"])
def test_pane_of_what_is_over(open_pane, runs, colours):
    pane = open_pane(*MONITOR, "runs/real", width=80, height=24, folder=runs.parent,
                     TERM="xterm-256color", **colours)  # fmt: skip
    shown, right = accepted("pane_80x24", pane.wait_for("q quit"))
    assert shown == right
    assert bool(COLOUR.search(pane.text(styled=True))) is not bool(colours)


def test_keys_and_sizes(open_pane, runs):
    pane = open_pane(*MONITOR, "runs/real", width=80, height=24, folder=runs.parent)
    pane.wait_for("q quit")
    pane.press("l")
    pane.wait_for("validation loss   logarithmic")
    pane.press("+")
    pane.wait_for("last 1/2")
    pane.press("s")
    pane.wait_for("no process of this machine trains there")
    pane.press("0")
    pane.wait_for("+ − zoom")
    pane.resize(100, 35)
    frame = pane.wait_for("━" * 80).splitlines()
    assert len(frame) == 35
    assert max(map(len, frame)) < 100
    pane.press("q")
    left = pane.wait_for("[ended 0]")
    assert "ethtune evaluate runs/real" in left  # the last frame stays behind


def test_several_runs_one_that_comes_and_one_that_goes(open_pane, runs):
    pane = open_pane(*MONITOR, "runs", width=80, height=24, folder=runs.parent)
    pane.wait_for("step 120 of 120")
    shutil.copytree(runs / "real", runs / "other")
    pane.press("Left")
    assert "› real" not in pane.wait_for("tab next run")
    pane.press("Left")
    pane.wait_for("› real")
    pane.press("Up", "Enter")
    pane.wait_for(" other  finished")
    shutil.rmtree(runs / "other")
    pane.wait_for(" real  finished")
    pane.press("C-c")
    pane.wait_for("[ended 0]")
