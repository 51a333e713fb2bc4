r"""Memory of one QLoRA step, component by component: shape and workload in, bytes out.

    bytes
      |              loss        one layer
      |              ____        ____      <- the peak is the higher of the two humps
      |            _/    \_    _/    \_
      |   forward /        \__/        \_ backward, layer after layer
      |     _____/  one checkpoint a layer stays            \_______ optimizer: gradients
      |____/__________________________________________________________ static
      0

Closed form, nothing loaded or traced. The formulas count tensors that PyTorch holds at the two
humps; where a number looks odd the comment names the tensor. Checked against published
measurements by benchmarks/estimate/measured.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ethtune.core.units import GIB, MIB
from ethtune.device.activations import kept_activation_bytes, layer_bytes, loss_bytes
from ethtune.device.shapes import ModelShape
from ethtune.device.workload import Workload

PeakPoint = Literal["loss", "layer backward", "optimizer step"]

# bitsandbytes: one 32-bit scale for 64 weights; doubly quantised to 8 bit, with a second scale
# for 256 of those.
_SCALE_BYTES = 4 / 64
_DOUBLE_SCALE_BYTES = 1 / 64 + 4 / (64 * 256)
# bitsandbytes pages only state tensors of this many numbers, and quantises only above 4096.
_PAGED_FROM = 100_000
_QUANTIZED_STATE_FROM = 4096
# A workspace for the main thread and one for autograd's, 8.125 MiB each below compute capability 9.
_CUBLAS_BYTES = 2 * 8_519_680
_BATCH_BYTES_PER_TOKEN = 24  # ids, labels, mask; 64 bit each

# What a process holds beyond live tensors: the allocator's slack as a share of them, more where
# eager attention fragments it with huge score matrices; and the CUDA context with its loaded
# libraries (141 MiB measured on a T4, above 1 GiB with flash-attention and Triton on an A100).
_SLACK = (0.02, 0.12)
_EAGER_SLACK = (0.02, 0.55)
_CONTEXT_BYTES = (int(0.13 * GIB), int(0.9 * GIB))


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of tensors by component at the peak, and what the process holds."""

    components: dict[str, int]
    peak_point: PeakPoint
    paged_bytes: int  # optimizer states that live in host memory
    slack: tuple[float, float] = _SLACK

    @property
    def allocated_bytes(self) -> int:
        """All live tensors at the peak."""
        return sum(self.components.values())

    @property
    def process_bytes(self) -> tuple[int, int]:
        """What the driver will show for the process: low and high."""
        (low, high), (small, large) = self.slack, _CONTEXT_BYTES
        allocated = self.allocated_bytes
        return int(allocated * (1 + low)) + small, int(allocated * (1 + high)) + large


def estimate_memory(shape: ModelShape, work: Workload) -> MemoryEstimate:
    """Peak memory of a step on a GPU."""
    static, paged = static_components(shape, work)
    adapters = adapter_sizes(shape, work)
    checkpoints = kept_activation_bytes(shape, work)
    loss, layer = loss_bytes(shape, work), layer_bytes(shape, work)
    gradients = sum(adapters) * work.adapter_bytes
    humps: dict[PeakPoint, int] = {
        "loss": checkpoints + loss,
        "layer backward": checkpoints + layer,
        "optimizer step": gradients,
    }
    peak = max(humps, key=lambda point: humps[point])
    moving: dict[PeakPoint, dict[str, int]] = {
        "loss": {"activations kept for backward": checkpoints, "logits and loss": loss},
        "layer backward": {"activations kept for backward": checkpoints, "one layer": layer},
        "optimizer step": {"gradients": gradients},
    }
    slack = _EAGER_SLACK if work.attention == "eager" else _SLACK
    return MemoryEstimate(static | moving[peak], peak, paged, slack)


def static_components(shape: ModelShape, work: Workload) -> tuple[dict[str, int], int]:
    """What stays for the whole run, by component; and bytes paged out to the host."""
    linear = shape.num_linear_parameters
    parts: dict[str, int] = {}
    if work.is_quantized:
        scale = _DOUBLE_SCALE_BYTES if work.double_quant else _SCALE_BYTES
        parts["4-bit weights"] = linear // 2
        parts["quantisation scales"] = int(linear * scale)
    else:
        parts["16-bit weights" if work.weight_bytes == 2 else "32-bit weights"] = (
            linear * work.weight_bytes
        )
    embedding = 4 if work.upcast == "all" else work.weight_bytes
    parts["embeddings, head and norms"] = (
        shape.num_embedding_parameters * embedding + shape.num_small_parameters * work.stream_bytes
    )
    sizes = adapter_sizes(shape, work)
    parts["adapters"] = sum(sizes) * work.adapter_bytes
    states = [state_bytes(size, work) for size in sizes]
    paged = sum(
        state for state, size in zip(states, sizes, strict=True)
        if work.is_paged and size >= _PAGED_FROM
    )  # fmt: skip
    parts["optimizer states"] = sum(states) - paged
    parts["cuBLAS workspaces and batch"] = _CUBLAS_BYTES + work.tokens * _BATCH_BYTES_PER_TOKEN
    return parts, paged


def adapter_sizes(shape: ModelShape, work: Workload) -> list[int]:
    """Numbers in each trained matrix: A is rank x inputs, B is outputs x rank."""
    pairs = [shape.linears[name] for name in work.target_modules]
    return [work.rank * side for pair in pairs for side in pair] * shape.num_layers


def state_bytes(size: int, work: Workload) -> int:
    """AdamW's two moments of one trained matrix."""
    if work.optimizer == "adamw_8bit" and size >= _QUANTIZED_STATE_FROM:
        return 2 * size + 2 * 4 * (size // 256)
    return 2 * size * (4 if work.optimizer == "adamw_8bit" else work.state_bytes)


def host_bytes_to_load(shape: ModelShape) -> int:
    """Host memory while the weights are read: two shards of at most 5 GB, and the libraries."""
    weights = shape.num_parameters * 2
    return min(weights, 10 * 10**9) + 2 * GIB + 256 * MIB
