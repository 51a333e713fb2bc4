"""The speed benchmarks: their reports on results, and that the one for GPUs runs at all."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[3] / "benchmarks"


def report(folder: str, results: Path, *more: object) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, BENCHMARKS / folder / "report.py", results, *more]
    return subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False)


def run_of(name: str, seed: int, seconds: float) -> dict[str, object]:
    """Four steps of 4 rows and 1,000 tokens, the first two a warm-up that takes as long as both."""
    keys = ("wall_seconds", "cpu_seconds", "useful_tokens", "computed_tokens", "labels", "rows")
    ends = [0, 50, 60, 60 + seconds, 60 + 2 * seconds, 60 + 3 * seconds]
    marks = [
        dict(zip(keys, (end, 2 * end, 1000 * at, 1500 * at, 100 * at, 4 * at), strict=True))
        for at, end in enumerate(ends)
    ]
    return {
        "part": "contender", "name": name, "seed": seed, "marks": marks,
        "losses": [[step, 1.0] for step in range(1, 6)], "start_bytes": 0,
        "peak_bytes": 2**31, "process_peak_bytes": 2**31, "held_out_loss": 1.0, "extra": {},
    }  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """ethtune at 500 tokens a second, TRL's defaults at 400, its packing at 250."""
    speeds = {"ethtune": 2.0, "trl-sft": 2.5, "trl-packing": 4.0}
    document = {
        "versions": {"torch": "2.13"}, "python": "3.11", "overhead": None,
        "machine": {"processor": "X", "cores": 2, "threads": 2, "load_at_start": 0.0},
        "task": {
            "num_rows": 20, "num_tokens": 5000, "num_labels": 500, "source": "rows", "model": "m",
            "max_seq_length": 1024, "rows_per_step": 4, "packs_per_step": 1, "num_packs": 5,
        },
        "runs": [run_of(name, seed, at) for name, at in speeds.items() for seed in (1, 2)],
    }  # fmt: skip
    path = tmp_path / "results.json"
    path.write_text(json.dumps(document))
    return path


def test_speed_is_that_behind_the_warm_up_and_a_missed_target_is_said(results):
    ended = report("train", results)
    assert "`ethtune train`         |      500 | 500 to 500 |" in ended.stdout
    assert "- At least 1.5 times `trl sft`, its defaults: 1.25, MISSED." in ended.stdout
    assert "- At least 1 times `trl sft --packing`: 2.00, met." in ended.stdout
    assert ended.returncode == 1


def test_tables_go_where_the_document_has_its_mark(results, tmp_path):
    document = tmp_path / "speed.md"
    document.write_text("before\n<!-- figures: train -->\nold\n\n<!-- end -->\nafter\n")
    report("train", results, "--into", document)
    filled = document.read_text()
    assert filled.startswith("before\n<!-- figures: train -->\n\n20 rows of rows")
    assert filled.endswith("met.\n\n<!-- end -->\nafter\n")
    assert "old" not in filled


def test_gpu_cases_run_on_a_cpu_at_the_size_of_a_toy(tmp_path):
    results = tmp_path / "results.jsonl"
    words = ["--device", "cpu", "--tiny", "--output", results, "--only", "guide, no packing"]
    line = [sys.executable, BENCHMARKS / "gpu" / "bench.py", *words]
    ended = subprocess.run(list(map(str, line)), capture_output=True, text=True, check=False)
    machine, row = map(json.loads, results.read_text().splitlines())
    assert ended.returncode == 0, (ended.stderr, row)
    assert machine["machine"]["versions"]["torch"]
    assert (row["case"]["name"], row["status"]) == ("guide, no packing", "done")
    assert row["tokens_per_second"] > 0
    assert row["predicted"]["process_bytes"][0] > 0
    assert "| guide, no packing" in ended.stdout
