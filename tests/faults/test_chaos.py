"""The outside judge: killed at any of its file events, a run goes on and loses nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

CHAOS = Path(__file__).resolve().parents[2] / "benchmarks" / "reliability" / "chaos.py"
POINTS_A_MODE = 4


@pytest.mark.chaos
def test_ckpt_chaos_finds_no_crash_point_that_loses_anything(tmp_path):
    """A sample over a whole run; benchmarks/reliability has every point."""
    pytest.importorskip("ckpt_chaos", reason="pip install ckpt-chaos")
    output = tmp_path / "chaos.json"
    words = ("--points", str(POINTS_A_MODE), "--output", output)
    ended = subprocess.run(
        [sys.executable, CHAOS, *words], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    found = json.loads(output.read_text())["runs"]["ethtune"]
    assert found["verdicts"] == {
        mode: {"PASS": POINTS_A_MODE} for mode in ("before", "torn", "unsynced")
    }
    assert found["crashed"] >= found["points"] - 1  # a file that is only looked for cannot tear
