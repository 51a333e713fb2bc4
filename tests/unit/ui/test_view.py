"""Keys and what they do to the view."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ethtune.core.diagnosis import Surroundings
from ethtune.core.eventlog import LoggedEvent
from ethtune.core.events import RunEnded
from ethtune.core.runstate import RunState, fold
from ethtune.services.snapshot import Snapshot
from ethtune.ui.keys import keys_in, typed_on_console
from ethtune.ui.losscurve import Scale
from ethtune.ui.view import View, hint, pressed

ALIVE = Surroundings(is_alive=True, pid=7)


def runs(*names, around=ALIVE):
    return [Snapshot(Path(name), RunState(), around) for name in names]


def after(keys, snapshots, view=None):
    """The view after these keys, and the actions on the way."""
    view, actions = (view or View()).over(snapshots), []
    for key in keys:
        view, action = pressed(view, key, snapshots)
        actions.append(action)
    return view, [action for action in actions if action]


def test_a_single_run_is_open_and_has_no_list():
    view, _ = after(["left", "escape"], runs("a"))
    assert (view.selected, view.is_open) == (Path("a"), True)


def test_list_opens_the_chosen_run_and_comes_back():
    three = runs("a", "b", "c")
    assert not after([], three)[0].is_open
    view, _ = after(["down", "j", "up", "enter"], three)
    assert view.shown(three).name == "b"
    assert after(["left"], three, view)[0].is_open is False
    assert after(["tab", "tab"], three, view)[0].shown(three).name == "a"
    assert after(["up"], three)[0].selected == Path("c")


def test_choice_follows_its_run_when_others_come_and_go():
    view, _ = after(["down", "enter"], runs("a", "b"))
    assert view.over(runs("new", "a", "b")).selected == Path("b")
    gone = view.over(runs("new", "a"))
    assert (gone.selected, gone.is_open) == (Path("new"), False)


def test_zoom_has_ends_and_logarithm_a_switch():
    assert after(["+"] * 20, runs("a"))[0].scale.zoom == 6
    assert after(["+", "+", "-", "l"], runs("a"))[0].scale == Scale(1, is_log=True)
    assert after(["-", "l", "l"], runs("a"))[0].scale == Scale()
    assert after(["+", "+", "0"], runs("a"))[0].scale == Scale()


def test_stop_asks_first():
    view, actions = after(["s"], runs("a"))
    assert "Stop a after the step in hand" in hint(view, is_single=True).plain
    assert actions == []
    assert after(["s", "n", "q"], runs("a"))[1] == ["quit"]
    assert after(["s", "q"], runs("a"))[1] == []
    assert after(["s", "y"], runs("a"))[1] == ["stop"]


@pytest.mark.parametrize("alive", [False, None])
def test_stop_is_not_offered_where_no_process_trains(alive):
    view, actions = after(["s", "y"], runs("a", around=replace(ALIVE, is_alive=alive)))
    assert actions == []
    ended = replace(
        runs("a")[0], state=fold(RunState(), LoggedEvent(1, 1.0, RunEnded("finished", 1, 1.0)))
    )
    view, _ = after(["s"], [ended])
    assert "no process" in hint(view, is_single=True).plain


def test_keys_have_names():
    assert keys_in("q+\x1b[A\x1bOB\r\t\x7f") == [
        "q",
        "+",
        "up",
        "down",
        "enter",
        "tab",
        "backspace",
    ]
    assert keys_in("\x1b") == ["escape"]
    assert keys_in("\x00") == []
    assert keys_in("\x1b[5~\x1b[1;5s\x1bOs\x1b[Hq") == ["q"], "page up, and others unknown"


@pytest.mark.parametrize(
    ("typed", "keys"),
    [("q", ["q"]), ("\xe0H", ["up"]), ("\x00K", ["left"]), ("\r", ["enter"]), ("\xe0s", []),
     ("\x00;", [])],
)  # fmt: skip
def test_keys_of_a_windows_console(typed, keys):
    parts = iter(typed)
    assert keys_in(typed_on_console(lambda: next(parts))) == keys
    assert [*parts] == []
