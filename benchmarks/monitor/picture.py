"""Draw the monitor's screen of a run as SVG.

    python benchmarks/monitor/picture.py RUN docs/pictures/monitor.svg --until 84

The log of RUN is folded up to the step given, as if its training were under way then.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from rich.console import Console

from ethtune.core.diagnosing import diagnose
from ethtune.core.diagnosis import Surroundings
from ethtune.core.eventlog import EventReader
from ethtune.core.runstate import RunState, fold
from ethtune.core.units import GIB
from ethtune.services.snapshot import Snapshot
from ethtune.ui.dashboard import render


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("picture", type=Path)
    parser.add_argument("--until", type=int, default=10**9)
    parser.add_argument("--width", type=int, default=100)
    parser.add_argument("--height", type=int, default=30)
    given = parser.parse_args()
    state = RunState()
    for logged in EventReader(given.run / "events.jsonl").poll():
        state = fold(state, logged)
        if state.recent and state.step >= given.until:
            break
    around = Surroundings(
        folder=str(given.run), is_alive=True, silent_seconds=0.2, ram_total_bytes=32 * GIB,
        ram_available_bytes=16 * GIB,
    )  # fmt: skip
    snapshot = Snapshot(given.run, state, around, diagnose(state, around))
    console = Console(
        file=io.StringIO(), width=given.width, record=True, force_terminal=True,
        color_system="truecolor",
    )  # fmt: skip
    console.print(render(snapshot, width=given.width, height=given.height))
    svg = console.export_svg(title=f"ethtune monitor {given.run}", unique_id="monitor")
    given.picture.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
