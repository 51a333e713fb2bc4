"""Curves: where the dots fall."""

from __future__ import annotations

from ethtune.ui.plots import curve


def test_falling_line_runs_from_the_upper_left_to_the_lower_right():
    lines = [line.plain for line in curve([(0, 2.0), (100, 1.0)], [], width=30, height=4)]
    assert len(lines) == 5
    assert lines[0].startswith("       2 ┤⠑") or lines[0].startswith("       2 ┤⠉")
    assert lines[3].startswith("       1 ┤ ")
    assert lines[3][-1] != " "
    assert lines[4].split() == ["0", "100"]


def test_marks_stand_over_the_curve_at_their_place():
    lines = curve([(0, 0.0), (10, 0.0)], [(10, 1.0)], width=30, height=4)
    assert lines[0].plain.endswith("◆")


def test_an_outlier_does_not_flatten_the_rest():
    points = [(float(i), 1.0 + i / 100) for i in range(100)]
    points[50] = (50.0, 1e6)
    top = curve(points, [], width=40, height=6)[0].plain
    assert float(top.split()[0]) < 3


def test_constant_and_single_and_unreal_values():
    assert curve([(1, 1.0)], [], width=40, height=6) == []
    assert curve([(1, 1.0), (2, float("nan"))], [], width=40, height=6) == []
    assert len(curve([(1, 1.0), (2, 1.0)], [], width=40, height=6)) == 7
    assert curve([(1, 1.0), (2, 2.0)], [], width=10, height=6) == []
