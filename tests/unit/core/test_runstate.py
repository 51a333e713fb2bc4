"""What a log amounts to."""

from __future__ import annotations

import math
import time
from itertools import pairwise

import pytest

from ethtune.core.eventlog import LoggedEvent
from ethtune.core.events import (
    CheckpointSaved,
    Evaluated,
    Message,
    PhaseStarted,
    Progress,
    RunEnded,
    RunStarted,
    StepLogged,
    TrainingPlanned,
)
from ethtune.core.machinerules import stall_seconds
from ethtune.core.runstate import RunState, fold, fold_all

STARTED = RunStarted("ethtune train", 7, "smollm2-135m", "cpu")
PLAN = TrainingPlanned(100, 1, 800, 80, 8, 10_000, 0.1)


def step(number, *, loss=1.0, seconds=2.0, num_steps=1, reserved=None, process=100):
    return StepLogged(
        step=number, epoch=number / 100, loss=loss, learning_rate=1e-4, grad_norm=1.0,
        num_steps=num_steps, num_tokens=50 * num_steps, seconds=seconds, data_wait_seconds=0.5,
        allocated_bytes=reserved, reserved_bytes=reserved, process_bytes=process,
    )  # fmt: skip


def folded(*events, state=None):
    return fold_all((LoggedEvent(i, float(i), e) for i, e in enumerate(events)), state)


def test_nothing_heard_is_a_state_too():
    state = RunState()
    assert (state.step, state.phase, state.ending) == (0, "starting", None)
    assert state.remaining_seconds is state.tokens_per_second is state.peak_bytes is None
    assert stall_seconds(state) is state.best_evaluation is state.data_wait_share is None


def test_derived_figures():
    state = folded(STARTED, PLAN, *[step(n) for n in range(1, 11)])
    assert state.step == 10
    assert state.step_seconds == 2.0
    assert state.tokens_per_second == 25.0
    assert state.data_wait_share == 0.25
    assert state.remaining_seconds == 90 * 2.0
    assert state.phase == "training"


def test_time_left_counts_evaluations_and_saves_at_their_pace():
    events = [STARTED, PLAN, *[step(n) for n in range(1, 11)]]
    state = folded(*events, Evaluated(10, 0.5, 0.9, 8.0), CheckpointSaved(10, "c", 1, 2.0))
    assert state.remaining_seconds == pytest.approx(90 * (2.0 + 1.0))


def test_time_left_is_silent_while_warming_up_and_after_the_end():
    assert folded(STARTED, PLAN, step(1), step(2)).remaining_seconds is None
    assert folded(STARTED, PLAN, step(10, num_steps=10, seconds=20.0)).remaining_seconds == 180
    events = [STARTED, PLAN, *[step(n) for n in range(1, 11)]]
    assert folded(*events, RunEnded("failed", 10, 1.0)).remaining_seconds is None


def test_one_slow_step_does_not_change_the_time_left():
    steps = [step(n, seconds=500.0 if n == 5 else 2.0) for n in range(1, 11)]
    assert folded(STARTED, PLAN, *steps).remaining_seconds == 180.0


def test_resumed_run_forgets_what_came_after_its_checkpoint():
    before = folded(
        STARTED, PLAN, *[step(n, seconds=9.0) for n in range(1, 31)],
        Evaluated(10, 0.5, 0.9, 1.0), Evaluated(30, 0.4, 0.9, 1.0),
        CheckpointSaved(20, "checkpoint-20", 1, 1.0), CheckpointSaved(30, "checkpoint-30", 1, 1.0),
        RunEnded("interrupted", 30, 60.0),
    )  # fmt: skip
    state = folded(RunStarted("resume", 8, "m", "cpu", first_step=20), state=before)
    assert (state.step, state.ending, state.phase) == (20, None, "starting")
    assert [s.step for s in state.steps] == list(range(1, 21))
    assert [e.step for e in state.evaluations] == [10]
    assert [c.step for c in state.checkpoints] == [20]
    assert state.remaining_seconds is None  # its pace may be another
    again = folded(*[step(n) for n in range(21, 31)], state=state)
    assert again.remaining_seconds == 70 * 2.0
    assert [s.step for s in again.steps] == list(range(1, 31))


def test_run_started_anew_in_the_same_folder_starts_empty():
    state = folded(STARTED, PLAN, step(1), step(2), STARTED)
    assert state.steps == ()
    assert state.smoothed_loss is None


def test_smoothed_loss_follows_and_survives_nan():
    state = folded(STARTED, step(1, loss=2.0), step(2, loss=math.nan), step(3, loss=1.0))
    assert 1.0 < state.smoothed_loss < 2.0
    assert math.isnan(state.steps[1].loss)
    coarse = folded(step(10, loss=2.0, num_steps=10), step(20, loss=1.0, num_steps=10))
    fine = folded(*[step(n, loss=2.0 if n <= 10 else 1.0) for n in range(1, 21)])
    assert coarse.smoothed_loss == pytest.approx(fine.smoothed_loss)


def test_peak_is_reserved_memory_on_a_gpu_and_the_process_on_a_cpu():
    assert folded(step(1, process=5), step(2, process=3)).peak_bytes == 5
    assert folded(step(1, reserved=50, process=500)).peak_bytes == 50
    ended = RunEnded("finished", 2, 1.0, peak_process_bytes=700, peak_reserved_bytes=80)
    assert folded(step(1, reserved=50), ended).peak_bytes == 80
    assert folded(step(1), RunEnded("finished", 2, 1.0, peak_process_bytes=700)).peak_bytes == 700


def test_best_evaluation_is_the_lowest_finite_one():
    losses = [0.5, math.nan, 0.3, 0.3, 0.4]
    state = folded(*[Evaluated(i, loss, 0.9, 1.0) for i, loss in enumerate(losses)])
    assert state.best_evaluation.step == 2


def test_phases_give_way_to_training():
    state = folded(STARTED, PhaseStarted("evaluating", 3), Progress("evaluating", 1, 3))
    assert (state.phase, state.progress.done) == ("evaluating", 1)
    state = folded(Evaluated(1, 0.5, 0.9, 1.0), state=state)
    assert (state.phase, state.progress) == ("training", None)
    state = folded(PhaseStarted("saving"), CheckpointSaved(1, "c", 1, 1.0), state=state)
    assert state.phase == "training"
    state = folded(PhaseStarted("finishing"), Evaluated(1, 0.5, 0.9, 1.0), state=state)
    assert state.phase == "finishing"
    assert folded(RunEnded("finished", 9, 1.0), state=state).step == 9


def test_last_messages_are_kept():
    state = folded(*[Message("info", str(n)) for n in range(20)])
    assert [message.text for message in state.messages] == [str(n) for n in range(14, 20)]


def test_stall_limit_follows_the_pace_and_spares_other_phases():
    assert stall_seconds(folded(STARTED, step(1))) == 60.0
    assert stall_seconds(folded(STARTED, step(1, seconds=30.0))) == 300.0
    rarely = [step(n, num_steps=100, seconds=100.0) for n in (100, 200)]
    assert stall_seconds(folded(STARTED, *rarely)) == 300.0
    assert stall_seconds(folded(STARTED, step(1), PhaseStarted("evaluating"))) is None


@pytest.mark.parametrize("count", [1, 2, 511, 512, 513, 514, 1023, 1025, 1537, 3000])
@pytest.mark.parametrize("resumed_at", [0, 1, 400, 3000])
def test_history_is_bounded_even_and_ends_with_the_last_step(count, resumed_at):
    first = min(resumed_at, count)
    steps = [step(n) for n in range(1, count + 1)]
    state = folded(*steps)
    numbers = [s.step for s in state.steps]
    assert (numbers[0], numbers[-1]) == (1, count)
    assert min(count, 512) // 2 < len(numbers) <= 513
    assert len({b - a for a, b in pairwise(numbers[:-1])}) <= 1
    state = folded(RunStarted("resume", 1, "m", "cpu", first_step=first), state=state)
    assert [s.step for s in state.steps] == [n for n in numbers if n <= first]
    state = folded(*[step(n) for n in range(first + 1, first + 2000)], state=state)
    numbers = [s.step for s in state.steps]
    assert numbers[-1] == first + 1999
    assert numbers == sorted(set(numbers))
    assert 256 < len(numbers) <= 513


def test_fold_is_pure():
    before = folded(STARTED, PLAN, step(1))
    copy = folded(STARTED, PLAN, step(1))
    logged = LoggedEvent(9, 9.0, step(2))
    assert fold(before, logged) == fold(before, logged)
    assert before == copy


def test_a_long_log_folds_fast():
    events = [LoggedEvent(n, float(n), step(n)) for n in range(1, 20_001)]
    begin = time.process_time()
    state = fold_all(events)
    assert state.step == 20_000
    assert time.process_time() - begin < 2  # 100,000 take under a second when measured alone


def test_rows_per_second_are_told_from_the_epochs():
    first = StepLogged(1, 0.1, 1.0, 1e-4, 1.0, 1, 50, 4.0, 0.0, None, None, 1)
    assert folded(STARTED, PLAN, first).rows_per_second == pytest.approx(20.0)
    second = StepLogged(2, 0.15, 1.0, 1e-4, 1.0, 1, 50, 1.0, 0.0, None, None, 1)
    assert folded(STARTED, PLAN, first, second).rows_per_second == pytest.approx(40.0)
    assert folded(STARTED, first).rows_per_second is None


def test_hung_evaluations_and_saves_are_told_by_the_longest_before():
    done = [STARTED, PLAN, step(1), Evaluated(1, 0.5, 0.9, 100.0), CheckpointSaved(1, "c", 1, 1.0)]
    assert stall_seconds(folded(*done, PhaseStarted("evaluating"))) == 1000.0
    assert stall_seconds(folded(*done, PhaseStarted("saving"))) == 300.0


def test_evaluations_and_checkpoints_are_bounded_and_the_best_one_stays():
    losses = [0.5] * 2000
    losses[700] = 0.1
    events = [Evaluated(i, loss, 0.9, 1.0) for i, loss in enumerate(losses)]
    saved = [CheckpointSaved(i, "c", 1, 1.0) for i in range(2000)]
    state = folded(STARTED, PLAN, step(1), *events, *saved)
    assert len(state.evaluations) <= 513
    assert len(state.checkpoints) <= 513
    assert state.num_checkpoints == 2000
    assert state.best_evaluation.step == 700
    assert state.evaluations[-1].step == 1999
    assert state.other_seconds == 4000.0
