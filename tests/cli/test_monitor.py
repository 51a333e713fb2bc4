"""``ethtune monitor`` on runs that live, end, die and vanish; never a write by it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

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
from ethtune.services import monitoring, observing
from ethtune.services.monitoring import watch
from ethtune.services.stopping import ask_to_stop

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


def hold_lock(run):
    """A process that holds the lock and waits."""
    code = "import sys, time; from pathlib import Path; from ethtune.core.runlock import RunLock; "
    code += "lock = RunLock(Path(sys.argv[1])); print('held', flush=True); time.sleep(60)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(run / "lock")],
        env=environment, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    process.stdout.close()
    return process


def wait_until(is_so):
    end = time.monotonic() + 10
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


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


class Clock:
    """Stands in for ``time``: the steady clock and the wall's can be moved apart."""

    sleep = staticmethod(time.sleep)

    def __init__(self):
        self.wall, self.steady = time.time(), 1000.0

    def time(self):
        return self.wall

    def monotonic(self):
        return self.steady


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(monitoring, "time", clock)
    monkeypatch.setattr(observing, "time", clock)
    return clock


def look(watched):
    (snapshot,) = watched.poll()
    return snapshot


def test_silent_run_is_stalled(make_run, clock):
    watched = watch(make_run("a", *EVENTS))
    assert look(watched).status == "training"
    clock.steady += 61
    later = look(watched)
    assert (later.status, later.is_well, later.is_over) == ("stalled", False, False)


@pytest.mark.parametrize("jump", [-86_400, 86_400])
def test_a_clock_that_is_set_changes_nothing(make_run, clock, jump):
    watched = watch(make_run("a", *EVENTS))
    before = look(watched)
    clock.wall += jump
    clock.steady += 1
    after = look(watched)
    assert after.status == "training"
    assert after.around.silent_seconds == pytest.approx(before.around.silent_seconds + 1)
    assert after.running_seconds == pytest.approx(before.running_seconds + 1)


def test_a_log_from_the_future_is_no_negative_time(make_run, clock):
    run = make_run("a", *EVENTS)
    clock.wall -= 10_000
    assert look(watch(run)).around.silent_seconds == 0


@pytest.mark.skipif(sys.platform == "win32", reason="stops")
def test_stopped_process_is_paused_not_stalled(make_run, clock):
    run = make_run("a", *EVENTS)
    trainer = hold_lock(run)
    try:
        os.kill(trainer.pid, signal.SIGSTOP)
        watched = watch(run)
        wait_until(lambda: look(watched).status == "paused")
        clock.steady += 1000
        assert look(watched).status == "paused"
        assert f"kill -CONT {trainer.pid}" in monitor(run, "--once").stdout
    finally:
        trainer.kill()
        trainer.wait()


@pytest.mark.skipif(sys.platform == "win32", reason="kills")
def test_process_that_is_not_here_but_speaks_is_elsewhere(make_run):
    run = make_run("a", *EVENTS)
    kill_trainer(run)
    watched = watch(run)
    assert look(watched).around.is_alive is False
    add(run, step(6))
    assert (look(watched).around.is_alive, look(watched).status) == (None, "training")


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_stop_reaches_the_process_in_the_lock_and_no_other(make_run):
    run = make_run("a", *EVENTS)
    with pytest.raises(RunError, match="no process trains in"):
        ask_to_stop(run)
    trainer = hold_lock(run)
    assert ask_to_stop(run) == trainer.pid
    assert trainer.wait(10) == -signal.SIGTERM
    with pytest.raises(RunError, match="is gone"):
        ask_to_stop(run)
    # the number is another process's by now
    holder = json.loads((run / "lock").read_text()) | {"pid": os.getppid()}
    (run / "lock").write_text(json.dumps(holder))
    with pytest.raises(RunError, match="is gone"):
        ask_to_stop(run)


def test_json_is_strict_and_whole(make_run):
    run = make_run("a", *EVENTS, step(6, float("nan")), Evaluated(6, 0.4, 0.9, 1.0))

    def refuse(name):
        raise AssertionError(name)

    plain = json.loads(monitor(run, "--json").stdout, parse_constant=refuse)
    assert plain["last_step"]["loss"] == "nan"
    assert plain["best_evaluation"]["eval_loss"] == 0.4
    assert (plain["step"], plain["total_steps"], plain["name"]) == (6, 20, "a")
    assert plain["remaining_seconds"] > 0


@pytest.mark.parametrize("words", [("--once",), ("--json",), ("--export", "a.svg")])
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


def test_run_that_is_not_there_yet_is_waited_for(tmp_path, make_run):
    def begin():
        time.sleep(0.3)
        make_run("late", *EVENTS, FINISHED)

    thread = threading.Thread(target=begin)
    thread.start()
    result = monitor(tmp_path / "late", "--interval", "0.1")
    thread.join()
    assert result.exit_code == 0
    assert "waiting for it" in result.stderr
    assert "Finished at step 20" in result.stdout


def test_run_below_a_folder_that_is_not_there_is_not_waited_for(tmp_path):
    assert monitor(tmp_path / "no" / "run").exit_code == 6


def test_follow_writes_a_json_line_a_look(make_run):
    run = make_run("a", *EVENTS)

    def go_on():
        time.sleep(0.3)
        add(run, step(6), FINISHED)

    thread = threading.Thread(target=go_on)
    thread.start()
    result = monitor(run, "--follow", "--interval", "0.1")
    thread.join()
    rows = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(rows) > 1
    assert (rows[0]["status"], rows[0]["step"]) == ("training", 5)
    assert (rows[-1]["status"], rows[-1]["step"]) == ("finished", 20)
    assert monitor(run, "--follow", "--once").exit_code == 2


def test_runs_that_come_later_are_watched_and_deleted_ones_let_go(make_run, tmp_path, clock):
    make_run("a", *EVENTS)
    watched = watch(tmp_path)
    assert [snapshot.name for snapshot in watched.poll()] == ["a"]
    make_run("b", *EVENTS)
    clock.steady += 5
    assert [snapshot.name for snapshot in watched.poll()] == ["b", "a"]
    shutil.rmtree(tmp_path / "a")
    assert [snapshot.name for snapshot in watched.poll()] == ["b"]
    shutil.rmtree(tmp_path / "b")
    with pytest.raises(RunError):
        watched.poll()


def test_log_written_anew_is_not_mixed_with_the_old_one(make_run):
    run = make_run("a", *EVENTS)
    watched = watch(run)
    assert look(watched).state.step == 5
    (run / "events.jsonl").unlink()
    add(run, STARTED, step(1))
    state = look(watched).state
    assert (state.step, len(state.steps), state.plan) == (1, 1, None)


def test_log_cut_to_nothing_is_a_run_that_said_nothing(make_run):
    run = make_run("a", *EVENTS)
    watched = watch(run)
    look(watched)
    (run / "events.jsonl").write_bytes(b"")
    assert (look(watched).state.step, look(watched).status) == (0, "waiting")


@pytest.mark.parametrize(
    "line",
    [
        b"{",
        b"\x00" * 500,
        b"\xff\xfe",
        b'{"v":9,"seq":9,"time":1,"kind":"dream","depth":3}',
        b'{"v":9,"seq":9,"time":1,"kind":"step","loss":{"mean":1}}',
        b'{"v":1,"seq":9,"time":NaN,"kind":"message","level":"info","text":"x"}',
        b'{"v":1,"seq":9,"time":1,"kind":"evaluated","step":3,"eval_loss":null,'
        b'"eval_token_accuracy":0.5,"seconds":1.0}',
    ],
)
def test_damaged_and_newer_lines_are_counted_and_passed_over(make_run, line):
    run = make_run("a", *EVENTS)
    with (run / "events.jsonl").open("ab") as handle:
        handle.write(line + b"\n")
    add(run, step(6))
    plain = snapshot(run)
    assert (plain["step"], plain["num_unknown"]) == (6, 1)
    assert "1 lines of the log are damaged" in monitor(run, "--once").stdout


def test_event_of_a_newer_version_is_read_by_the_fields_that_are_known(make_run):
    run = make_run("a", *EVENTS)
    row = json.loads((run / "events.jsonl").read_text().splitlines()[-1])
    row |= {"v": 2, "step": 6, "entropy": 0.3}
    with (run / "events.jsonl").open("a") as handle:
        handle.write(json.dumps(row) + "\n")
    assert (snapshot(run)["step"], snapshot(run)["num_unknown"]) == (6, 0)


def test_long_log_is_read_in_pieces(make_run):
    run = make_run("a", *EVENTS[:2], *map(step, range(1, 3000)))
    watched = watch(run)
    (first,) = watched.poll(seconds=0.0)
    assert 0 < first.unread_share < 1
    assert (first.status, first.is_over) == ("reading", False)
    while first.unread_share:
        (first,) = watched.poll(seconds=0.01)
    assert (first.state.step, first.status) == (2999, "training")


def test_diagnoses_are_told_once_with_what_to_do(make_run):
    losses = [2.0] * 40 + [9.0] * 30
    steps = [step(number, loss) for number, loss in enumerate(losses, start=1)]
    run = make_run("a", *EVENTS[:2], *steps, FAILED)
    plain = snapshot(run)
    assert "diverging" in [found["kind"] for found in plain["diagnoses"]]
    assert all(found["evidence"] for found in plain["diagnoses"])
    lines = monitor(run).stdout.splitlines()
    assert len([line for line in lines if line.startswith("error: diverging: the loss is")]) == 1
    assert "diverging" in monitor(run, "--once").stdout


def test_card_that_falls_off_the_bus_does_not_end_the_watch(make_run, monkeypatch, clock):
    from ethtune.core.reading import GpuReading

    card = GpuReading(0, "RTX", memory_total_bytes=100, memory_used_bytes=50)
    answers = iter([(card,), (GpuReading(0, "GPU 0"),), ()])
    monkeypatch.setattr(observing.nvml, "readings", lambda: next(answers))
    watched = watch(make_run("a", replace(STARTED, device="RTX"), *EVENTS[1:]))
    for known in (100, None, None):
        assert look(watched).capacity_bytes == known
        clock.steady += 1


def test_export_draws_one_run(make_run, tmp_path):
    run = make_run("a", *EVENTS)
    result = monitor(run, "--export", tmp_path / "curve.svg")
    assert result.exit_code == 0
    assert (tmp_path / "curve.svg").read_text().startswith("<svg ")
    make_run("b", *EVENTS)
    assert monitor(tmp_path, "--export", tmp_path / "curve.svg").exit_code == 2


def test_folder_deleted_while_watched_is_an_error(make_run):
    run = make_run("a", *EVENTS)
    watched = watch(run)
    watched.poll()
    shutil.rmtree(run)
    with pytest.raises(RunError, match=r"no run at|is gone"):
        watched.poll()


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
