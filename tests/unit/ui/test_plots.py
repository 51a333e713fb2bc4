"""Curves: where the dots fall, and axes that stay."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ethtune.core.eventlog import LoggedEvent
from ethtune.core.events import StepLogged
from ethtune.core.runstate import fold_all
from ethtune.ui.axes import Axis, loss_axis, step_axis
from ethtune.ui.losscurve import Scale, loss_plot
from ethtune.ui.plots import Plot, curve


def plot_of(course, *, points=(), marks=()):
    return Plot(points, course, marks, Axis(0, 100, (0, 100)), Axis(1, 2, (1, 1.5, 2)))


def step(number, loss):
    return StepLogged(number, 0.1, loss, 1e-4, 0.5, 1, 100, 1.0, 0.0, None, None, 2**30)


def state_of(*losses):
    events = [step(number, loss) for number, loss in enumerate(losses, start=1)]
    return fold_all([LoggedEvent(event.step, float(event.step), event) for event in events])


def test_falling_line_runs_from_the_upper_left_to_the_lower_right():
    lines = [line.plain for line in curve(plot_of([(0, 2.0), (100, 1.0)]), width=30, height=5)]
    assert len(lines) == 6
    assert lines[0].startswith(("       2 ┤⠑", "       2 ┤⠉"))
    assert lines[2].startswith("     1.5 ┤")
    assert lines[4].startswith("       1 ┤ ")
    assert lines[4][-1] != " "
    assert lines[5].split() == ["0", "100"]


def test_single_losses_stand_dim_behind_their_course():
    plot = plot_of([(0, 2.0), (100, 2.0)], points=[(0, 1.0), (100, 1.0)])
    top, bottom = (curve(plot, width=30, height=2)[i] for i in (0, 1))
    assert any("cyan" in str(span.style) for span in top.spans)
    assert not any("cyan" in str(span.style) for span in bottom.spans)
    assert set(bottom.plain[10:]) - {" "}


def test_marks_stand_over_the_curve_at_their_place():
    lines = curve(plot_of([(0, 1.0), (100, 1.0)], marks=[(100, 2.0)]), width=30, height=4)
    assert lines[0].plain.endswith("◆")


def test_too_little_room_draws_nothing():
    assert curve(plot_of([(0, 1.0)]), width=10, height=6) == []
    assert curve(plot_of([(0, 1.0)]), width=80, height=1) == []


def test_an_outlier_does_not_flatten_the_rest():
    losses = [1.0 + i / 100 for i in range(100)]
    assert loss_axis([*losses[:50], 1e6, *losses[51:]], []).high < 3
    assert loss_axis(losses, [9.0]).high >= 9


def test_no_curve_without_two_numbers():
    assert loss_plot(state_of(1.0), Scale()) is None
    assert loss_plot(state_of(1.0, float("nan")), Scale()) is None
    assert loss_plot(state_of(1.0, 1.0), Scale()) is not None


def test_right_end_stays_for_many_steps():
    ends = [step_axis(float(last), total=5000.0).high for last in range(1, 5000)]
    assert ends == sorted(ends)
    assert len(set(ends)) < 40
    assert ends[-1] == 5000


@pytest.mark.parametrize("zoom", range(7))
def test_zoom_shows_the_end_of_the_run(zoom):
    axis = step_axis(1000.0, total=4000.0, zoom=zoom)
    span = 1000 / 2**zoom
    assert axis.low <= 1000 - span <= 1000 <= axis.high
    assert axis.high - axis.low < 2 * span + 1


@given(
    st.lists(st.floats(0, 1e6), min_size=1, max_size=80),
    st.lists(st.floats(0, 1e6), max_size=5),
    st.booleans(),
)
@example([5e-324], [], True)
@example([0.0, 5e-324], [], False)
def test_every_axis_is_round_ordered_and_holds_the_rest(values, others, is_log):
    axis = loss_axis(values, others, is_log=is_log)
    assert axis.low < axis.high
    assert list(axis.ticks) == sorted(axis.ticks)
    assert len(axis.ticks) <= 24
    assert all(-1e-6 <= axis.share(tick) <= 1 + 1e-6 for tick in axis.ticks)
    assert axis.share(sorted(values)[len(values) // 2]) <= 1 + 1e-6


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True), max_size=60), st.booleans())
def test_any_losses_can_be_drawn(losses, is_log):
    plot = loss_plot(state_of(*losses), Scale(1, is_log))
    if plot is not None:
        assert len(curve(plot, width=60, height=6)) == 7
