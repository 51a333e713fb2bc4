"""What a run suffers from inside, told from its losses, gradient norms and learning rates.

Every judgement is on medians of several logged steps, for single ones are noise. "Windows" are of
logged steps, whatever number of steps one stands for.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from ethtune.core.diagnosis import Case, Diagnosis, Kind, Rule
from ethtune.core.events import StepLogged
from ethtune.core.runstate import RunState
from ethtune.core.trends import fitted, medians, noise

_SETTLED = 15  # logged steps before a jump can be told
_FEW = 9  # logged steps whose median is a level
_ALIKE = 3  # as many on end are no accident
_RATE_USUAL = 2e-4  # of adapters
_RATE_LOW = 5e-5
_LATELY = 24  # as many before it are what a jump is measured by
_TINY = 1e-8


def _no_number(case: Case) -> Diagnosis | None:
    state = case.state
    bad = [s for s in state.recent if not math.isfinite(s.loss)]
    norms = [s.grad_norm for s in state.recent if s.grad_norm is not None]
    if bad:
        what = f"the loss is {bad[-1].loss} at step {bad[-1].step:,}"
    elif sum(not math.isfinite(norm) for norm in norms) >= _ALIKE:  # float16 has one now and then
        what = f"the gradient's norm is no number, at step {state.recent[-1].step:,} and before"
    elif state.evaluations and not math.isfinite(state.evaluations[-1].eval_loss):
        what = f"the validation loss is {state.evaluations[-1].eval_loss}"
    else:
        return None
    return Diagnosis(
        "no_number", "error", what,
        "stop it; lower training.learning_rate, or check the rows with ethtune validate-data",
    )  # fmt: skip


def _zero_loss(case: Case) -> Diagnosis | None:
    last = case.state.recent[-_ALIKE:]
    if len(last) < _ALIKE or any(not s.loss < 1e-6 for s in last):
        return None
    return Diagnosis(
        "zero_loss", "error", f"the loss is {last[-1].loss:g} in {_ALIKE} logged steps on end",
        "nothing is left to learn: look at the completions with ethtune validate-data",
    )  # fmt: skip


def _zero_gradient(case: Case) -> Diagnosis | None:
    last = case.state.recent[-_ALIKE:]
    if len(last) < _ALIKE or any(s.grad_norm != 0 for s in last):
        return None
    return Diagnosis(
        "zero_gradient", "error", f"the gradient is exactly 0 in {_ALIKE} logged steps on end",
        "the adapter learns nothing: check lora.target_modules and the precision",
    )  # fmt: skip


def _diverging(case: Case) -> Diagnosis | None:
    found = _risen(case)
    if found is None:
        return None
    return Diagnosis(
        "diverging", "error",
        f"the loss is about {found.now:.3g}, after it had been {found.low:.3g}",
        f"stop it and go back to a checkpoint with {_lower(case.state)}",
    )  # fmt: skip


def _rate_too_high(case: Case) -> Diagnosis | None:
    """The first updates throw the weights so far off that the loss stays above its beginning."""
    state, losses = case.state, _losses(case.state.steps)
    if len(losses) < 16 or state.steps[0].step > 0.1 * state.steps[-1].step:
        return None
    first, now = losses[0], statistics.median(_losses(state.recent)[-20:] or losses[-20:])
    thrown = max(medians(losses[: max(len(losses) // 3, 16)], width=5))
    margin = max(0.15 * first, 4 * noise(losses[:40]))
    if thrown < first + margin or now < case.limit(0.95, goes=0.85) * first:
        return None
    rate = max(s.learning_rate for s in state.steps)
    return Diagnosis(
        "rate_too_high", "error",
        f"the loss began at {first:.3g}, rose to {thrown:.3g} and is about {now:.3g}; rates up to "
        f"{rate:.1e}",
        f"stop it and train anew with {_lower(state)}",
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Rise:
    """A level of the loss far above its lowest."""

    low: float
    now: float


def _risen(case: Case) -> _Rise | None:
    losses, latest = _losses(case.state.steps), _losses(case.state.recent)
    width = min(max(len(losses) // 6, 14), 40)
    if len(losses) < 2 * width or len(latest) < width:
        return None
    low, now = min(medians(losses, width=width)), statistics.median(latest[-width:])
    chance = noise(losses) / math.sqrt(width)  # of a level, which the lowest of many shows twice
    margin = max(min(0.5 * low, 0.5), 6 * chance, 0.1)
    return _Rise(low, now) if now > low + case.limit(margin, goes=0.6 * margin) else None


def _rate_too_low(case: Case) -> Diagnosis | None:
    state = case.state
    losses, rates = _losses(state.steps), [s.learning_rate for s in state.steps]
    if len(losses) < 40 or not 0 < max(rates) < _RATE_LOW:
        return None
    if rates[-1] > max(rates[:-20]):  # still warming up
        return None
    fall, error = fitted([math.log(max(loss, _TINY)) for loss in losses])
    if error > 0.06 or not abs(fall) < max(case.limit(0.03, goes=0.045), error):
        return None
    return Diagnosis(
        "rate_too_low", "warning",
        f"the loss fell {max(fall, 0):.1%} in {state.step:,} steps, at rates up to "
        f"{max(rates):.1e}",
        f"train anew with training.learning_rate near {_RATE_USUAL:.0e}, which is usual here",
    )  # fmt: skip


def _spike(case: Case) -> Diagnosis | None:
    recent = [s for s in case.state.recent if math.isfinite(s.loss)]
    losses = [s.loss for s in recent]
    for i in range(len(recent) - 1, _SETTLED, -1):
        before = losses[max(i - _LATELY, 0) : i]
        if losses[i] <= 1.2 * max(before) or losses[i] <= min(before) + 0.5:
            continue
        middle = statistics.median(before)
        if losses[i] <= middle + 0.5:
            continue
        # in logarithms: losses of single rows are far from symmetric
        offs = [math.log(max(loss, _TINY) / max(middle, _TINY)) for loss in before]
        spread = 1.4826 * statistics.median(map(abs, offs))
        if losses[i] <= middle * math.exp(min(5 * spread, 20)):
            continue
        usual = middle * math.exp(min(3 * spread, 20))
        back = next((s for s in recent[i + 1 :] if s.loss <= usual), None)
        what = f"the loss jumped to {losses[i]:.3g} at step {recent[i].step:,}, "
        what += f"of late about {middle:.3g}"
        if back is not None:
            after = back.step - recent[i].step
            return Diagnosis("spike", "info", f"{what}; it was back {after:,} steps later")
        advice = f"if it stays up, go back to a checkpoint with {_lower(case.state)}"
        return Diagnosis("spike", "warning", what, advice)
    return None


def _overfitting(case: Case) -> Diagnosis | None:
    state, best = case.state, case.state.best_evaluation
    if best is None:
        return None
    since = [e.eval_loss for e in state.evaluations if e.step > best.step]
    if len(since) < _ALIKE or not all(map(math.isfinite, since)):
        return None
    worse = min(since[-2:]) / max(best.eval_loss, 1e-9) - 1
    before = _losses([s for s in state.steps if s.step <= best.step])[-_FEW:]
    latest = _losses(state.recent)[-_FEW:]
    if not before or not latest or worse < case.limit(0.03, goes=0.01):
        return None
    now = statistics.median(latest)
    if now > case.limit(0.97, goes=1.0) * statistics.median(before):
        return None
    return Diagnosis(
        "overfitting", "warning",
        f"validation loss {since[-1]:.3g}, best {best.eval_loss:.3g} at step {best.step:,}; "
        f"training fell on to {now:.3g}",
        "stop it: the best weights are kept. More rows or fewer epochs would help",
    )  # fmt: skip


def _plateau(case: Case) -> Diagnosis | None:
    state = case.state
    first = state.step - state.step // 3
    points = [s for s in state.steps if s.step >= first and math.isfinite(s.loss)]
    rates = [s.learning_rate for s in state.steps]
    if len(points) < 40 or rates[-1] <= 0.1 * max(rates) or max(rates) < _RATE_LOW:
        return None
    fall, error = fitted([math.log(max(s.loss, _TINY)) for s in points])
    if not abs(fall) < case.limit(0.015, goes=0.03) or error > 0.02:
        return None
    if _validation_gain(state, first) > case.limit(0.01, goes=0.02):
        return None
    if any(rule(case) for rule in (_zero_loss, _overfitting, _diverging, _rate_too_high)):
        return None
    return Diagnosis(
        "plateau", "info",
        f"the loss is about {statistics.median(_losses(points)):.3g} since step {first:,}: "
        f"{max(fall, 0):.1%} in {state.step - first:,} steps",
        "more steps like these will bring little",
    )  # fmt: skip


CURVE_RULES: dict[Kind, Rule] = {
    "no_number": _no_number,
    "zero_loss": _zero_loss,
    "zero_gradient": _zero_gradient,
    "diverging": _diverging,
    "rate_too_high": _rate_too_high,
    "rate_too_low": _rate_too_low,
    "spike": _spike,
    "overfitting": _overfitting,
    "plateau": _plateau,
}


def _losses(steps: Sequence[StepLogged]) -> list[float]:
    return [s.loss for s in steps if math.isfinite(s.loss)]


def _lower(state: RunState) -> str:
    rate = max(s.learning_rate for s in state.steps)
    return f"training.learning_rate near {rate / (10 if rate > 1e-3 else 3):.0e}"


def _validation_gain(state: RunState, first: int) -> float:
    """How much lower the best validation loss since ``first`` is than the best before; 0 to 1."""
    before = [e.eval_loss for e in state.evaluations if e.step < first]
    since = [e.eval_loss for e in state.evaluations if e.step >= first]
    return 1 - min(since) / max(min(before), 1e-9) if before and since else 0.0
