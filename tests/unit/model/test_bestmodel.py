"""Which validated step is the best, and when nothing is gained any more."""

from __future__ import annotations

import math

import pytest

from ethtune.core.config import LoggingSection
from ethtune.model.bestmodel import (
    best_step,
    criterion_of,
    validations,
    validations_without_gain,
)

LOSS = criterion_of(LoggingSection())
EXACT = criterion_of(LoggingSection(metric_for_best_model="exact_match"))


def test_the_metric_has_its_key_and_direction():
    assert (LOSS.key, LOSS.is_greater_better) == ("eval_loss", False)
    assert (EXACT.key, EXACT.is_greater_better) == ("eval_exact_match", True)


@pytest.mark.parametrize(
    ("values", "criterion", "among", "best"),
    [
        ({2: 3.0, 4: 1.0, 6: 2.0}, LOSS, None, 4),
        ({2: 3.0, 4: 1.0, 6: 2.0}, EXACT, None, 2),
        ({2: 1.0, 4: 1.0}, LOSS, None, 2),
        ({2: math.nan, 4: 1.0, 6: math.inf}, LOSS, None, 4),
        ({2: 3.0, 4: 1.0, 6: 2.0}, LOSS, {2, 6}, 6),
        ({2: 3.0}, LOSS, {4}, None),
        ({}, LOSS, None, None),
    ],
)
def test_the_best_is_the_earliest_of_the_best(values, criterion, among, best):
    assert best_step(values, criterion, among=among) == best


@pytest.mark.parametrize(
    ("values", "threshold", "without"),
    [
        ([], 0.0, 0),
        ([3, 2, 1], 0.0, 0),
        ([1, 2, 3], 0.0, 2),
        ([1, 1, 1], 0.0, 2),
        ([3, 2.95, 2.9], 0.1, 2),
        ([3, 2.95, 2.0, 2.5], 0.1, 1),
        ([3, math.nan, 2], 0.0, 0),
    ],
)
def test_validations_without_gain_are_counted_from_the_history(values, threshold, without):
    assert validations_without_gain(values, LOSS, threshold=threshold) == without


def test_the_history_gives_each_step_once():
    history = [
        {"loss": 1, "step": 1}, {"eval_loss": 3, "step": 2}, {"eval_loss": 2, "step": 2},
        {"train_loss": 1, "step": 4},
    ]  # fmt: skip
    assert validations(history, "eval_loss") == {2: 2.0}
