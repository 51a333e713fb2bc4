"""How long a step takes: shape, workload and card in, a range of tokens per second out.

Without a run on the very machine this is a range, not a number. All constants that a measurement
may correct stand at the top.

    time of a micro batch = arithmetic / sustained speed
                          + element-wise traffic / bandwidth
                          + de-quantising the weights three times / bandwidth
                          and never below launching the kernels of all layers
"""

from __future__ import annotations

from dataclasses import dataclass

from ethtune.device.gpus import GpuFacts
from ethtune.device.shapes import ModelShape
from ethtune.device.workload import Workload

# Share of peak arithmetic and of bandwidth that real kernels sustain.
_SUSTAINED_FLOPS = 0.75
_SUSTAINED_BANDWIDTH = 0.8
# Bytes moved per token, layer and unit of (hidden + intermediate) by everything that is no matrix
# product; backed out of A100 runs, in 16 and in 32 bit.
_TRAFFIC_16BIT = 197.0
_TRAFFIC_32BIT = 368.0
# Seconds to launch one layer's kernels forward, recomputed and backward: fast host, slow host.
_LAUNCH_SECONDS = (0.003, 0.012)
# The formula's own uncertainty, fast and slow.
_SPREAD = (0.7, 1.5)

# What a CPU core reaches in whole training steps, slow and fast: weights de-quantised from NF4
# and arithmetic a second. Bare layers are many times faster and a busy machine many times slower,
# so timing those tells nothing. Calibrated with SmolLM2-135M, which trains at 150 to 700 tokens a
# second on two cores with 1024 tokens in a micro batch.
_CPU_DEQUANTIZED_PER_CORE = (30e6, 170e6)
_CPU_FLOPS_PER_CORE = (0.11e12, 0.42e12)


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
    linear = 2.0 * passes * shape.num_linear_parameters
    head = 4.0 * shape.vocab_size * shape.hidden_size * work.labelled_fraction
    pairs = [shape.linears[name] for name in work.target_modules]
    adapters = 7.0 * work.rank * sum(i + o for i, o in pairs) * shape.num_layers
    causal = 4.0 * work.seq_length * shape.query_size * shape.num_layers * 0.5
    return linear + head + adapters + causal * (1.0 + 2.5 + (1.0 if work.checkpointing else 0.0))


def estimate_time(shape: ModelShape, work: Workload, gpu: GpuFacts) -> TimeEstimate:
    """Range for one card."""
    flops = flops_per_token(shape, work)
    bandwidth = gpu.bandwidth_bytes_per_second * _SUSTAINED_BANDWIDTH
    traffic = _TRAFFIC_16BIT if work.stream_bytes == 2 else _TRAFFIC_32BIT
    width = shape.num_layers * (shape.hidden_size + shape.intermediate_size)
    dequantizing = 3 * 2.5 * shape.num_linear_parameters if work.is_quantized else 0.0
    seconds = work.tokens * flops / (gpu.tensor_flops * _SUSTAINED_FLOPS)
    seconds += (work.tokens * traffic * width + dequantizing) / bandwidth
    fast, slow = (
        max(seconds * spread, shape.num_layers * launch)
        for spread, launch in zip(_SPREAD, _LAUNCH_SECONDS, strict=True)
    )
    return TimeEstimate((work.tokens / slow, work.tokens / fast), flops)


def estimate_cpu_time(shape: ModelShape, work: Workload, *, cores: int) -> TimeEstimate:
    """Range for a CPU with nothing else to do: instruction sets and memory differ tenfold."""
    flops = flops_per_token(shape, work)
    passes = 2 + (1 if work.checkpointing else 0)
    dequantizing = passes * shape.num_linear_parameters if work.is_quantized else 0
    slow, fast = (
        work.tokens * cores / (dequantizing / dequantized + work.tokens * flops / rate)
        for dequantized, rate in zip(_CPU_DEQUANTIZED_PER_CORE, _CPU_FLOPS_PER_CORE, strict=True)
    )
    return TimeEstimate((slow, fast), flops)


def speed_text(tokens_per_second: tuple[float, float]) -> str:
    """Such as "150 to 700 tokens/s": two digits, more would pretend."""
    slow, fast = (float(f"{value:.2g}") for value in tokens_per_second)
    return f"{slow:,.{0 if slow >= 10 else 1}f} to {fast:,.{0 if fast >= 10 else 1}f} tokens/s"
