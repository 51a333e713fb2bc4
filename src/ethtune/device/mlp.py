"""Tensors of one MLP or mixture of them, forward and backward: a step in, handles out."""

from __future__ import annotations

from dataclasses import dataclass, field

from ethtune.device.record import Record, Saved, linear, linear_backward


@dataclass(slots=True)
class SavedExpert:
    """What autograd holds of one MLP."""

    linears: dict[str, Saved] = field(default_factory=dict)
    products: Saved = field(default_factory=dict)


def mlp(record: Record, inputs: int, saved: list[SavedExpert], *, saves: bool) -> int:
    """The MLP; in a mixture its experts one after the other, each with its share of the tokens."""
    tape, hidden, stream = record.tape, record.shape.hidden_size, record.stream
    if not record.shape.num_experts:
        expert = SavedExpert()
        saved.append(expert)
        return _expert(record, inputs, expert, 1.0, saves=saves)
    total, share = record.rows(hidden, stream), _share(record)
    for _ in range(record.shape.num_experts):
        expert = SavedExpert()
        saved.append(expert)
        chosen = record.rows(hidden * share, stream)
        out = _expert(record, chosen, expert, share, saves=saves)
        weighted = record.rows(hidden * share, stream)
        if saves:  # the router's weight needs what the expert said
            expert.products["said"] = out
        else:
            tape.drop(out)
        tape.drop(chosen, weighted)
    return total


def _expert(record: Record, inputs: int, saved: SavedExpert, share: float, *, saves: bool) -> int:
    tape, stream = record.tape, record.stream
    inner = record.shape.intermediate_size * share
    *opening, closing = record.shape.mlp_linears

    def applied(name: str, tensor: int) -> int:
        out, saved.linears[name] = linear(record, tensor, name, stream, saves=saves, share=share)
        return out

    kept = {"gate": applied(opening[0], inputs), "active": record.rows(inner, stream)}
    if len(opening) == 2:
        if not saves:
            tape.drop(kept.pop("gate"))
        kept["up"] = applied(opening[1], inputs)
    product = record.rows(inner, stream)
    if saves:
        saved.products = kept
    else:
        tape.drop(*kept.values())
    out = applied(closing, product)
    tape.drop(product)
    return out


def mlp_backward(record: Record, gradient: int, saved: list[SavedExpert]) -> int:
    """Gradient of the MLP's input; the gradient of its output stays the caller's."""
    tape, hidden, stream = record.tape, record.shape.hidden_size, record.stream
    if not record.shape.num_experts:
        return _expert_backward(record, tape.keep(gradient), saved[0], 1.0)
    total, share = record.rows(hidden, stream), _share(record)
    for expert in reversed(saved):
        said = record.rows(hidden * share, stream)
        weighted = record.rows(hidden * share, stream)
        tape.drop(said, expert.products.pop("said"))
        tape.drop(_expert_backward(record, weighted, expert, share))
    return total


def _expert_backward(record: Record, gradient: int, saved: SavedExpert, share: float) -> int:
    """Gradient of an MLP's input; takes the gradient of its output."""
    tape, stream, kept = record.tape, record.stream, saved.products
    inner = record.shape.intermediate_size * share
    *opening, closing = record.shape.mlp_linears

    def through(name: str, tensor: int) -> int:
        return linear_backward(record, tensor, name, stream, saved.linears[name], share=share)

    product = through(closing, gradient)
    active, up = record.rows(inner, stream), record.rows(inner, stream)
    tape.drop(product, kept["active"], kept.get("up"))
    if len(opening) == 2:
        total = through(opening[1], up)
        first = record.rows(inner, stream)
        tape.drop(active, kept["gate"])
        tape.drop(through(opening[0], first))
        return total
    first = record.rows(inner, stream)
    tape.drop(active, kept["gate"])
    joined = record.rows(2 * inner, stream)  # both halves of one matrix
    tape.drop(first, up)
    return through(opening[0], joined)


def _share(record: Record) -> float:
    """Part of the tokens that one expert gets, all alike."""
    return record.shape.experts_per_token / record.shape.num_experts
