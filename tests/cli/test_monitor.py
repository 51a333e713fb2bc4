"""``ethtune monitor`` on runs that live, end, die and vanish; never a write by it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time

import pytest
from typer.testing import CliRunner

from ethtune.cli import commands
from ethtune.cli.app import app
from ethtune.core.errors import RunError
from ethtune.core.eventlog import EventWriter
from ethtune.core.events import (
    Evaluated,
    Message,
    RunEnded,
    RunStarted,
    StepLogged,
    TrainingPlanned,
)
from ethtune.core.runlock import RunLock
from ethtune.services.monitoring import watch

if not app.registered_commands:
    commands.register(app)
STARTED = RunStarted("ethtune train", os.getpid(), "smollm2-135m", "cpu")
FINISHED = RunEnded("finished", 20, 12.0)
FAILED = RunEnded("failed", 2, 1.0, "the loss is not a number", 7)


def step(number, loss=1.5):
    return StepLogged(number, 0.1, loss, 1e-4, 0.5, 1, 100, 1.0, 0.0, None, None, 2**30)


EVENTS = [STARTED, TrainingPlanned(20, 1, 160, 16, 8, 2000, 0.1), *map(step, range(1, 6))]


@pytest.fixture
def make_run(tmp_path):
    def make(name, *events):
        run = tmp_path / name
        run.mkdir()
        (run / "manifest.json").write_text("{}")
        add(run, *events)
        return run

    return make


def add(run, *events):
    writer = EventWriter(run / "events.jsonl")
    for event in events:
        writer.emit(event)
    writer.close()


def kill_trainer(run):
    """Leave the lock as a killed process does."""
    code = "import sys, os; from pathlib import Path; from ethtune.core.runlock import RunLock; "
    code += "lock = RunLock(Path(sys.argv[1])); os.kill(os.getpid(), 9)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", code, str(run / "lock")], env=environment, check=False)


def monitor(*words):
    return CliRunner().invoke(app, ["monitor", *map(str, words)])


def snapshot(run):
    return json.loads(monitor(run, "--json").stdout)


def files(run):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in run.iterdir()}


def test_running_run(make_run):
    run = make_run("a", *EVENTS)
    before = files(run)
    result = monitor(run, "--once")
    assert result.exit_code == 0
    assert "step 5 of 20" in result.stdout
    assert "loss            1.5000" in result.stdout
    assert "\x1b" not in result.stdout
    assert files(run) == before


@pytest.mark.parametrize(
    ("events", "status", "exit_code"),
    [
        ([], "waiting", 0),
        ([STARTED], "starting", 0),
        (EVENTS, "training", 0),
        ([*EVENTS, FINISHED], "finished", 0),
        ([*EVENTS, RunEnded("interrupted", 5, 1.0)], "interrupted", 0),
        ([*EVENTS, FAILED], "failed", 1),
    ],
)
def test_status_and_exit_code(make_run, events, status, exit_code):
    run = make_run("a", *events)
    assert monitor(run, "--once").exit_code == exit_code
    result = monitor(run, "--json")
    assert result.exit_code == exit_code
    assert json.loads(result.stdout)["status"] == status


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_killed_run_is_dead_and_says_how_to_go_on(make_run):
    run = make_run("a", *EVENTS)
    kill_trainer(run)
    result = monitor(run, "--once")
    assert result.exit_code == 1
    assert f"ethtune resume {run}" in result.stdout.replace("\n", "")
    assert snapshot(run)["alive"] is False


def test_lock_of_a_live_process_is_alive(make_run):
    run = make_run("a", *EVENTS)
    lock = RunLock(run / "lock")
    assert (snapshot(run)["alive"], snapshot(run)["pid"]) == (True, os.getpid())
    lock.release()
    assert snapshot(run)["status"] == "dead"  # let go without a last word


def test_silent_run_is_stalled(make_run):
    (watcher,) = watch(make_run("a", *EVENTS))
    assert watcher.poll().status == "training"
    later = watcher.poll(now=time.time() + 61)
    assert (later.status, later.is_well, later.is_over) == ("stalled", False, False)


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_process_that_is_not_here_but_speaks_is_elsewhere(make_run):
    run = make_run("a", *EVENTS)
    kill_trainer(run)
    (watcher,) = watch(run)
    assert watcher.poll().alive is False
    add(run, step(6))
    assert (watcher.poll().alive, watcher.poll().status) == (None, "training")


def test_json_is_strict_and_whole(make_run):
    run = make_run("a", *EVENTS, step(6, float("nan")), Evaluated(6, 0.4, 0.9, 1.0))

    def refuse(name):
        raise AssertionError(name)

    plain = json.loads(monitor(run, "--json").stdout, parse_constant=refuse)
    assert plain["last_step"]["loss"] == "nan"
    assert plain["best_evaluation"]["eval_loss"] == 0.4
    assert (plain["step"], plain["total_steps"], plain["name"]) == (6, 20, "a")
    assert plain["remaining_seconds"] > 0


@pytest.mark.parametrize("words", [(), ("--once",), ("--json",)])
def test_no_run_is_error_6(tmp_path, words):
    result = monitor(tmp_path / "nowhere", *words)
    assert result.exit_code == 6
    assert "no run at" in result.stderr
    assert monitor(tmp_path, *words).exit_code == 6
    assert "no run of ethtune" in monitor(tmp_path, *words).stderr


def test_folder_of_runs_is_listed_newest_first(make_run, tmp_path):
    for age, name in ((300, "old"), (100, "new"), (200, "middle")):
        run = make_run(name, *EVENTS, FINISHED)
        os.utime(run / "events.jsonl", (time.time() - age,) * 2)
    (tmp_path / "no run").mkdir()
    result = monitor(tmp_path, "--once")
    assert [line.split()[0] for line in result.stdout.splitlines()] == [
        "run", "new", "middle", "old",
    ]  # fmt: skip
    plain = json.loads(monitor(tmp_path, "--json").stdout)
    assert [run["name"] for run in plain["runs"]] == ["new", "middle", "old"]


def test_without_a_terminal_lines_follow_until_the_end(make_run):
    run = make_run("a", *EVENTS[:3])

    def go_on():
        time.sleep(0.3)
        add(run, *EVENTS[3:], Message("warning", "it is hot"))
        time.sleep(0.3)
        add(run, FINISHED)

    thread = threading.Thread(target=go_on)
    thread.start()
    result = monitor(run, "--interval", "0.1")
    thread.join()
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert [line for line in lines if line.startswith("Step 5/20 | Loss: 1.5000 | LR: 1.0e-04")]
    assert lines[-2:] == ["warning: it is hot", "Finished at step 20 after 12s"]


def test_log_written_anew_is_not_mixed_with_the_old_one(make_run):
    run = make_run("a", *EVENTS)
    (watcher,) = watch(run)
    assert watcher.poll().state.step == 5
    (run / "events.jsonl").unlink()
    add(run, STARTED, step(1))
    state = watcher.poll().state
    assert (state.step, len(state.steps), state.plan) == (1, 1, None)


def test_folder_deleted_while_watched_is_an_error(make_run):
    run = make_run("a", *EVENTS)
    (watcher,) = watch(run)
    watcher.poll()
    shutil.rmtree(run)
    with pytest.raises(RunError, match="is gone"):
        watcher.poll()


def test_nothing_heavy_is_imported(make_run):
    run = make_run("a", *EVENTS)
    code = (
        "import sys\nfrom ethtune.cli.app import app\nfrom ethtune.cli.monitor import monitor\n"
        "app.command('monitor')(monitor)\n"
        "try: app(['monitor', sys.argv[1], '--once'])\n"
        "except SystemExit as end: assert end.code in (0, None), end.code\n"
        "print(sorted({'torch', 'transformers', 'datasets', 'yaml'} & set(sys.modules)))"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.splitlines()[-1:] == ["[]"], done.stderr
