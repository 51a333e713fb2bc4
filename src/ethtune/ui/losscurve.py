"""A run's state in, the plot of its losses out: for the terminal and for files alike."""

from __future__ import annotations

from dataclasses import dataclass

from ethtune.core.runstate import RunState
from ethtune.ui.axes import loss_axis, step_axis
from ethtune.ui.plots import Plot, Point

_HUGE = 1e12  # beyond it the arithmetic of axes fails, and the loss has anyway


@dataclass(frozen=True, slots=True)
class Scale:
    """How the curve is looked at: the last half of it for each ``zoom``; in logarithms."""

    zoom: int = 0
    is_log: bool = False


def loss_plot(state: RunState, scale: Scale) -> Plot | None:
    """None as long as fewer than two losses are numbers."""
    latest = state.steps[-1].step if state.steps else 0
    losses = {s.step: s.loss for s in (*state.steps, *state.recent) if _can_be_drawn(s.loss)}
    points: list[Point] = sorted((float(step), loss) for step, loss in losses.items())
    if len(points) < 2:
        return None
    x = step_axis(latest, total=state.plan.total_steps if state.plan else None, zoom=scale.zoom)
    kept = zip(state.history.kept, state.history.smoothed, strict=True)
    course = [(float(s.step), mean) for s, mean in kept if mean and _can_be_drawn(mean)]
    marks = [(float(e.step), e.eval_loss) for e in state.evaluations if x.low <= e.step <= x.high]
    marks = [mark for mark in marks if _can_be_drawn(mark[1])]
    seen = [loss for step, loss in points if step >= x.low] or [points[-1][1]]
    y = loss_axis(seen, [loss for _, loss in marks], is_log=scale.is_log)
    return Plot(points, course, marks, x, y)


def _can_be_drawn(loss: float) -> bool:
    return abs(loss) < _HUGE
