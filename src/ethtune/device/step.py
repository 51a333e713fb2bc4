r"""A training step as a tape: dimensions and workload in, every tensor that comes and goes out.

bytes
  |              loss        one layer
  |              ____        ____      <- the peak is the highest of these humps
  |            _/    \_    _/    \_
  |   forward /        \__/        \_ backward, layer after layer
  |     _____/  one checkpoint a layer stays            \_______ optimizer: gradients
  0
"""

from __future__ import annotations

import functools

from ethtune.device.decoder import ModelShape
from ethtune.device.layer import SavedLayer, layer, layer_backward
from ethtune.device.losses import loss_and_backward
from ethtune.device.record import Record
from ethtune.device.tape import Tape
from ethtune.device.workload import Workload

FORWARD, LOSS, BACKWARD, UPDATE = "forward", "loss", "layer backward", "optimizer step"


@functools.lru_cache(maxsize=64)
def record_step(shape: ModelShape, work: Workload) -> tuple[Tape, frozenset[int]]:
    """One micro batch and the update after it; and which handles are gradients."""
    record = Record(shape, work)
    tape = record.tape
    _hold_gradients(record)
    mask = tape.hold(_mask_bytes(work))
    # only a stream of 32-bit norms begins in the embeddings' precision
    first = work.compute_bytes if work.upcast == "norms" else record.stream
    out = record.rows(shape.hidden_size, first)
    # the embeddings' own output is a leaf of the graph: where they are scaled it stays beside
    leaf = record.rows(shape.hidden_size, record.stream) if shape.kind.scales_embeddings else None
    stack: list[SavedLayer | int | None] = []
    for _ in range(shape.num_layers):
        out, kept = _forward(record, out)
        stack.append(kept)
    tape.drop(*record.cached)
    tape.mark(FORWARD)
    gradient, held = loss_and_backward(record, out)
    tape.mark(LOSS)
    while stack:
        kept = stack.pop()
        if isinstance(kept, SavedLayer):
            gradient = layer_backward(record, gradient, kept)
        else:
            gradient = _recomputed(record, kept, gradient)
    tape.drop(gradient, held, mask, leaf)
    tape.mark(BACKWARD)
    gradients = frozenset(record.gradients)
    tape.drop(*record.gradients)
    tape.mark(UPDATE)
    return tape, gradients


def _hold_gradients(record: Record) -> None:
    """Those of earlier micro batches, where there are any."""
    shape, work = record.shape, record.work
    if not work.accumulates:
        return
    for name in work.target_modules:
        for side in shape.linears[name] * shape.copies(name) * shape.num_layers:
            record.gradients.append(record.tape.hold(work.rank * side * work.adapter_bytes))


def _forward(record: Record, before: int) -> tuple[int, SavedLayer | int | None]:
    """A layer's output, and what stays of it: all, its input, or nothing on the card."""
    out, saved = layer(record, before, saves=not record.work.checkpointing)
    if record.work.checkpointing and not record.work.offloads_checkpoints:
        return out, before
    record.tape.drop(before)
    return out, None if record.work.checkpointing else saved


def _recomputed(record: Record, before: int | None, gradient: int) -> int:
    """Backward through one checkpointed layer."""
    tape = record.tape
    if before is None:  # comes back from host memory
        before = record.rows(record.shape.hidden_size, record.stream)
    out, saved = layer(record, before, saves=True)
    if not record.work.is_reentrant:
        tape.drop(out)
    gradient = layer_backward(record, gradient, saved)
    if record.work.is_reentrant:
        tape.drop(out)
    tape.drop(before)
    return gradient


def _mask_bytes(work: Workload) -> int:
    """The mask that all layers share; flash-attention needs none."""
    if work.attention == "flash":
        return 0
    length, count = (work.tokens, 1) if work.packs_rows else (work.seq_length, work.micro_batch)
    if work.attention == "sdpa":
        return length**2 if work.packs_rows else 0
    # additive; beside a 32-bit one the 16-bit original
    return count * length**2 * (2 if work.stream_bytes == 2 else 4 + 2)
