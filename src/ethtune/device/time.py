"""How long a step takes: shape, workload and card in, a range of tokens per second out.

Without a run on the very machine this is a range, not a number. All constants that a measurement
may correct stand at the top.

    time of a micro batch = arithmetic / sustained speed
                          + bytes of all tensors of the step, each written once and read twice,
                            and the weights de-quantised, / sustained bandwidth
                          and never below launching the kernels

The tensors come from the step's tape, so fused kernels, 32-bit streams, score matrices and logits
cost what they move. Which runs informed a constant stands beside it; docs/estimate.md has the rest.
"""

from __future__ import annotations

from dataclasses import dataclass

from ethtune.device.decoder import ModelShape
from ethtune.device.gpus import GpuFacts
from ethtune.device.step import record_step
from ethtune.device.workload import Workload

# Share of peak arithmetic and of bandwidth that real kernels sustain, and how often a tensor is
# moved (fms, Mistral-7B on an A100: plain, after a k-bit preparation, fused kernels).
_SUSTAINED_FLOPS = 0.75
_SUSTAINED_BANDWIDTH = 0.8
_MOVES = 3.0
# 32-bit arithmetic without tensor cores, as a share of the 16-bit peak (fitcheck, SmolLM2 on a T4).
_WIDE_FLOPS = 0.2
# From Python to the card, for each tensor (fitcheck, SmolLM2-135M, 2 x 512 on a T4).
_LAUNCH_SECONDS = 50e-6
# De-quantising reads half a byte and writes two a weight, in each pass.
_DEQUANTIZED_BYTES = 2.5
# The range around the estimate, of speeds: slow and fast.
_SPREAD = (0.75, 1.3)

# What a CPU core sustains in whole training steps: weights de-quantised from NF4 and arithmetic a
# second. Bare layers are many times faster, so timing those tells nothing. From SmolLM2-135M, which
# trains at 390 tokens a second on two idle cores with 1024 tokens in a micro batch; other
# instruction sets differ more than the range says, which is what calibration is for.
_CPU_DEQUANTIZED_PER_CORE = 88e6
_CPU_FLOPS_PER_CORE = 0.294e12
_CPU_SPREAD = (0.65, 1.35)


@dataclass(frozen=True, slots=True)
class TimeEstimate:
    """Range of tokens a second: slow, fast."""

    tokens_per_second: tuple[float, float]
    flops_per_token: float

    def seconds(self, tokens: float) -> tuple[float, float]:
        """Fast and slow duration of so many tokens."""
        slow, fast = self.tokens_per_second
        return tokens / fast, tokens / slow


def flops_per_token(shape: ModelShape, work: Workload) -> float:
    """Arithmetic executed for a token: no weight gradients, recomputing when checkpointing."""
    passes = 2 + (1 if work.checkpointing else 0)
    linear = 2.0 * passes * shape.num_active_parameters
    return linear + _head_flops(shape, work) + _adapter_flops(shape, work) + _attention_flops(
        shape, work)  # fmt: skip


def estimate_time(shape: ModelShape, work: Workload, gpu: GpuFacts) -> TimeEstimate:
    """Range for one card."""
    tape, _ = record_step(shape, work)
    tensors = [size for _, size in tape.events if size]
    weights = _dequantized_weights(shape, work)
    moved = _MOVES * (sum(tensors) - weights * work.compute_bytes) + weights * _DEQUANTIZED_BYTES
    flops = flops_per_token(shape, work)
    wide = _wide_flops(shape, work)
    arithmetic = (flops - wide) / _SUSTAINED_FLOPS + wide / _WIDE_FLOPS
    seconds = work.tokens * arithmetic / gpu.tensor_flops
    seconds += moved / (gpu.bandwidth_bytes_per_second * _SUSTAINED_BANDWIDTH)
    speed = work.tokens / max(seconds, len(tensors) * _LAUNCH_SECONDS)
    slow, fast = _SPREAD
    return TimeEstimate((speed * slow, speed * fast), flops)


def estimate_cpu_time(shape: ModelShape, work: Workload, *, cores: int) -> TimeEstimate:
    """Range for a CPU with nothing else to do."""
    flops = flops_per_token(shape, work)
    seconds = _dequantized_weights(shape, work) / _CPU_DEQUANTIZED_PER_CORE
    seconds += work.tokens * flops / _CPU_FLOPS_PER_CORE
    speed = work.tokens * cores / seconds
    slow, fast = _CPU_SPREAD
    return TimeEstimate((speed * slow, speed * fast), flops)


def _dequantized_weights(shape: ModelShape, work: Workload) -> int:
    """Weights that a micro batch de-quantises, all experts in each pass."""
    passes = 2 + (1 if work.checkpointing else 0)
    return passes * work.num_quantized(shape)


def _head_flops(shape: ModelShape, work: Workload) -> float:
    return 4.0 * shape.vocab_size * shape.hidden_size * work.labelled_fraction


def _adapter_flops(shape: ModelShape, work: Workload) -> float:
    widths = sum(
        sum(shape.linears[name]) * (shape.experts_per_token if shape.copies(name) > 1 else 1)
        for name in work.target_modules
    )
    return (8.0 if work.checkpointing else 6.0) * work.rank * widths * shape.num_layers


def _attention_flops(shape: ModelShape, work: Workload) -> float:
    """Scores and sums, forward and 2.5 times that backward.

    Flash-attention skips what a row must not see; behind a mask nothing is skipped.
    """
    length, part = work.seq_length, 0.5
    if work.attention == "eager" or work.packs_rows:
        part = 1.0
    if work.packs_rows and work.attention != "flash":
        length = work.tokens
    if shape.sliding_window and work.attention == "flash":
        length = min(length, 2 * shape.sliding_window)
    passes = 3.5 + (1.0 if work.checkpointing else 0.0)
    return 4.0 * length * shape.query_size * shape.num_layers * part * passes


def _wide_flops(shape: ModelShape, work: Workload) -> float:
    """What is multiplied in 32 bit: without autocast, adapters, and all that norms made wide."""
    if work.has_autocast:
        return 0.0
    wide = _adapter_flops(shape, work) if work.adapter_bytes == 4 else 0.0
    if work.upcast == "all":
        wide += _head_flops(shape, work) + _attention_flops(shape, work)
    return wide


def speed_text(tokens_per_second: tuple[float, float]) -> str:
    """Such as "150 to 700 tokens/s": two digits, more would pretend."""
    slow, fast = (float(f"{value:.2g}") for value in tokens_per_second)
    return f"{slow:,.{0 if slow >= 10 else 1}f} to {fast:,.{0 if fast >= 10 else 1}f} tokens/s"
