"""Tensors of one attention block, forward and backward: a step in the making in, handles out."""

from __future__ import annotations

from dataclasses import dataclass, field

from ethtune.device.record import Record, Saved, linear, linear_backward


@dataclass(slots=True)
class SavedAttention:
    """What autograd holds of one attention block."""

    linears: dict[str, Saved] = field(default_factory=dict)
    kernel: Saved = field(default_factory=dict)


def attention(record: Record, inputs: int, saved: SavedAttention, *, saves: bool) -> int:
    """Output of the block; ``saved`` is filled."""
    tape, shape, stream = record.tape, record.shape, record.stream
    *projections, closing = shape.attention_linears
    made = []
    for name in projections:
        out, saved.linears[name] = linear(record, inputs, name, stream, saves=saves)
        made.append(out)
    query, key, value = _split(record, made)
    low, wide, narrow = record.attended, shape.query_size, shape.key_value_size
    turned = _rotated(record, query, wide), _rotated(record, key, narrow)
    tape.drop(query, key)
    query = record.cast(turned[0], wide, stream, low)
    key = record.cast(turned[1], narrow, stream, low)
    value = record.cast(value, narrow, stream, low)
    if _repeats_keys(record):
        key, value = (_widened(record, tensor) for tensor in (key, value))
    out, kept = _kernel(record, query, key, value)
    closed, saved.linears[closing] = linear(record, out, closing, low, saves=saves)
    tape.drop(out)
    if saves:
        saved.kernel = kept
    else:
        tape.drop(*kept.values())
    return closed


def _split(record: Record, made: list[int]) -> tuple[int, int, int]:
    """Queries, keys, values; parts of one matrix share its memory."""
    if len(made) == 3:
        return made[0], made[1], made[2]
    whole = made[0]
    return record.tape.keep(whole), record.tape.keep(whole), whole


def _rotated(record: Record, tensor: int, width: int) -> int:
    """Rotary positions: products with cosine and sine, and their sum; fused, in place."""
    tape, stream = record.tape, record.stream
    if record.work.is_fused:
        return tape.keep(tensor)
    cosine, turned = record.rows(width, stream), record.rows(width, stream)
    sine = record.rows(width, stream)
    tape.drop(turned)
    out = record.rows(width, stream)
    tape.drop(cosine, sine)
    return out


def _rotate_backward(record: Record, gradient: int, width: int) -> int:
    if record.work.is_fused:
        return gradient
    tape, stream = record.tape, record.stream
    out, sine = record.rows(width, stream), record.rows(width, stream)
    tape.drop(gradient)
    turned = record.rows(width, stream)
    tape.drop(sine, turned)
    return out


def _repeats_keys(record: Record) -> bool:
    shape, work = record.shape, record.work
    has_copies = work.repeats_keys or work.attention == "eager" or work.packs_rows
    return has_copies and shape.key_value_size < shape.query_size and shape.num_kv_heads > 1


def _widened(record: Record, tensor: int) -> int:
    """Keys or values repeated for each query head."""
    wide = record.rows(record.shape.query_size, record.attended)
    record.tape.drop(tensor)
    return wide


def _kernel(record: Record, query: int, key: int, value: int) -> tuple[int, Saved]:
    tape, shape, work, low = record.tape, record.shape, record.work, record.attended
    kept = {"query": query, "key": key, "value": value}
    if work.attention != "eager":
        if work.packs_rows and work.attention == "sdpa":  # the mask as an additive one
            kept["mask"] = tape.hold(work.tokens**2 * low)
        out = record.rows(shape.query_size, low)
        return out, kept | {"out": tape.keep(out), "sums": record.rows(shape.num_heads, 4)}
    scores = work.num_scores(shape)
    raw = tape.hold(scores * low)
    scaled = tape.hold(scores * low)
    tape.drop(raw)
    masked = tape.hold(scores * low)
    tape.drop(scaled)
    wide = tape.hold(scores * 4) if work.copies_softmax else None
    kept["chances"] = tape.hold(scores * 4)
    tape.drop(wide)
    if low == 2:
        kept["low chances"] = tape.hold(scores * 2)
    tape.drop(masked)
    heads_first = record.rows(shape.query_size, low)
    out = record.rows(shape.query_size, low)
    tape.drop(heads_first)
    return out, kept


def attention_backward(record: Record, gradient: int, saved: SavedAttention) -> int:
    """Gradient of attention's input; the gradient of its output stays the caller's."""
    tape, shape, stream = record.tape, record.shape, record.stream
    *projections, closing = shape.attention_linears
    tape.keep(gradient)
    low, wide, narrow = record.attended, shape.query_size, shape.key_value_size
    lowered = record.cast(gradient, shape.hidden_size, stream, low)
    out = linear_backward(record, lowered, closing, low, saved.linears[closing])
    query, key, value, has_wide = _kernel_backward(record, out, saved.kernel)
    if has_wide:
        key, value = (
            record.cast(tensor, narrow, 0, low)  # summed over the repeats
            for tensor in (key, value)
        )
    query, key, value = (
        record.cast(tensor, width, low, stream)
        for tensor, width in ((query, wide), (key, narrow), (value, narrow))
    )
    key, query = _rotate_backward(record, key, narrow), _rotate_backward(record, query, wide)
    parts = [value, key, query]
    if len(projections) == 1:
        joined = record.rows(wide + 2 * narrow, stream)
        tape.drop(*parts)
        parts = [joined]
    total = None
    for part, name in zip(parts, reversed(projections), strict=True):
        added = linear_backward(record, part, name, stream, saved.linears[name])
        if total is None:
            total = added
        else:
            tape.drop(added)
    assert total is not None  # there is a projection
    return total


def _kernel_backward(record: Record, gradient: int, kept: Saved) -> tuple[int, int, int, bool]:
    """Gradients of queries, keys, values, and whether the last two are as wide as the first."""
    tape, shape, work, low = record.tape, record.shape, record.work, record.attended
    wide = shape.query_size
    if work.attention != "eager":
        is_flash = work.attention == "flash"
        # flash-attention gives gradients for each query head, and sums queries' in 32 bit
        has_wide = (_repeats_keys(record) or is_flash) and shape.key_value_size < wide
        sums = record.rows(shape.num_heads, 4)
        summed = record.rows(wide, 4) if is_flash and low == 2 else None
        width = wide if has_wide else shape.key_value_size
        grads = record.rows(wide, low), record.rows(width, low), record.rows(width, low)
        tape.drop(summed, sums, gradient, *kept.values())
        return *grads, has_wide
    scores = work.num_scores(shape)
    heads_first = record.rows(wide, low)
    tape.drop(gradient)
    value, chances = record.rows(wide, low), tape.hold(scores * low)
    tape.drop(heads_first, kept["value"])
    if low == 2:
        wider = tape.hold(scores * 4)
        tape.drop(chances, kept["low chances"])
        chances = wider
    product = tape.hold(scores * 4)  # softmax's backward writes gradient times output first
    masked = tape.hold(scores * low)
    tape.drop(product, chances, kept["chances"])
    scaled = tape.hold(scores * low)
    tape.drop(masked)
    query, key = record.rows(wide, low), record.rows(wide, low)
    tape.drop(scaled, kept["query"], kept["key"])
    return query, key, value, _repeats_keys(record)
