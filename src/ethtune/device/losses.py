"""Tensors of the last norm, the head and the loss, forward and backward: a step in, handles out."""

from __future__ import annotations

from ethtune.device.record import Record, Saved, norm, norm_backward
from ethtune.device.workload import Workload

# Positions whose logits the trainer's own loss, and the library's, hold at a time.
LOSS_CHUNK_TOKENS = 256


def loss_and_backward(record: Record, inputs: int) -> tuple[int, int | None]:
    """Gradient of the last layer's output, which is taken; and logits that outlive the loss."""
    tape = record.tape
    normed, saved = norm(record, inputs, saves=True)
    tape.drop(inputs)
    if record.work.loss in ("plain", "fused"):
        return _whole(record, normed, saved)
    hidden, low = record.shape.hidden_size, record.work.compute_bytes
    if record.work.loss == "liger":
        out = record.rows(hidden, low)  # gradients are made in the forward pass
        _liger_chunk(record)
        tape.drop(normed)
    elif record.work.loss == "chunked_fp32_head":
        out = _with_copied_head(record, normed)
    elif record.work.loss == "frozen_head":
        out = _frozen_head(record, normed)
    else:
        out = _labelled(record, normed, recomputes=record.work.loss == "labelled_chunks")
    return norm_backward(record, record.cast(out, hidden, low, record.stream), saved), None


def _whole(record: Record, normed: int, saved: Saved) -> tuple[int, int | None]:
    """Logits of the whole micro batch at once."""
    tape, work, hidden = record.tape, record.work, record.shape.hidden_size
    is_fused, vocab = work.loss == "fused", record.shape.vocab_size
    low = 4 if work.upcast == "all" else work.compute_bytes
    logits = record.rows(vocab, low)
    wide = tape.keep(logits) if low == 4 else record.rows(vocab, 4)
    if work.shifts_logits and work.held_logits == "no":
        tape.drop(logits)
    shifted = record.rows(vocab, 4) if work.shifts_logits else tape.keep(wide)
    # cross entropy saves log-probabilities; the fused one writes its gradient over the logits
    chances = tape.keep(shifted) if is_fused else record.rows(vocab, 4)
    tape.drop(shifted, wide, normed)
    if not work.shifts_logits and work.held_logits == "no":
        tape.drop(logits)
    gradient = chances
    if not is_fused:
        picked, gradient = record.rows(vocab, 4), record.rows(vocab, 4)
        tape.drop(picked, chances)
    if work.shifts_logits:
        gradient = _copied(record, gradient)
    gradient = record.cast(gradient, vocab, 4, low)
    if work.held_logits == "loss":
        tape.drop(logits)
    out = record.rows(hidden, low)
    tape.drop(gradient)
    out = record.cast(out, hidden, low, record.stream)
    held = logits if work.held_logits == "step" else None
    return norm_backward(record, out, saved), held


def _copied(record: Record, gradient: int) -> int:
    """The gradient of a slice is as large as what was sliced."""
    copy = record.rows(record.shape.vocab_size, 4)
    record.tape.drop(gradient)
    return copy


def _liger_chunk(record: Record) -> None:
    """Rows so few that their logits are about as large as the hidden states."""
    vocab, tokens = record.shape.vocab_size, record.work.tokens
    rows = max(tokens * record.shape.hidden_size // vocab, 1)
    rows = min(1 << (rows - 1).bit_length(), tokens)
    low = record.tape.hold(rows * vocab * record.work.compute_bytes)
    record.tape.drop(low, record.tape.hold(rows * vocab * 4))


def _with_copied_head(record: Record, normed: int) -> int:
    """A 32-bit copy of the head, under autocast one more of 16 bit, and a chunk's logits."""
    tape, vocab, hidden = record.tape, record.shape.vocab_size, record.shape.hidden_size
    copies = tape.hold(vocab * hidden * 4), tape.hold(vocab * hidden * 2)
    out = record.rows(hidden, record.work.compute_bytes)
    tape.drop(tape.hold(6 * LOSS_CHUNK_TOKENS * vocab), *copies, normed)
    return out


def _frozen_head(record: Record, normed: int) -> int:
    """The trainer's own for a head that is not trained: gradients are made in the forward pass."""
    tape, work, vocab = record.tape, record.work, record.shape.vocab_size
    hidden, low = record.shape.hidden_size, work.compute_bytes
    count = _num_labels(work)
    chosen = tape.hold(count * hidden * low)
    tape.drop(normed)
    gradient = tape.hold(count * hidden * low)
    for rows in _chunks(count):
        logits = tape.hold(rows * vocab * low)
        wide = tape.hold(rows * vocab * 4) if work.copies_softmax else None
        chances = tape.hold(rows * vocab * 4)
        tape.drop(wide)
        lowered = None if low == 4 else tape.hold(rows * vocab * low)
        tape.drop(tape.hold(rows * hidden * low), lowered, logits, chances)
    tape.drop(chosen)
    scaled = tape.hold(count * hidden * low)
    tape.drop(gradient)
    out = record.rows(hidden, low)
    tape.drop(scaled)
    return out


def _num_labels(work: Workload) -> int:
    return max(int(work.tokens * work.labelled_fraction), 1)


def _chunks(count: int) -> list[int]:
    return [min(LOSS_CHUNK_TOKENS, count - at) for at in range(0, count, LOSS_CHUNK_TOKENS)]


def _labelled(record: Record, normed: int, *, recomputes: bool) -> int:
    """The trainer's own for any other head: logits at labelled positions, in 32 bit.

    Mixed precision gives the output of a model in 32 bit. On a GPU a chunk's log-probabilities are
    computed again backward; on a CPU they are kept.
    """
    tape, work, vocab = record.tape, record.work, record.shape.vocab_size
    hidden, low = record.shape.hidden_size, work.compute_bytes
    count = _num_labels(work)
    chosen = tape.hold(count * hidden * low)
    logits = tape.hold(count * vocab * low)
    tape.drop(chosen, normed)
    logits = _cast(record, logits, count * vocab, low, 4)
    kept = []
    for rows in _chunks(count):
        chances = tape.hold(rows * vocab * 4)
        if recomputes:
            tape.drop(chances)
        else:
            kept.append(chances)
    parts = []
    for rows in _chunks(count):  # the split waits for the gradients of all its parts
        chances = kept.pop(0) if kept else tape.hold(rows * vocab * 4)
        picked = tape.hold(rows * vocab * 4)
        parts.append(tape.hold(rows * vocab * 4))
        tape.drop(picked, chances)
    tape.drop(logits)
    joined = tape.hold(count * vocab * 4)
    tape.drop(*parts)
    joined = _cast(record, joined, count * vocab, 4, low)
    chosen = tape.hold(count * hidden * low)
    tape.drop(joined)
    out = record.rows(hidden, low)
    tape.drop(chosen)
    return out


def _cast(record: Record, tensor: int, numbers: int, before: int, after: int) -> int:
    """In other bytes a number: a copy unless they are the same."""
    if before == after:
        return tensor
    copy = record.tape.hold(numbers * after)
    record.tape.drop(tensor)
    return copy
