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


# one check tells of a broken stage; all others that need the stage point to it
TOLD_BY = {
    "torch": "torch.cuda_build",
    "bitsandbytes": "bnb.native",
    "cuda.alloc": "cuda.alloc",
    "matmul": "bnb.matmul",
    "optimizers": "bnb.optimizers",
    "step": "gpu.smoke",
}
_FOUNDATIONS = ("torch", "bitsandbytes")


def package_of(stage: str) -> str:
    """What to install anew when a stage breaks."""
    return _PACKAGES.get(stage, stage).replace("_", "-")


def stage_of(facts: Facts, name: str) -> Stage | Verdict:
    """What a finished stage said; else a verdict: not run, not reached, failed, or ended by it."""
    if facts.stack is None:
        return skipped(NOT_PROBED)
    if (broken := broken_foundation(facts, name)) is not None:
        return skipped(f"{broken} does not import: see {TOLD_BY[broken]}")
    stage = facts.stack.stages.get(name)
    if stage is None:
        return skipped(f"not reached: the probe ended at {facts.stack.broken_stage or 'its start'}")
    if stage["state"] == "done":
        return stage
    why = stage["error"] if stage["state"] == "failed" else facts.stack.problem
    command = facts.packages.pip_command("install", "--force-reinstall", package_of(name))
    return fail(f"{name}: {why}", f"install {package_of(name)} anew", command)


def broken_foundation(facts: Facts, name: str | None = None) -> str | None:
    """What did not import of all that stage ``name`` stands on; of everything without a name."""
    stages = facts.stack.stages if facts.stack else {}
    below = _FOUNDATIONS[: _FOUNDATIONS.index(name)] if name in _FOUNDATIONS else _FOUNDATIONS
    return next((n for n in below if stages.get(n, {}).get("state") in ("failed", "begun")), None)
