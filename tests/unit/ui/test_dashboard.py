"""Frames as a user sees them; set ETHTUNE_WRITE_GOLDEN=1 to accept changed ones."""

from __future__ import annotations

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from ethtune.core.diagnosing import diagnose
from ethtune.core.diagnosis import Diagnosis, Surroundings
from ethtune.core.eventlog import LoggedEvent
from ethtune.core.events import Evaluated, Message, Progress, RunEnded, StepLogged
from ethtune.core.runstate import RunState, fold, fold_all
from ethtune.core.units import GIB
from ethtune.services.snapshot import Snapshot
from ethtune.ui.dashboard import render
from ethtune.ui.losscurve import Scale
from ethtune.ui.overview import overview

GOLDEN = Path(__file__).parents[2] / "golden"
FAILED = RunEnded("failed", 100, 500.0, text="CUDA out of memory: 2.1 GiB asked for, 0.2 free")
FINISHED = RunEnded("finished", 437, 2000.0, peak_reserved_bytes=6 * GIB)


def text_of(renderable, width):
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(renderable)
    return console.file.getvalue()


def snapshot_of(events, age=3.0, readings=(), **given):
    state = fold_all(events)
    silent = None if state.last_time is None else age
    around = Surroundings(
        folder="runs/swaps",
        is_alive=given.pop("alive", True),
        silent_seconds=silent,
        looks=(readings,) if readings else (),
        ram_total_bytes=32 * GIB,
        ram_available_bytes=20 * GIB,
        disk_free_bytes=100 * GIB,
        **given,
    )
    return Snapshot(Path("runs/swaps"), state, around, diagnose(state, around))


@pytest.fixture
def snapshots(run_events, gpu):
    hot = replace(gpu, index=1, temperature_celsius=88, throttle_reasons=("hardware thermal",))
    return {
        "training": snapshot_of(run_events(), readings=(gpu,)),
        "two_gpus": snapshot_of(run_events(), readings=(gpu, hot)),
        "cpu": snapshot_of(run_events(device="cpu", until=60), readings=(gpu,)),
        "dead": snapshot_of(run_events(), age=30, alive=False),
        "stalled": snapshot_of(run_events(), age=900, pid=4242, readings=(gpu,)),
        "paused": snapshot_of(run_events(), age=900, pid=4242, is_stopped=True),
        "failed": snapshot_of(run_events(until=100, ended=FAILED), alive=False),
        "finished": snapshot_of(run_events(until=430, ended=FINISHED), alive=False),
        "overfitting": snapshot_of(overfitted(run_events(until=430))),
        "loading": snapshot_of(run_events()[:2]),
        "planned": snapshot_of(run_events()[:5], readings=(gpu,)),
        "reading": replace(snapshot_of(run_events()), unread_share=0.4),
        "waiting": snapshot_of([], alive=None),
    }


def overfitted(events):
    """With validation losses that rise from step 150 on, and a spike of the training loss."""
    for number, logged in enumerate(events):
        event = logged.event
        if isinstance(event, Evaluated) and event.step > 150:
            worse = replace(event, eval_loss=event.eval_loss + (event.step - 150) / 300)
            events[number] = replace(logged, event=worse)
        elif isinstance(event, StepLogged) and event.step == 410:
            events[number] = replace(logged, event=replace(event, loss=4.25))
    return events


CASES = [
    *[("training", *size) for size in ((80, 24), (80, 30), (120, 40))],
    *[(name, 80, 24) for name in ("two_gpus", "cpu", "dead", "stalled", "paused", "failed")],
    *[(name, 80, 24) for name in ("finished", "loading", "planned", "reading", "waiting")],
    *[("overfitting", *size) for size in ((80, 24), (80, 30), (120, 40))],
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
    dead = snapshots["dead"]
    around = replace(dead.around, folder="'my runs/a'")
    snapshot = replace(dead, diagnoses=diagnose(dead.state, around))
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
    frame = text_of(render(Snapshot(Path("r"), state), width=80), 80)
    assert " 25 %" in frame
    assert "turning rows into tokens: 500 of 2,000" in frame


def test_overview_lines_up_one_line_a_run(snapshots):
    chosen = [replace(s, path=Path(name)) for name, s in snapshots.items()]
    lines = text_of(overview(chosen, width=80, height=40), 80).splitlines()
    assert len(lines) == 1 + len(chosen)
    assert len({line.find("/437") for line in lines if "/437" in line}) == 1
    assert max(map(len, lines)) < 80


def test_overview_shows_those_around_the_chosen_one_and_names_troubles(snapshots):
    chosen = [replace(snapshots["training"], path=Path(f"run{n}")) for n in range(30)]
    lines = text_of(overview(chosen, width=80, height=8, selected=Path("run20")), 80).splitlines()
    assert len(lines) == 8
    assert [line for line in lines if line.startswith(" › run20 ")]
    ill = [snapshots["overfitting"]]
    assert "overfitting" in text_of(overview(ill, width=120), 120)
    assert "overfitting" not in text_of(overview(ill, width=80), 80)


def test_nothing_above_the_curve_moves_when_a_diagnosis_comes(snapshots):
    """The frame with and without one: the same lines down to the curve."""
    ill = snapshots["overfitting"]
    frames = [
        text_of(render(each, width=80, height=30), 80).splitlines()
        for each in (ill, replace(ill, diagnoses=()))
    ]
    first = next(i for i, line in enumerate(frames[0]) if "training loss" in line)
    assert frames[0][:first] == frames[1][:first]


def test_curve_and_its_axis_stand_still_while_steps_come(run_events):
    def frame(until):
        shown = render(snapshot_of(run_events(device="cpu", until=until)), width=80, height=30)
        return text_of(shown, 80).splitlines()

    before, after = frame(210), frame(240)
    assert [line for line in before if line.strip().startswith("0  ")] == [
        line for line in after if line.strip().startswith("0  ")
    ]
    row = next(i for i, line in enumerate(before) if " 2 ┤" in line)
    assert before[row] == after[row]


def test_zoom_and_logarithm_are_said(snapshots):
    frame = text_of(
        render(snapshots["training"], width=80, height=30, scale=Scale(2, is_log=True)), 80
    )
    assert "logarithmic   last 1/4" in frame


def test_many_diagnoses_leave_room_for_the_curve(snapshots):
    many = tuple(Diagnosis("spike", "warning", "x" * 90, "y" * 90) for _ in range(9))
    frame = text_of(render(replace(snapshots["cpu"], diagnoses=many), width=80, height=24), 80)
    assert "training loss" in frame
    assert len(frame.splitlines()) <= 24


def test_lines_that_are_no_events_are_said(snapshots):
    frame = text_of(render(replace(snapshots["cpu"], num_unknown=1234), width=80), 80)
    assert "1,234 lines of the log are damaged or of another version" in frame
