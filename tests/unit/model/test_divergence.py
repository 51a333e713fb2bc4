"""What the guard lets pass, what it says, and what ends the run."""

from __future__ import annotations

import json
import math

import pytest
import torch

from ethtune.core.errors import DivergedError
from ethtune.model.divergence import DEAD_STEPS, Guard, alarms


@pytest.fixture
def guarded():
    events = []
    return Guard(events.append), events


def steps(guard, numbers, loss, norm=1.0, *, is_scaled=False):
    for number in numbers:
        step(guard, number, [loss], norm, is_scaled=is_scaled)


def step(guard, number, losses, norm=1.0, *, is_scaled=False):
    for index, loss in enumerate(losses):
        guard.add(torch.tensor(loss), [f"row {number}.{index}"])
    guard.judge(number, torch.tensor(norm), is_scaled=is_scaled)


@pytest.mark.parametrize(
    ("losses", "norm", "words", "rows"),
    [
        ([1.0, math.nan], 1.0, "the loss is nan", "row 9.1"),
        ([math.inf, 1.0], 1.0, "the loss is inf", "row 9.0"),
        ([1.0, 1.0], math.nan, "the gradient's norm is nan", "row 9.0, row 9.1"),
        ([1.0, 1.0], math.inf, "the gradient's norm is inf", "row 9.0, row 9.1"),
    ],
)
def test_no_number_ends_the_run_and_names_the_rows(guarded, losses, norm, words, rows):
    guard, _ = guarded
    with pytest.raises(DivergedError, match=words) as caught:
        step(guard, 9, losses, norm)
    assert caught.value.message.endswith(f"Rows of the batch: {rows}")
    assert (caught.value.last_step, caught.value.good_step) == (9, 8)


def test_many_rows_are_counted(guarded):
    guard, _ = guarded
    guard.add(torch.tensor(math.nan), [str(n) for n in range(20)])
    with pytest.raises(DivergedError, match="and 12 more"):
        guard.judge(1, 1.0, is_scaled=False)


def test_an_overflow_of_float16_is_said_and_counted(guarded):
    guard, events = guarded
    step(guard, 3, [1.0], math.inf, is_scaled=True)
    assert "float16 overflowed" in events[0].text
    assert guard.skipped_steps == 1
    with pytest.raises(DivergedError, match="steps on end overflowed"):
        steps(guard, range(4, 40), 1.0, math.inf, is_scaled=True)


def test_a_dead_run_ends_though_its_loss_is_a_number(guarded):
    guard, _ = guarded
    steps(guard, range(1, 11), 2.5)
    with pytest.raises(DivergedError, match="nothing is being learned") as caught:
        steps(guard, range(11, 11 + DEAD_STEPS), 9.0)
    assert (caught.value.last_step, caught.value.good_step) == (10 + DEAD_STEPS, 9)


def test_a_loss_that_comes_back_is_not_dead(guarded):
    guard, _ = guarded
    for number in range(1, 200):
        step(guard, number, [9.0 if number % 10 > 2 else 2.5])


def test_zero_losses_gradients_and_spikes_are_said_once_in_a_while(guarded):
    guard, events = guarded
    for number in range(1, 41):
        step(guard, number, [2.0 + 0.01 * (number % 3)])
    step(guard, 41, [4.0])
    step(guard, 42, [4.0])
    step(guard, 43, [0.0], 0.0)
    assert [event.text.partition(":")[0] for event in events] == ["step 41", "step 43", "step 43"]
    assert "jumped to 4" in events[0].text
    assert "exactly 0" in events[1].text


@pytest.mark.parametrize(
    ("loss", "recent", "kinds"),
    [
        (5.0, [], []),  # nothing to compare with
        (2.4, [2.0] * 30, []),  # within the margin
        (2.6, [2.0] * 30, ["spike"]),
        (5.0, [float(n % 5) for n in range(30)], []),  # wild as it ever was
        (0.0, [2.0] * 30, ["zero loss"]),
    ],
)
def test_alarms(loss, recent, kinds):
    assert [kind for kind, _ in alarms(loss, 1.0, recent)] == kinds


def test_a_restored_guard_judges_the_same(guarded):
    guard, _ = guarded
    for number in range(1, 31):
        step(guard, number, [2.0 if number < 20 else 9.0])
    again = Guard([].append)
    again.restore(json.loads(json.dumps(guard.state())))
    assert again.state() == guard.state()
    assert again.good_step == 18


def test_a_gradient_that_stays_zero_is_dead(guarded):
    guard, events = guarded
    steps(guard, range(1, 6), 2.5)
    with pytest.raises(DivergedError, match="the gradient is exactly 0, as it has been since"):
        steps(guard, range(6, 6 + DEAD_STEPS), 2.5, 0.0)
    assert len(events) == 1
