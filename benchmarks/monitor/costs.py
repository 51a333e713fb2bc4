"""What watching costs: start-up, share of a core, reading a long log, NVML, and the trainer.

    python benchmarks/monitor/costs.py [--megabytes 20] [--seconds 20] [--output FILE]

Figures are processor time where nothing else is said, so that they mean something on a busy
machine too; each the best of several tries. The screen is measured in a pseudo-terminal beside a
writer of one step every 0.3 seconds. NVML answers from the tests' fake library, which reads a file
at every call: an upper bound for the binding, and no figure of a driver. The trainer's share is of
the median step of the tests' recorded run, whose model has two layers. Writes results/costs.json;
exit code 1 where a figure is above its limit.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import pty
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from ethtune.core.eventlog import EventReader, EventWriter, LoggedEvent
from ethtune.core.events import Event, PhaseStarted, RunStarted, StepLogged, TrainingPlanned
from ethtune.core.logline import LineLog
from ethtune.core.runlock import RunLock
from ethtune.core.runstate import RunState, fold
from ethtune.device.host import host_facts

ROOT = Path(__file__).resolve().parents[2]
MONITOR = (sys.executable, "-c", "from ethtune.cli.app import main; main()", "monitor")
TRIES = 5
LIMITS = {
    "start_up_wall_seconds": 1.0,
    "screen_core_share": 0.02,
    "read_20_mb_seconds": 2.0,
    "trainer_step_share": 0.002,
}


def step(number: int) -> StepLogged:
    """Of the usual length in the log."""
    return StepLogged(
        step=number, epoch=round(number / 1000, 4), loss=1.2345678 + number % 7 / 10,
        learning_rate=1.234e-4, grad_norm=0.54321, num_steps=1, num_tokens=2048, seconds=1.23456,
        data_wait_seconds=0.01234, allocated_bytes=5 << 30, reserved_bytes=6 << 30,
        process_bytes=2 << 30,
    )  # fmt: skip


def opening() -> list[Event]:
    """What stands before the first step."""
    plan = TrainingPlanned(10**6, 1, 8 * 10**6, 80, 8, 10**9, 0.1)
    return [RunStarted("train", os.getpid(), "model", "cpu"), plan, PhaseStarted("training")]


def write_run(folder: Path, size_bytes: int) -> int:
    """A run with a log of that size; the number of its steps."""
    folder.mkdir()
    (folder / "manifest.json").write_text("{}")
    writer = EventWriter(folder / "events.jsonl")
    for event in opening():
        writer.emit(event)
    num_steps = 0
    while (folder / "events.jsonl").stat().st_size < size_bytes:
        for number in range(num_steps + 1, num_steps + 101):
            writer.emit(step(number))
        num_steps += 100
    writer.close()
    return num_steps


def child_cost(*command: str) -> tuple[float, float]:
    """Wall and processor seconds of a command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run([*command], stdout=subprocess.DEVNULL, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.perf_counter() - began, used


def processor_seconds(work: Callable[[], object]) -> float:
    """The least of several tries."""
    times = []
    for _ in range(TRIES):
        began = time.process_time()
        work()
        times.append(time.process_time() - began)
    return min(times)


def peak_mebibytes(run: Path) -> float:
    """Of a process that reads the whole log."""
    code = (
        "import sys, resource; from pathlib import Path\n"
        "from ethtune.services.monitoring import watch\n"
        "watch(Path(sys.argv[1])).poll()\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(run)], capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def screen_share(run: Path, seconds: float) -> float:
    """Processor time of the screen, after its start, as a share of one core."""
    lock, stop = RunLock(run / "lock"), threading.Event()
    threading.Thread(target=_go_on, args=(run, stop), daemon=True).start()
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm-256color", "COLUMNS": "120", "LINES": "40"}
        os.execv(MONITOR[0], [*MONITOR, str(run)])
    threading.Thread(target=_drain, args=(terminal,), daemon=True).start()
    time.sleep(5)
    before, began = _used(pid), time.monotonic()
    time.sleep(seconds)
    share = (_used(pid) - before) / (time.monotonic() - began)
    os.write(terminal, b"q")
    os.waitpid(pid, 0)
    stop.set()
    lock.release()
    return share


def _go_on(run: Path, stop: threading.Event) -> None:
    writer = EventWriter(run / "events.jsonl")
    for number in range(10**5, 2 * 10**5):
        if stop.wait(0.3):
            return
        writer.emit(step(number))


def _drain(terminal: int) -> None:
    try:
        while os.read(terminal, 1 << 16):
            pass
    except OSError:  # the other side has ended
        return


def _used(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def trainer_microseconds(folder: Path) -> float:
    """Of one logged step: the log, the readable log, the trainer's own state and its screen's."""
    writer = EventWriter(folder / "trainer.jsonl")
    with (folder / "logs.txt").open("a", buffering=1) as readable:
        lines, states = LineLog(readable.write, is_stamped=True), [RunState(), RunState()]
        for event in opening():
            lines(event)

        def work() -> None:
            for number in range(1, 2001):
                event = step(number)
                writer.emit(event)
                lines(event)
                for place in (0, 1):
                    states[place] = fold(states[place], LoggedEvent(0, time.time(), event))

        return processor_seconds(work) / 2000 * 1e6


def nvml_microseconds(folder: Path) -> float | None:
    """Of reading one card through the real binding; None without a C compiler."""
    source, library = ROOT / "tests" / "native" / "fake_nvml.c", folder / "libnvidia-ml.so.1"
    built = subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", str(library), str(source)], capture_output=True,
        check=False,
    )  # fmt: skip
    if built.returncode:
        return None
    script = folder / "card.txt"
    script.write_text("count=1\nname=card\ntotal=24576\nused=1000\ntemp=71\nutil=98\npower=1000\n")
    code = (
        "import time; from ethtune.device import nvml; assert nvml.readings()\n"
        "t = time.process_time(); [nvml.readings() for _ in range(500)]\n"
        "print((time.process_time() - t) / 500 * 1e6)"
    )
    environment = os.environ | {"LD_LIBRARY_PATH": str(folder), "FAKE_NVML_SCRIPT": str(script)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


def real_step_seconds() -> float:
    """Of a real run of a tiny model on a CPU: hardly any is faster."""
    log = ROOT / "tests" / "golden" / "real_run" / "events.jsonl"
    events = [logged.event for logged in EventReader(log).poll()]
    steps = [event for event in events if isinstance(event, StepLogged)]
    return statistics.median(event.seconds / event.num_steps for event in steps)


def measured(folder: Path, megabytes: int, seconds: float) -> dict[str, float | None]:
    """All figures, by name with their unit."""
    write_run(folder / "short", 100_000)
    num_steps = write_run(folder / "long", megabytes * 10**6)
    wall, used = min(child_cost(*MONITOR, str(folder / "short"), "--once") for _ in range(TRIES))

    def read() -> None:
        state = RunState()
        for logged in EventReader(folder / "long" / "events.jsonl").poll():
            state = fold(state, logged)

    logged = trainer_microseconds(folder)
    return {
        "start_up_wall_seconds": wall,
        "start_up_processor_seconds": used,
        f"read_{megabytes}_mb_seconds": processor_seconds(read),
        f"read_{megabytes}_mb_steps": num_steps,
        f"reader_of_{megabytes}_mb_mebibytes": peak_mebibytes(folder / "long"),
        "reader_of_0.1_mb_mebibytes": peak_mebibytes(folder / "short"),
        "screen_core_share": screen_share(folder / "short", seconds),
        "nvml_look_at_one_card_microseconds": nvml_microseconds(folder),
        "trainer_logged_step_microseconds": logged,
        "trainer_step_share": logged / 1e6 / real_step_seconds(),
    }


def main() -> None:
    """Print one figure a line, and keep them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument(
        "--output", type=Path, default=Path(__file__).with_name("results") / "costs.json"
    )
    given = parser.parse_args()
    host, load = host_facts(), os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as name:
        figures = measured(Path(name), given.megabytes, given.seconds)
    machine = f"{host.cpu_name}, {host.cpu_cores} cores, Python {platform.python_version()}"
    result = {"machine": machine, "load_before": load, "figures": figures, "limits": LIMITS}
    given.output.parent.mkdir(exist_ok=True)
    given.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    broken = [key for key, limit in LIMITS.items() if (figures.get(key) or 0.0) > limit]
    for key, figure in figures.items():
        shown = "not measured" if figure is None else f"{figure:.4g}"
        limit = f" (limit {LIMITS[key]:g})" if key in LIMITS else ""
        print(f"{key}: {shown}{limit}")
    raise SystemExit(f"above its limit: {', '.join(broken)}" if broken else 0)


if __name__ == "__main__":
    main()
