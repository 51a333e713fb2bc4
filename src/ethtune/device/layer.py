"""Tensors of one decoder layer, forward and backward: a step in the making in, handles out."""

from __future__ import annotations

from dataclasses import dataclass, field

from ethtune.device.attention import SavedAttention, attention, attention_backward
from ethtune.device.mlp import SavedExpert, mlp, mlp_backward
from ethtune.device.record import Record, Saved, norm, norm_backward


@dataclass(slots=True)
class SavedLayer:
    """What autograd holds of one layer."""

    norms: tuple[Saved, Saved] = field(default_factory=lambda: ({}, {}))
    attention: SavedAttention = field(default_factory=SavedAttention)
    experts: list[SavedExpert] = field(default_factory=list)


def layer(record: Record, inputs: int, *, saves: bool) -> tuple[int, SavedLayer]:
    """Output of a layer; its input stays the caller's."""
    tape, hidden, stream = record.tape, record.shape.hidden_size, record.stream
    saved = SavedLayer()
    normed, first = norm(record, inputs, saves=saves)
    attended = attention(record, normed, saved.attention, saves=saves)
    tape.drop(normed)
    middle = record.rows(hidden, stream)
    tape.drop(attended)
    normed, second = norm(record, middle, saves=saves)
    saved.norms = (first, second)
    out = mlp(record, normed, saved.experts, saves=saves)
    tape.drop(normed)
    total = record.rows(hidden, stream)
    tape.drop(out, middle)
    return total, saved


def layer_backward(record: Record, gradient: int, saved: SavedLayer) -> int:
    """Gradient of a layer's input; takes the gradient of its output."""
    tape, hidden, stream = record.tape, record.shape.hidden_size, record.stream
    inner = norm_backward(record, mlp_backward(record, gradient, saved.experts), saved.norms[1])
    middle = record.rows(hidden, stream)
    tape.drop(inner, gradient)
    inner = norm_backward(
        record, attention_backward(record, middle, saved.attention), saved.norms[0]
    )
    total = record.rows(hidden, stream)
    tape.drop(inner, middle)
    return total
