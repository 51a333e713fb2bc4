"""The outside judge: killed at any of its file events, a run goes on and loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

CHAOS = Path(__file__).resolve().parents[2] / "benchmarks" / "reliability" / "chaos.py"
POINTS_A_MODE = 4


def test_ckpt_chaos_finds_no_crash_point_that_loses_anything(tmp_path):
    """A sample over a whole run; benchmarks/reliability has every point."""
    output = tmp_path / "chaos.json"
    words = ("--points", str(POINTS_A_MODE), "--output", output)
    ended = subprocess.run(
        [sys.executable, CHAOS, *words], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(output.read_text())["runs"]["ethtune"]
    assert set(found) == {"before", "torn", "unsynced"}
    for mode, counts in found.items():
        assert counts["verdicts"] == {"PASS": POINTS_A_MODE}, mode
        assert counts["crashed"] == POINTS_A_MODE, mode
    for mode in ("before", "unsynced"):
        assert found[mode]["decisive"].keys() >= {"os.rename checkpoint-", "os.rename .staging"}
