"""A stage of the probe of the libraries, or the verdict that stands for its absence."""

from __future__ import annotations

from ethtune.device.checks.verdict import NOT_PROBED, Verdict, fail, skipped
from ethtune.device.facts import Facts
from ethtune.device.probes import Stage

# the package that is behind a stage which is no import
_PACKAGES = {
    "cuda.alloc": "torch",
    "matmul": "bitsandbytes",
    "optimizers": "bitsandbytes",
    "step": "bitsandbytes",
}


def package_of(stage: str) -> str:
    """What to install anew when a stage breaks."""
    return _PACKAGES.get(stage, stage).replace("_", "-")


def stage_of(facts: Facts, name: str) -> Stage | Verdict:
    """What a finished stage said; else a verdict: not run, not reached, failed, or ended by it."""
    if facts.stack is None:
        return skipped(NOT_PROBED)
    stage = facts.stack.stages.get(name)
    if stage is None:
        return skipped(f"not reached: the probe ended at {facts.stack.broken_stage or 'its start'}")
    if stage["state"] == "done":
        return stage
    why = stage["error"] if stage["state"] == "failed" else facts.stack.problem
    command = facts.packages.pip_command("install", "--force-reinstall", package_of(name))
    return fail(f"{name}: {why}", f"install {package_of(name)} anew", command)
