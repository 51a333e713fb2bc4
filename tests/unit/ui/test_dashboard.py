"""Frames as a user sees them; set ETHTUNE_WRITE_GOLDEN=1 to accept changed ones."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from ethtune.core.eventlog import LoggedEvent
from ethtune.core.events import Evaluated, Message, Progress, RunEnded
from ethtune.core.runstate import RunState, fold, fold_all
from ethtune.core.units import GIB
from ethtune.services.monitoring import Snapshot
from ethtune.ui.dashboard import overview, render

GOLDEN = Path(__file__).parents[2] / "golden"
FAILED = RunEnded("failed", 100, 500.0, text="CUDA out of memory: 2.1 GiB asked for, 0.2 free")
FINISHED = RunEnded("finished", 437, 2000.0, peak_reserved_bytes=6 * GIB)


def text_of(renderable, width):
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(renderable)
    return console.file.getvalue()


def snapshot_of(events, age=3.0, **given):
    state = fold_all(events)
    now = (state.last_time or 0.0) + age
    return Snapshot(path=Path("runs/swaps"), state=state, now=now, **({"alive": True} | given))


@pytest.fixture
def snapshots(run_events, gpu):
    hot = replace(gpu, index=1, temperature_celsius=88, throttle_reasons=("hardware thermal",))
    return {
        "training": snapshot_of(run_events(), readings=(gpu,)),
        "two_gpus": snapshot_of(run_events(), readings=(gpu, hot)),
        "cpu": snapshot_of(run_events(device="cpu", until=60), readings=(gpu,)),
        "dead": snapshot_of(run_events(), age=30, alive=False),
        "stalled": snapshot_of(run_events(), age=900, pid=4242, readings=(gpu,)),
        "failed": snapshot_of(run_events(until=100, ended=FAILED), alive=False),
        "finished": snapshot_of(run_events(until=430, ended=FINISHED), alive=False),
        "loading": snapshot_of(run_events()[:2]),
        "planned": snapshot_of(run_events()[:5], readings=(gpu,)),
        "waiting": snapshot_of([], alive=None),
    }


CASES = [
    *[("training", *size) for size in ((80, 24), (80, 30), (120, 40))],
    *[(name, 80, 24) for name in ("two_gpus", "cpu", "dead", "stalled", "failed", "finished")],
    *[(name, 80, 24) for name in ("loading", "planned", "waiting")],
]


@pytest.mark.parametrize(("name", "width", "height"), CASES)
def test_frame_is_the_accepted_one(snapshots, name, width, height):
    frame = text_of(render(snapshots[name], width=width, height=height), width)
    path = GOLDEN / f"monitor_{name}_{width}x{height}.txt"
    if os.environ.get("ETHTUNE_WRITE_GOLDEN"):
        path.write_text(frame, encoding="utf-8")
    assert frame == path.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 79, 80, 120, 200])
@pytest.mark.parametrize("height", [10, 24, 30, 50, None])
def test_no_frame_leaves_its_bounds(snapshots, width, height):
    for snapshot in snapshots.values():
        lines = text_of(render(snapshot, width=width, height=height), width).splitlines()
        assert max(map(cell_len, lines)) < width
        assert height is None or len(lines) <= height


def test_long_foreign_names_neither_wrap_nor_style(run_events):
    events = run_events()
    text = "[red]\x1b[2J" + "漢字" * 100
    events.append(LoggedEvent(999, events[-1].time, Message("error", text)))
    snapshot = replace(snapshot_of(events), path=Path("x" * 300))
    frame = text_of(render(snapshot, width=80, height=24), 80)
    assert max(map(cell_len, frame.splitlines())) < 80
    assert "\x1b" not in frame
    assert "[red]" in frame


def test_dead_run_says_how_to_resume_it(snapshots):
    snapshot = replace(snapshots["dead"], path=Path("my runs/a"))
    frame = text_of(render(snapshot, width=80, height=24), 80)
    assert "ethtune resume 'my runs/a'" in frame
    assert "about" not in frame


def test_long_failure_is_readable_in_full(run_events):
    words = " ".join(f"word{i}" for i in range(20))
    ended = RunEnded("failed", 100, 5.0, text=words)
    frame = text_of(
        render(snapshot_of(run_events(until=100, ended=ended)), width=80, height=24), 80
    )
    assert all(f"word{i}" in frame for i in range(20))


def test_best_validation_is_marked(run_events):
    events = run_events(until=60)
    assert "best" in text_of(render(snapshot_of(events), width=80), 80)
    worse = LoggedEvent(999, events[-1].time, Evaluated(60, 9.0, 0.1, 1.0))
    frame = text_of(render(snapshot_of([*events, worse]), width=80), 80)
    assert "9.0000  best 1.3044" in frame


def test_losses_that_are_no_numbers_are_shown_not_drawn(run_events):
    events = run_events(until=60)
    events[-1] = replace(events[-1], event=replace(events[-1].event, loss=float("nan")))
    frame = text_of(render(snapshot_of(events), width=80, height=24), 80)
    assert "loss            nan  mean 1." in frame


def test_long_phase_shows_its_own_bar():
    state = fold(RunState(), LoggedEvent(1, 5.0, Progress("tokenizing", 500, 2000)))
    frame = text_of(render(Snapshot(Path("r"), state, now=6.0, alive=True), width=80), 80)
    assert " 25 %" in frame
    assert "turning rows into tokens: 500 of 2,000" in frame


def test_overview_lines_up_one_line_a_run(snapshots):
    chosen = [replace(s, path=Path(name)) for name, s in snapshots.items()]
    lines = text_of(overview(chosen, width=80, height=40), 80).splitlines()
    assert len(lines) == 1 + len(chosen)
    assert len({line.find("/437") for line in lines if "/437" in line}) == 1
    assert max(map(len, lines)) < 80
