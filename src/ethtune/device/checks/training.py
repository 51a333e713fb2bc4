"""Quantisation, precision, optimizer, attention: the arithmetic of one step, done for real."""

from __future__ import annotations

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.device.checks.probed import stage_of
from ethtune.device.checks.verdict import Check, Verdict, fail, ok, skipped, warn
from ethtune.device.facts import Facts
from ethtune.device.shapes import shape_of
from ethtune.device.time import TimeEstimate, estimate_cpu_time, speed_text
from ethtune.device.workload import workload_of

_AMPERE = (8, 0)
_ROWS, _ROW_TOKENS = 1000, 400  # a small dataset, of transactions of ordinary length
_UNITS = (("days", 86400.0), ("hours", 3600.0), ("min", 60.0))
# Slower than this, a thousand transactions for three epochs take the better part of a day.
_TOO_SLOW_TOKENS_PER_SECOND = 20.0


def judge_step(facts: Facts, _config: Config) -> Verdict:
    """One real QLoRA step: NF4 forward, backward, optimizer, a falling loss, save and load."""
    step = stage_of(facts, "step")
    if isinstance(step, Verdict):
        return step
    first, last = step["losses"][0], step["losses"][-1]
    return ok(
        f"NF4 training on {step['device']} in {step['dtype']}: loss {first:.3f} to {last:.3f}"
    )


def judge_bitsandbytes(facts: Facts, _config: Config) -> Verdict:
    """Whether its compiled library loaded: the import alone does not say so."""
    stage = stage_of(facts, "bitsandbytes")
    if isinstance(stage, Verdict):
        return stage
    seen = f"bitsandbytes {stage['version']}, {stage['library']}"
    if stage["is_native"]:
        return ok(seen)
    seen += ": its library did not load"
    if "BNB_CUDA_VERSION" in facts.environment:
        return fail(seen, None, "unset BNB_CUDA_VERSION")
    return fail(seen, None, facts.packages.pip_command("install", "--upgrade", "bitsandbytes"))


def judge_matmul(facts: Facts, _config: Config) -> Verdict:
    """Product and gradient of 4-bit weights against the same weights in full."""
    stage = stage_of(facts, "matmul")
    if isinstance(stage, Verdict):
        return stage
    worst = max(stage["errors"])
    return ok(f"4-bit product and gradient on {stage['device']}, off by {worst:.2%} at most")


def judge_optimizers(facts: Facts, _config: Config) -> Verdict:
    """A step of the paged and the 8-bit optimizers."""
    stage = stage_of(facts, "optimizers")
    if isinstance(stage, Verdict):
        return stage
    return ok(f"{', '.join(stage['optimizers'])} on {stage['device']}")


def judge_precision(facts: Facts, config: Config) -> Verdict:
    """bfloat16 from compute capability 8.0 on; older cards would emulate it slowly."""
    capability = facts.gpu.compute_capability if facts.gpu else None
    if capability is None:
        return skipped("no GPU that tells its compute capability")
    seen = f"compute capability {capability[0]}.{capability[1]}"
    if capability >= _AMPERE:
        return ok(f"{seen}: bfloat16")
    settings = "optimization.bf16=auto", "quantization.bnb_4bit_compute_dtype=auto"
    words = " ".join(f"--set {setting}" for setting in settings)
    if config.optimization.bf16 is True:
        return fail(f"{seen} has no bfloat16 units, optimization.bf16 asks for it", f"add {words}")
    if config.quantization.bnb_4bit_compute_dtype == "bfloat16":
        return warn(f"{seen} would emulate bfloat16, the config asks for it", f"add {words}")
    return ok(f"{seen}: float16, adapters in float32")


def judge_attention(facts: Facts, config: Config) -> Verdict:
    """FlashAttention needs its package, built for this torch, and Ampere or newer."""
    if config.model.attn_implementation != "flash_attention_2":
        return ok(f"attention: {config.model.attn_implementation}, which needs no package")
    other = "--set model.attn_implementation=sdpa is as right and nearly as fast"
    if facts.gpu is None:
        return fail("flash_attention_2 is asked for, and there is no GPU", other)
    capability = facts.gpu.compute_capability
    if capability is not None and capability < _AMPERE:
        return fail(f"flash_attention_2 needs Ampere or newer, this is {capability}", other)
    if "flash-attn" not in facts.packages.installed:
        return fail("flash_attention_2 is asked for, flash-attn is not installed", other)
    stage = stage_of(facts, "flash_attn")
    if isinstance(stage, Verdict):
        return fail(stage.evidence, other) if stage.status == "fail" else stage
    return ok(f"flash-attn {stage['version']} imports")


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
    seen += f": {config.model.base_model} at {cpu_text(time)}"
    slow, fast = time.tokens_per_second
    if (slow * fast) ** 0.5 < _TOO_SLOW_TOKENS_PER_SECOND:
        return fail(seen, "use a GPU, or --profile cpu for the small embedded model")
    return warn(seen, "use a GPU for more than a first try")


def cpu_text(time: TimeEstimate) -> str:
    """The speed, and what it means."""
    fast, slow = time.seconds(_ROWS * _ROW_TOKENS)
    name, unit = next((each for each in _UNITS if slow >= 2 * each[1]), _UNITS[-1])
    taken = f"{fast / unit:.2g} to {slow / unit:.2g} {name}"
    return (
        f"about {speed_text(time.tokens_per_second)}: {taken} for {_ROWS:,} rows of {_ROW_TOKENS} "
        "tokens"
    )


def cpu_time(facts: Facts, config: Config) -> TimeEstimate | None:
    """Speed of this CPU when it is idle; None for a model of unknown shape."""
    host = facts.host
    try:
        shape = shape_of(config.model.base_model)
        work = workload_of(config, shape, has_bfloat16=host.has_bfloat16, on_gpu=False)
    except ConfigError:
        return None
    return estimate_cpu_time(shape, work, cores=host.cpu_cores)


CHECKS = (
    Check("gpu.smoke", "training", 1, "does one real QLoRA step work?", judge_step),
    Check("bnb.native", "training", 5, "did bitsandbytes' library load?", judge_bitsandbytes),
    Check("bnb.matmul", "training", 6, "are 4-bit product and gradient right?", judge_matmul),
    Check("bnb.optimizers", "training", 7, "do the paged optimizers step?", judge_optimizers),
    Check("precision", "training", 12, "has the card the precision asked for?", judge_precision),
    Check("attention", "training", 24, "is the attention asked for there?", judge_attention),
    Check("cpu.speed", "training", 13, "is the CPU fast enough?", judge_cpu),
)
