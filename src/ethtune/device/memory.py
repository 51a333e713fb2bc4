r"""Memory of one QLoRA step, component by component: shape and workload in, bytes out.

What stays for the whole run is added up in closed form; what comes and goes is read off the tape of
a step (``step``), whose peak is the answer. What a process reserves is a replay of the allocator on
the same tape, and the driver's context. Nothing is loaded, traced or timed: no torch, no GPU.

Constants below name the measurements that informed them; benchmarks/estimate/measured.py compares
the rest with published runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ethtune.core.units import GIB, MIB
from ethtune.device.allocator import replay
from ethtune.device.decoder import ModelShape
from ethtune.device.step import BACKWARD, FORWARD, LOSS, UPDATE, record_step
from ethtune.device.tape import Tape
from ethtune.device.workload import Workload

PeakPoint = Literal["forward", "loss", "layer backward", "optimizer step"]

# bitsandbytes: one 32-bit scale for 64 weights; doubly quantised to 8 bit, with a second scale
# for 256 of those.
_SCALE_BYTES = 4 / 64
_DOUBLE_SCALE_BYTES = 1 / 64 + 4 / (64 * 256)
# GPTQ in groups of 128: a 16-bit scale and a 4-bit zero for each; and where each input belongs,
# 32 bit for each row of a matrix.
_GPTQ_SCALE_BYTES = (2 + 0.5) / 128
# bitsandbytes pages only state tensors of this many numbers, and quantises only above 4096.
_PAGED_FROM = 100_000
_QUANTIZED_STATE_FROM = 4096
# A workspace for the main thread and one for autograd's; larger ones from compute capability 9 on.
CUBLAS_WORKSPACES = (8_519_680, 8_519_680)
# Of layers in parts: the one that computes, the next one on its way, and a buffer to sort it from.
# By FSDP2's design (torch/distributed/fsdp/_fully_shard); not measured.
_LAYERS_TOGETHER = 3
_BATCH_BYTES_PER_TOKEN = 24  # ids, labels, mask; 64 bit each

# The CUDA context with loaded kernels, by compute capability's major number: 141 MiB measured on a
# T4 (two sweeps of fitcheck); 0.59 GB on an A100 (one run of fms, foak and liger, batch 32).
_CONTEXT_BYTES = {7: 141 * MIB}
_MODERN_CONTEXT_BYTES = 560 * MIB
# Old transformers shift a copy of the logits; a part of it that no hole of the cache takes, as a
# share of 32-bit logits (informed by 20 runs with fms: PowerLM-3b, Mistral-7B, Mixtral).
_UNPLACED_LOGITS = 0.7
# Where a process lies around the estimate, as shares of what is reserved.
_PROCESS_SPREAD = (0.95, 1.08)

_KEPT = "activations kept for backward"
_COMPONENT_OF = {FORWARD: _KEPT, LOSS: "logits and loss", BACKWARD: "one layer", UPDATE: "update"}


@dataclass(frozen=True, slots=True)
class MemoryEstimate:
    """Bytes of tensors by component at the peak, and what the process holds."""

    components: dict[str, int]
    peak_point: PeakPoint
    paged_bytes: int  # optimizer states that live in host memory
    tape: Tape
    static_sizes: tuple[int, ...]
    unplaced_bytes: int = 0

    @property
    def allocated_bytes(self) -> int:
        """All live tensors at the peak."""
        return sum(self.components.values())

    @property
    def reserved_bytes(self) -> int:
        """What the allocator has taken from the driver after some steps; a replay, 20 ms."""
        loading = [(-1 - index, size) for index, size in enumerate(self.static_sizes) if size]
        replayed = replay(loading, self.tape.events)
        return replayed.reserved_bytes + self.unplaced_bytes

    @property
    def process_bytes(self) -> tuple[int, int]:
        """What the driver will show for the process: low and high, whatever the card."""
        return process_range(self.reserved_bytes)


def process_range(reserved_bytes: int) -> tuple[int, int]:
    """Low and high of what the driver will show, whatever the card."""
    low, high = (int(reserved_bytes * share) for share in _PROCESS_SPREAD)
    return low + _CONTEXT_BYTES[7], high + _MODERN_CONTEXT_BYTES


def context_bytes(compute_capability: tuple[int, int]) -> int:
    """The CUDA context and its loaded libraries."""
    return _CONTEXT_BYTES.get(compute_capability[0], _MODERN_CONTEXT_BYTES)


def estimate_memory(shape: ModelShape, work: Workload) -> MemoryEstimate:
    """Peak memory of a step on a GPU."""
    static, paged = static_components(shape, work)
    tape, gradients = record_step(shape, work)
    moving: dict[str, int] = {}
    for handle, event in tape.live_at_peak().items():
        name = "gradients" if handle in gradients else _COMPONENT_OF[tape.phase_of(event)]
        moving[name] = moving.get(name, 0) + tape.sizes[handle]
    unplaced = 0
    if work.shifts_logits and work.loss in ("plain", "fused") and work.stream_bytes == 2:
        unplaced = int(_UNPLACED_LOGITS * work.tokens * shape.vocab_size * 4)
    return MemoryEstimate(
        components=static | moving,
        peak_point=tape.phase_of(tape.peak_event),  # type: ignore[arg-type]
        paged_bytes=paged,
        tape=tape,
        static_sizes=_static_sizes(shape, work, static),
        unplaced_bytes=unplaced,
    )


def _static_sizes(shape: ModelShape, work: Workload, static: dict[str, int]) -> tuple[int, ...]:
    """Static tensors about as they are cut: weights matrix by matrix, the rest as it is summed."""
    weights = static.get("4-bit weights", 0) or static.get("16-bit weights", 0)
    if not weights:
        return tuple(static.values())
    share = weights / shape.num_linear_parameters
    pieces = [
        int(inputs * outputs * share)
        for name, (inputs, outputs) in shape.linears.items()
        for _ in range(shape.num_layers * shape.copies(name))
    ]
    rest = [size for name, size in static.items() if size != weights]
    return (*pieces, *rest)


def static_components(shape: ModelShape, work: Workload) -> tuple[dict[str, int], int]:
    """What stays for the whole run, by component; and bytes paged out to the host."""
    quantized = work.num_quantized(shape)
    whole = shape.num_linear_parameters - quantized
    parts: dict[str, int] = {}
    if quantized:
        parts["4-bit weights"] = quantized // 2 // work.num_parts
        parts["quantisation scales"] = _scale_bytes(shape, work)
    if whole:
        parts["16-bit weights" if work.weight_bytes == 2 else "32-bit weights"] = (
            whole * work.weight_bytes // work.num_parts
        )
    if work.num_parts > 1:
        parts["layers put together"] = _LAYERS_TOGETHER * layer_bytes(shape, work)
    embedding = 4 if work.upcast == "all" else work.weight_bytes
    parts["embeddings, head and norms"] = (
        _num_embedding_numbers(shape, work) * embedding
        + shape.num_small_parameters * work.stream_bytes
    )
    sizes = adapter_sizes(shape, work)
    parts["adapters"] = sum(sizes) * work.adapter_bytes
    states = [state_bytes(size, work) for size in sizes]
    paged = sum(
        state for state, size in zip(states, sizes, strict=True)
        if work.is_paged and size >= _PAGED_FROM
    )  # fmt: skip
    parts["optimizer states"] = sum(states) - paged
    parts["cuBLAS workspaces and batch"] = (
        sum(CUBLAS_WORKSPACES) + work.tokens * _BATCH_BYTES_PER_TOKEN
    )
    return parts, paged


def layer_bytes(shape: ModelShape, work: Workload) -> int:
    """Weights of one layer, whole."""
    quantized = work.num_quantized(shape)
    whole = shape.num_linear_parameters - quantized
    return (quantized // 2 + whole * work.weight_bytes) // shape.num_layers


def _num_embedding_numbers(shape: ModelShape, work: Workload) -> int:
    """Of layers in parts the head stays whole, and with it the embeddings that are tied to it."""
    if work.num_parts == 1 or shape.tie_embeddings:
        return shape.num_embedding_parameters
    head = shape.num_embedding_parameters // 2
    return head + head // work.num_parts


def _scale_bytes(shape: ModelShape, work: Workload) -> int:
    linear = work.num_quantized(shape)
    if work.storage == "gptq":
        rows = sum(inputs * shape.copies(name) for name, (inputs, _) in shape.linears.items())
        return int(linear * _GPTQ_SCALE_BYTES) + 4 * rows * shape.num_layers
    return int(linear * (_DOUBLE_SCALE_BYTES if work.double_quant else _SCALE_BYTES))


def adapter_sizes(shape: ModelShape, work: Workload) -> list[int]:
    """Numbers in each trained matrix: A is rank x inputs, B is outputs x rank."""
    sides = [
        side
        for name in work.target_modules
        for _ in range(shape.copies(name))
        for side in shape.linears[name]
    ]
    return [work.rank * side for side in sides] * shape.num_layers


def state_bytes(size: int, work: Workload) -> int:
    """Moments of one trained matrix: AdamW's two, Lion's one, Adafactor's by row and by column."""
    if work.optimizer == "adafactor":
        return 4 * (work.rank + size // work.rank)
    moments = 1 if work.optimizer.startswith("lion") else 2
    if work.optimizer.endswith("8bit") and size >= _QUANTIZED_STATE_FROM:
        return moments * (size + 4 * (size // 256))
    return moments * size * (4 if work.optimizer.endswith("8bit") else work.state_bytes)


def host_bytes_to_load(shape: ModelShape) -> int:
    """Host memory while the weights are read: two shards of at most 5 GB, and the libraries."""
    weights = shape.num_parameters * 2
    return min(weights, 10 * 10**9) + 2 * GIB + 256 * MIB
