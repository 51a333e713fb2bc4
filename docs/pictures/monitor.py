"""Draws monitor.svg from the log of a real run, as if its training were under way at a step.

    python docs/pictures/monitor.py RUN [--until 150] [--log]

``make demo`` leaves such a run in demo/run.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from rich.console import Console
from screen import save_screen

from ethtune.core.diagnosing import diagnose
from ethtune.core.diagnosis import Surroundings
from ethtune.core.eventlog import EventReader
from ethtune.core.runstate import RunState, fold
from ethtune.device.host import host_facts
from ethtune.services.snapshot import Snapshot
from ethtune.ui.dashboard import render
from ethtune.ui.losscurve import Scale


def main() -> None:
    """Fold the log up to the step, draw the screen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--until", type=int, default=10**9)
    parser.add_argument("--width", type=int, default=92)
    parser.add_argument("--height", type=int, default=28)
    parser.add_argument("--log", action="store_true")
    given = parser.parse_args()
    state = RunState()
    for logged in EventReader(given.run / "events.jsonl").poll():
        state = fold(state, logged)
        if state.recent and state.step >= given.until:
            break
    host = host_facts()
    around = Surroundings(
        folder=str(given.run), is_alive=True, silent_seconds=0.2,
        ram_total_bytes=host.ram_total_bytes, ram_available_bytes=host.ram_available_bytes,
    )  # fmt: skip
    snapshot = Snapshot(given.run, state, around, diagnose(state, around))
    console = Console(
        file=io.StringIO(), width=given.width, record=True, force_terminal=True,
        color_system="truecolor",
    )  # fmt: skip
    scale = Scale(is_log=given.log)
    console.print(render(snapshot, width=given.width, height=given.height, scale=scale))
    picture = Path(__file__).with_name("monitor.svg")
    save_screen(console, picture, f"ethtune monitor {given.run}")


if __name__ == "__main__":
    main()
