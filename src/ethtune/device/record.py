"""Tensors of norms and linear layers, forward and backward: a step in the making in, handles out.

Each function does with a ``Tape`` what PyTorch, transformers, peft and bitsandbytes do with memory:
it holds what the operation allocates, keeps what autograd saves, and drops the rest where they do.
Saved tensors come back by name, for the backward pass to use and free.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ethtune.device.decoder import ModelShape
from ethtune.device.tape import Tape
from ethtune.device.workload import Workload

Saved = dict[str, int]


@dataclass(slots=True)
class Record:
    """The tape of a step, and what it is the tape of."""

    shape: ModelShape
    work: Workload
    tape: Tape = field(default_factory=Tape)
    gradients: list[int] = field(default_factory=list)
    cached: list[int] = field(default_factory=list)  # lowered weights, until autocast ends

    @property
    def stream(self) -> int:
        """Bytes of a number between the layers."""
        return self.work.stream_bytes

    @property
    def attended(self) -> int:
        """Bytes of a number within attention: autocast lowers 32-bit inputs."""
        return self.work.compute_bytes if self.work.has_autocast else self.stream

    def is_quantized(self, name: str) -> bool:
        """Whether a linear layer is held in 4 bit."""
        is_stacked = self.work.stacks_experts and name in self.shape.mlp_linears
        return self.work.is_quantized and not is_stacked

    @property
    def adapting(self) -> int:
        """Bytes of a number within adapters."""
        return self.work.compute_bytes if self.work.has_autocast else self.work.adapter_bytes

    def rows(self, width: float, num_bytes: int) -> int:
        """A tensor with one row a token."""
        return self.tape.hold(self.work.tokens * width * num_bytes)

    def cast(self, tensor: int, width: float, before: int, after: int) -> int:
        """The tensor in other bytes a number: a copy unless they are the same."""
        if before == after:
            return tensor
        copy = self.rows(width, after)
        self.tape.drop(tensor)
        return copy


def norm(record: Record, inputs: int, *, saves: bool) -> tuple[int, Saved]:
    """RMSNorm as transformers writes it, in 32 bit: it saves its input so; fused, as it is."""
    tape, hidden, stream = record.tape, record.shape.hidden_size, record.stream
    if record.work.is_fused and stream == 2:
        out, scale = record.rows(hidden, 2), record.rows(1, 4)
        if saves:
            return out, {"inputs": tape.keep(inputs), "scale": scale}
        tape.drop(scale)
        return out, {}
    wide = record.rows(hidden, 4) if stream == 2 else tape.keep(inputs)
    tape.drop(record.rows(hidden, 4))  # the square
    scaled = record.rows(hidden, 4)
    if not saves:
        tape.drop(wide)
    low = tape.keep(scaled) if stream == 4 else record.rows(hidden, stream)
    out = record.rows(hidden, stream)
    tape.drop(scaled, low)
    return out, {"wide": wide} if saves else {}


def norm_backward(record: Record, gradient: int, saved: Saved) -> int:
    """Gradient of a norm's input; takes the gradient of its output."""
    tape, hidden, stream = record.tape, record.shape.hidden_size, record.stream
    if record.work.is_fused and stream == 2:
        tape.drop(*saved.values())
        return gradient  # written in place
    weighted = record.rows(hidden, stream)
    tape.drop(gradient)
    weighted = record.cast(weighted, hidden, stream, 4)
    through_scale = record.rows(hidden, 4)
    tape.drop(record.rows(hidden, 4), weighted)  # its product with the input, summed
    power = record.rows(hidden, 4)
    tape.drop(record.rows(hidden, 4), power, *saved.values())
    return record.cast(through_scale, hidden, 4, stream)


def linear(record: Record, inputs: int, name: str, bytes_in: int, *, saves: bool, share: float = 1.0
           ) -> tuple[int, Saved]:  # fmt: skip
    """A frozen linear layer and its adapter. ``share``: of the tokens, that an expert gets."""
    tape, work = record.tape, record.work
    width_in, width_out = record.shape.linears[name]
    width_in_rows, width_out_rows = width_in * share, width_out * share
    if record.is_quantized(name):
        low = None
        if bytes_in > work.compute_bytes:
            low = record.rows(width_in_rows, work.compute_bytes)
        weight = tape.hold(width_in * width_out * work.compute_bytes)
        out = record.rows(width_out_rows, work.compute_bytes)
        tape.drop(weight, low)
        out = record.cast(out, width_out_rows, work.compute_bytes, bytes_in)
    else:
        out = record.rows(width_out_rows, bytes_in)
    if name not in work.target_modules:
        return out, {}
    return _adapter(record, inputs, out, (width_in_rows, width_out_rows), bytes_in, saves=saves)


def _adapter(record: Record, inputs: int, out: int, widths: tuple[float, float], bytes_in: int,
             *, saves: bool) -> tuple[int, Saved]:  # fmt: skip
    """The low-rank branch; takes the layer's output and gives the sum."""
    tape, work, low = record.tape, record.work, record.adapting
    width_in, width_out = widths
    is_fused = work.is_fused and work.is_quantized
    saved: Saved = {}
    dropped = tape.keep(inputs)
    if work.dropout:
        dropped = record.rows(width_in, bytes_in)
        if is_fused:  # keeps the input and finds the mask by comparing
            saved["inputs"] = inputs
            tape.keep(inputs)
        else:
            saved["mask"] = record.rows(width_in, 1)
        tape.drop(inputs)
    dropped = record.cast(dropped, width_in, bytes_in, low)
    lowered = _lowered_weights(record, widths)
    narrow = record.rows(work.rank, low)
    if saves:
        saved |= {"dropped": dropped, "low rank": narrow, **lowered}
    else:
        record.cached += lowered.values()
        tape.drop(dropped, *saved.values())
        saved = {}
    product = record.rows(width_out, low)
    if not saves:
        tape.drop(narrow)
    elif is_fused:
        tape.drop(saved.pop("low rank"))
    scaled = record.rows(width_out, low)
    tape.drop(product)
    total = record.rows(width_out, max(bytes_in, low))
    tape.drop(out, scaled)
    return record.cast(total, width_out, max(bytes_in, low), bytes_in), saved


def _lowered_weights(record: Record, widths: tuple[float, float]) -> Saved:
    """Copies of both matrices in compute precision, which autocast makes once and keeps."""
    work = record.work
    if not work.has_autocast or work.is_fused or work.adapter_bytes <= work.compute_bytes:
        return {}
    names = ("lowered A", "lowered B")
    sizes = (work.rank * width * work.compute_bytes for width in widths)
    return {name: record.tape.hold(size) for name, size in zip(names, sizes, strict=True)}


def linear_backward(record: Record, gradient: int, name: str, bytes_in: int, saved: Saved,
                    *, share: float = 1.0) -> int:  # fmt: skip
    """Gradient of a linear layer's input; takes the gradient of its output."""
    tape, work = record.tape, record.work
    width_in, width_out = record.shape.linears[name]
    width_in_rows, width_out_rows = width_in * share, width_out * share
    branch = None
    if name in work.target_modules:
        branch = _adapter_backward(record, name, bytes_in, saved, share)
    if record.is_quantized(name):
        low = None
        if bytes_in > work.compute_bytes:
            low = record.rows(width_out_rows, work.compute_bytes)
        weight = tape.hold(width_in * width_out * work.compute_bytes)
        out = record.rows(width_in_rows, work.compute_bytes)
        tape.drop(weight, low)
        out = record.cast(out, width_in_rows, work.compute_bytes, bytes_in)
    else:
        out = record.rows(width_in_rows, bytes_in)
    tape.drop(gradient, branch)
    return out


def _adapter_backward(record: Record, name: str, bytes_in: int, saved: Saved, share: float) -> int:
    tape, work, low = record.tape, record.work, record.adapting
    width_in, width_out = record.shape.linears[name]
    scaled = record.rows(width_out * share, low)
    _weight_gradient(record, work.rank * width_out)
    inner = record.rows(work.rank * share, low)
    tape.drop(scaled, saved.get("low rank"))
    _weight_gradient(record, work.rank * width_in)
    out = record.rows(width_in * share, low)
    tape.drop(inner, saved["dropped"], saved.get("inputs"))
    tape.drop(saved.get("lowered A"), saved.get("lowered B"))
    out = record.cast(out, width_in * share, low, bytes_in)
    if "mask" in saved:
        masked = record.rows(width_in * share, bytes_in)
        tape.drop(out, saved["mask"])
        out = masked
    return out


def _weight_gradient(record: Record, size: int) -> None:
    """Stays until the update; with accumulation it is added to the one that is there."""
    made = record.tape.hold(size * record.work.adapter_bytes)
    if record.work.accumulates:
        record.tape.drop(made)
    else:
        record.gradients.append(made)
