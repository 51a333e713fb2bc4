"""Training without a GPU: whether the CPU gets anywhere with this model."""

from __future__ import annotations

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.device.checks.verdict import Check, Verdict, fail, skipped, warn
from ethtune.device.facts import Facts
from ethtune.device.shapes import shape_of
from ethtune.device.time import TimeEstimate, estimate_cpu_time, speed_text
from ethtune.device.workload import workload_of

# Slower than this, a thousand transactions for three epochs take the better part of a day.
_TOO_SLOW_TOKENS_PER_SECOND = 20.0


def cpu_time(facts: Facts, config: Config) -> TimeEstimate | None:
    """Speed of this CPU when it is idle; None for a model of unknown shape."""
    host = facts.host
    try:
        shape = shape_of(config.model.base_model)
        work = workload_of(config, shape, has_bfloat16=host.has_bfloat16, on_gpu=False)
    except ConfigError:
        return None
    return estimate_cpu_time(shape, work, cores=host.cpu_cores)


def judge_cpu(facts: Facts, config: Config) -> Verdict:
    """A GPU is not needed for a small model; a large one never finishes without."""
    if facts.gpus:
        return skipped("a GPU does the work")
    host = facts.host
    units = ", ".join(host.cpu_flags) or "instruction set not told"
    seen = f"no GPU; {host.cpu_name}, {host.cpu_cores} cores ({units})"
    time = cpu_time(facts, config)
    if time is None:
        return warn(f"{seen}: speed not known for {config.model.base_model}")
    seen += f": {config.model.base_model} at about {speed_text(time.tokens_per_second)}"
    slow, fast = time.tokens_per_second
    if (slow * fast) ** 0.5 < _TOO_SLOW_TOKENS_PER_SECOND:
        return fail(seen, "use a GPU, or --profile cpu for the small embedded model")
    return warn(seen, "use a GPU for more than a first try")


CHECKS = (Check("cpu.speed", "machine", judge_cpu),)
