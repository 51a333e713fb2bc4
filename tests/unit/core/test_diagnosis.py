"""What is said of a run that ails, by table; how often that is right, by counting."""

from __future__ import annotations

import math
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ethtune.core.diagnosing import diagnose
from ethtune.core.diagnosis import Surroundings
from ethtune.core.eventlog import LoggedEvent
from ethtune.core.events import (
    CheckpointSaved,
    Evaluated,
    PhaseStarted,
    RunEnded,
    RunStarted,
    StepLogged,
    TrainingPlanned,
)
from ethtune.core.reading import GpuReading
from ethtune.core.runstate import RunState, fold_all
from ethtune.core.trends import fitted, medians, noise
from ethtune.core.units import GIB

STARTED = RunStarted("ethtune train", 7, "model", "RTX")
PLAN = TrainingPlanned(400, 1, 800, 80, 8, 10_000, 0.1)
CARD = GpuReading(
    0, "RTX", memory_total_bytes=100 * GIB, memory_used_bytes=60 * GIB, utilization_percent=95,
    temperature_celsius=70, throttle_reasons=(),
)  # fmt: skip
WELL = Surroundings(
    is_alive=True, pid=7, silent_seconds=1.0, looks=((CARD,),) * 20, ram_total_bytes=100 * GIB,
    ram_available_bytes=50 * GIB, disk_free_bytes=100 * GIB,
)  # fmt: skip


def step(number, loss=1.0, **given):
    values = {
        "epoch": number / 100, "learning_rate": 1e-4, "grad_norm": 1.0, "num_steps": 1,
        "num_tokens": 50, "seconds": 2.0, "data_wait_seconds": 0.0, "allocated_bytes": None,
        "reserved_bytes": None, "process_bytes": GIB,
    }  # fmt: skip
    return StepLogged(step=number, loss=loss, **values | given)


def state_of(*events):
    log = [STARTED, PLAN, PhaseStarted("training", 400), *events]
    return fold_all(LoggedEvent(i, float(i), event) for i, event in enumerate(log))


def steps(losses, **given):
    return [step(number, loss, **given) for number, loss in enumerate(losses, start=1)]


def falling(count=60):
    """With a ripple, as a loss without one is none."""
    return [1 + 2 * math.exp(-n / 20) + 0.05 * math.sin(n * n) for n in range(count)]


def kinds(state, around=WELL, before=()):
    return [found.kind for found in diagnose(state, around, before)]


CURVES = {
    "nothing": (falling(), {}, []),
    "nan": ([*falling(), math.nan], {}, ["no_number"]),
    "zero loss": ([*falling(), 0.0, 0.0, 0.0], {}, ["zero_loss"]),
    "two zero losses": ([*falling(), 0.0, 0.0], {}, []),
    "frozen": (falling(), {"grad_norm": 0.0}, ["zero_gradient"]),
    "no norm": (falling(), {"grad_norm": None}, []),
    "diverging": ([*falling(), *[4.0] * 20], {}, ["diverging", "spike"]),
    "thrown off": ([3.0, *[6.0] * 30], {"learning_rate": 1.0}, ["rate_too_high"]),
    "spike": ([*falling(), 5.0, *falling()[-9:]], {}, ["spike"]),
    "too low": ([3 + 0.02 * math.sin(n * n) for n in range(80)], {"learning_rate": 1e-6},
                ["rate_too_low"]),
    "flat at a usual rate": ([3 + 0.02 * math.sin(n * n) for n in range(150)], {}, ["plateau"]),
}  # fmt: skip


@pytest.mark.parametrize("name", CURVES)
def test_curves(name):
    losses, given, expected = CURVES[name]
    assert kinds(state_of(*steps(losses, **given))) == expected


def test_norms_overflow_now_and_then_in_float16():
    events = steps(falling())
    for number in (20, 40):
        events[number] = replace(events[number], grad_norm=math.inf)
    assert kinds(state_of(*events)) == []
    events[50] = replace(events[50], grad_norm=math.inf)
    assert kinds(state_of(*events)) == ["no_number"]


def with_evaluations(losses, count=80):
    """Evenly among falling steps."""
    events = steps(falling(count))
    for number, loss in enumerate(losses, start=1):
        at = number * count // len(losses)
        events.insert(at + number - 1, Evaluated(at, loss, 0.5, 1.0))
    return state_of(*events)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([2.0, 1.5, 1.2, 1.3, 1.4, 1.5], ["overfitting"]),
        ([2.0, 1.5, 1.2, 1.3, 1.4, 1.2], []),  # came back
        ([2.0, 1.5, 1.2, 1.205, 1.21, 1.215], []),  # within the noise
        ([2.0, 1.5, 1.4, 1.3, 1.4, 1.5], []),  # not for long enough
        ([2.0, 1.5, 1.2, 1.3, 1.4, math.nan], ["no_number"]),
    ],
)
def test_overfitting(losses, expected):
    assert kinds(with_evaluations(losses)) == expected


def looks(count=20, **given):
    return replace(WELL, looks=((replace(CARD, **given),),) * count)


HOT = {"throttle_reasons": ("hardware thermal",)}
SLOWER = [replace(event, seconds=2.0 if event.step <= 60 else 2.6) for event in steps(falling(120))]
MACHINES = {
    "well": (steps(falling()), WELL, []),
    "starved": (steps(falling(), data_wait_seconds=0.5), WELL, ["data_starved"]),
    "fed": (steps(falling(), data_wait_seconds=0.2), WELL, []),
    "starved and idle": (steps(falling(), data_wait_seconds=0.2), looks(utilization_percent=60),
                         ["data_starved"]),
    "idle, not starved": (steps(falling()), looks(utilization_percent=60), []),
    "hot": (SLOWER, looks(**HOT), ["throttled"]),
    "hot, as fast": (steps(falling()), looks(**HOT), []),
    "slower, not hot": (SLOWER, WELL, []),
    "hot for too few looks": (SLOWER, looks(count=5, **HOT), []),
    "another's card is hot": (SLOWER, looks(name="GTX", **HOT), []),
    "at its power cap": (SLOWER, looks(throttle_reasons=("power cap",)), []),
    "braked": (steps(falling()), looks(throttle_reasons=("power brake",)), ["power_brake"]),
    "full card": (steps(falling()), looks(memory_used_bytes=98 * GIB), ["memory_nearly_full"]),
    "filled card": (steps(falling()), looks(memory_used_bytes=96 * GIB), []),
    "silent card": (steps(falling()), looks(memory_total_bytes=None, throttle_reasons=None), []),
    "full machine": (steps(falling()), replace(WELL, looks=(), ram_available_bytes=2 * GIB),
                     ["memory_nearly_full"]),
    "full disk": (steps(falling()), replace(WELL, disk_free_bytes=GIB // 4),
                  ["disk_nearly_full"]),
    "no room for a checkpoint": ([*steps(falling()), CheckpointSaved(60, "c", 8 * GIB, 1.0)],
                                 replace(WELL, disk_free_bytes=10 * GIB), ["disk_nearly_full"]),
    "stalled": (steps(falling()), replace(WELL, silent_seconds=61.0), ["stalled"]),
    "paused": (steps(falling()), replace(WELL, silent_seconds=61.0, is_stopped=True), ["paused"]),
    "dead": (steps(falling()), replace(WELL, is_alive=False, disk_free_bytes=0), ["dead"]),
    "long evaluation": ([*steps(falling()), Evaluated(60, 1.0, 0.5, 20.0),
                         PhaseStarted("evaluating")], replace(WELL, silent_seconds=290.0), []),
    "hung evaluation": ([*steps(falling()), Evaluated(60, 1.0, 0.5, 20.0),
                         PhaseStarted("evaluating")], replace(WELL, silent_seconds=310.0),
                        ["stalled"]),
    "ended": ([*steps(falling(), data_wait_seconds=0.5), RunEnded("finished", 60, 1.0)],
              replace(WELL, is_alive=False, disk_free_bytes=0), []),
}  # fmt: skip


@pytest.mark.parametrize("name", MACHINES)
def test_machines(name):
    events, around, expected = MACHINES[name]
    assert kinds(state_of(*events), around) == expected


def test_a_card_that_is_lost_stays_lost():
    state, gone = state_of(*steps(falling())), (GpuReading(0, "GPU 0"),)
    around = replace(WELL, looks=(*WELL.looks, gone))
    found = diagnose(state, around)
    assert [each.kind for each in found] == ["gpu_lost"]
    later = replace(WELL, looks=(gone,) * 60)
    assert kinds(state, later) == [], "nobody saw it answer"
    assert kinds(state, later, found) == ["gpu_lost"]
    assert kinds(state, WELL, found) == []
    other = replace(WELL, looks=((CARD, replace(gone[0], index=1, name="GPU 1")),) * 20)
    assert kinds(state, other) == [], "not the run's"


def test_several_processes_are_judged_by_each_of_their_cards():
    """Two of three cards of the name; a run on one of them minds one."""
    hot = replace(CARD, index=1, memory_used_bytes=55 * GIB, **HOT)
    full = replace(CARD, index=2, memory_used_bytes=98 * GIB)
    small = replace(CARD, index=0, memory_used_bytes=GIB, utilization_percent=5)
    around = replace(WELL, looks=((small, hot, full),) * 20)
    two = state_of(replace(STARTED, device="2 x RTX"), PLAN, PhaseStarted("training"), *SLOWER)
    assert (two.num_processes, two.device, two.is_on_cpu) == (2, "RTX", False)
    assert kinds(two, around) == ["throttled", "memory_nearly_full"]
    assert kinds(state_of(*SLOWER), around) == ["memory_nearly_full"]
    assert state_of(replace(STARTED, device="4 x CPU, 8 of 32 threads")).is_on_cpu


def test_a_diagnosis_goes_at_better_figures_than_it_came_at():
    state = state_of(*steps(falling()))
    for used, known, expected in ((96, False, False), (98, False, True), (96, True, True)):
        before = diagnose(state, looks(memory_used_bytes=98 * GIB)) if known else ()
        found = diagnose(state, looks(memory_used_bytes=used * GIB), before)
        assert bool(found) is expected
    before = diagnose(state, looks(memory_used_bytes=98 * GIB))
    assert diagnose(state, looks(memory_used_bytes=94 * GIB), before) == ()


def test_the_gravest_stands_first_and_each_says_what_to_do():
    state = state_of(*steps([*falling(), *[4.0] * 20], data_wait_seconds=0.5))
    found = diagnose(state, WELL)
    assert [each.level for each in found] == ["error", "warning", "warning"]
    assert all(each.advice for each in found)
    dead = diagnose(state, replace(WELL, is_alive=False, folder="runs/a"))
    assert dead[0].command == "ethtune resume runs/a"


def test_nothing_is_said_of_nothing():
    assert diagnose(RunState(), Surroundings()) == ()


def test_trends():
    assert medians([1.0, 9.0, 1.0, 1.0, 5.0, 5.0, 5.0, 5.0], width=4)[0] == 1
    assert noise([0.0, 1.0, 2.0, 3.0, 100.0, 5.0]) == pytest.approx(1.4826 / math.sqrt(2))
    fall, error = fitted([2.0 - 0.01 * n for n in range(101)])
    assert fall == pytest.approx(1.0)
    assert error == pytest.approx(0.0, abs=1e-9)


MISSED_MAX = 1
FALSE_ALARMS_MAX = 6
GRAVE_MAX = 1


def test_hits_and_false_alarms_do_not_get_worse(monkeypatch):
    """The table of docs/monitor.md, counted anew."""
    folder = Path(__file__).resolve().parents[3] / "benchmarks" / "monitor"
    monkeypatch.syspath_prepend(str(folder))
    import curves
    import diagnosis

    every = [*curves.recorded(), *curves.made_up(diagnosis.COUNTED_SEED)]
    counts = diagnosis.count(every)
    for name in ("curves", "diagnosis"):
        del sys.modules[name]
    assert len(every) >= 100
    ill = {kind: each for kind, each in counts.items() if kind != "healthy"}
    missed = {kind: each.missed for kind, each in ill.items() if each.missed}
    made_up = {kind: each.misnamed for kind, each in ill.items() if each.misnamed}
    assert sum(map(len, missed.values())) <= MISSED_MAX, missed
    assert sum(map(len, made_up.values())) <= FALSE_ALARMS_MAX, made_up
    assert sum(each.grave for each in ill.values()) <= GRAVE_MAX, made_up
