"""Estimates against real runs on this machine's CPU: three configurations in, errors out.

    python benchmarks/estimate/cpu_truth.py PREPARED_FOLDER WORK_FOLDER [--json FILE]

Each configuration is estimated, calibrated by ``ethtune estimate --calibrate`` in a cache of its
own, and then really trained for some steps with validations and checkpoints. Peak memory and time
of a step are compared with both estimates. It takes about eight minutes on two idle cores; a busy
machine's pace tells nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ethtune.core.cachefolder import cache_folder

_STEPS = 6
_RUNS = {
    "profile cpu": (),
    "1 x 512, checkpoints, rank 8": (
        "data.max_seq_length=512", "optimization.gradient_checkpointing=true", "lora.r=8",
    ),
    "2 x 512, not quantised": (
        "data.max_seq_length=512", "training.per_device_train_batch_size=2",
        "quantization.load_in_4bit=false",
    ),
}  # fmt: skip
_COMMON = (
    f"training.max_steps={_STEPS}", "logging.logging_steps=1", "logging.eval_steps=3",
    "logging.save_steps=3", "data.max_eval_samples=16",
)  # fmt: skip


def measured(name: str, dataset: Path, work: Path) -> dict[str, Any]:
    """One configuration: both estimates and the run."""
    settings = [word for item in (*_RUNS[name], *_COMMON) for word in ("--set", item)]
    shared = ["--profile", "cpu", "--dataset", str(dataset), *settings]
    folder = work / name.replace(" ", "_").replace(",", "")
    cache = folder / "cache"
    cache.mkdir(parents=True)
    (cache / "models").symlink_to(cache_folder().resolve() / "models")
    plain = _ethtune(cache, "estimate", *shared)
    calibrated = _ethtune(cache, "estimate", *shared, "--calibrate")
    run = _ethtune(cache, "train", *shared, "--output", str(folder / "run"))
    return {
        "name": name,
        "peak_bytes": run["peak_process_bytes"],
        "step_seconds": run["step_seconds"],
        "plain": _compared(plain, run),
        "calibrated": _compared(calibrated, run),
        "load_average": os.getloadavg(),
    }


def _ethtune(cache: Path, *words: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "ethtune", *words, "--json"],
        env=os.environ | {"ETHTUNE_CACHE": str(cache)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode not in (0, 1):  # 1: it would not fit
        raise SystemExit(done.stderr)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _compared(estimate: dict[str, Any], run: dict[str, Any]) -> dict[str, Any]:
    """Errors of the middles, and whether the run lay inside the ranges."""
    low, high = estimate["process_bytes"]
    fast, slow = estimate["step_seconds"]
    return {
        "memory_error": (low + high) / 2 / run["peak_process_bytes"] - 1,
        "memory_inside": low <= run["peak_process_bytes"] <= high,
        "time_error": (fast * slow) ** 0.5 / run["step_seconds"] - 1,
        "time_inside": fast <= run["step_seconds"] <= slow,
    }


def lines(found: dict[str, Any]) -> Iterator[str]:
    """One configuration for people."""
    peak, seconds = found["peak_bytes"] / 2**30, found["step_seconds"]
    yield f"{found['name']}: {peak:.3f} GiB, {seconds:.2f} s a step"
    for kind in ("plain", "calibrated"):
        said = found[kind]
        sides = (
            f"{what} {said[f'{what}_error']:+.1%} {'in' if said[f'{what}_inside'] else 'OUTSIDE'}"
            for what in ("memory", "time")
        )
        yield f"  {kind:<11} {'  '.join(sides)}"


def main() -> None:
    """Measure all configurations and print what came out."""
    parser = argparse.ArgumentParser(description="Estimates against real runs on the CPU.")
    parser.add_argument("dataset", type=Path, help="folder that ethtune prepare wrote")
    parser.add_argument("work", type=Path, help="new folder for runs and caches")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    arguments = parser.parse_args()
    found = []
    for name in _RUNS:
        found.append(measured(name, arguments.dataset, arguments.work))
        print("\n".join(lines(found[-1])), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
