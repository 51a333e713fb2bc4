"""Hidden states and a frozen head in, summed cross-entropy out; logits live a chunk at a time.

A head that is not trained needs no gradient of its own, so the gradient of the hidden states can be
made beside the loss, in one pass: no (N, V) tensor is ever held and nothing is computed twice. The
idea of making the gradient in the forward pass is Liger's (arXiv:2410.10989, section 3.2).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn
from torch.nn import functional

CHUNK_POSITIONS = 256
_PROBED_TOKENS = 8

# Whether the logits of a model are what its head gives; some are scaled or capped behind it.
_IS_LAST: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def frozen_head(model: Any, inputs: dict[str, torch.Tensor]) -> nn.Linear | None:
    """The output layer, when it is a whole linear one that is neither trained nor quantised.

    ``inputs``: input_ids and position_ids, (1, T). With a few of them the model is asked, once,
    whether its logits are what the head gives.
    """
    head = getattr(model, "module", model).get_output_embeddings()
    if type(head) is not nn.Linear or any(item.requires_grad for item in head.parameters()):
        return None
    weight = head.weight.data  # a shard, of FSDP or ZeRO, is no use
    shape = (head.out_features, head.in_features)
    if type(weight) is not torch.Tensor or weight.shape != shape:
        return None
    if hasattr(head.weight, "ds_id"):  # ZeRO-3: it may be whole at this moment
        return None
    if head not in _IS_LAST:
        _IS_LAST[head] = _is_last(model, head, inputs)
    return head if _IS_LAST[head] else None


def _is_last(model: Any, head: nn.Linear, inputs: dict[str, torch.Tensor]) -> bool:
    few = {name: tensor[:, :_PROBED_TOKENS] for name, tensor in inputs.items()}
    place = head.weight.device
    devices = [place] if place.type == "cuda" else []
    with torch.no_grad(), torch.random.fork_rng(devices=devices), _let_pass(head) as seen:
        outputs = model(**few, use_cache=False).logits
    return bool(torch.equal(outputs.float(), seen[0].float()))


def hidden_states(
    model: Any, head: nn.Linear, inputs: dict[str, torch.Tensor], positions: torch.Tensor
) -> torch.Tensor:
    """What ``head`` would be given at the N ``positions``, (N, H).

    The model itself is called, whatever it is wrapped into, with a head that lets pass.
    """
    with _let_pass(head) as seen:
        model(**inputs, logits_to_keep=positions, use_cache=False)
    return seen[0][0]


@contextmanager
def _let_pass(head: nn.Linear) -> Iterator[list[torch.Tensor]]:
    seen: list[torch.Tensor] = []

    def forward(hidden: torch.Tensor) -> torch.Tensor:
        seen.append(hidden)
        return hidden

    head.forward = forward  # type: ignore[method-assign,assignment]
    try:
        yield seen
    finally:
        del head.forward


def summed_loss(
    hidden: torch.Tensor, head: nn.Linear, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Summed negative log-likelihood and number of right top-1 tokens; targets below 0 are none.

    They are not counted, but 0, while a gradient is asked for: that would cost a tenth of it all.

    Args:
        hidden: (N, H).
        head: from ``frozen_head``, (V, H).
        targets: (N,).
    """
    loss, correct = _FrozenHeadLoss.apply(hidden, head.weight, head.bias, targets)  # type: ignore[no-untyped-call]
    return loss, correct


class _FrozenHeadLoss(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        targets: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        is_learning = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if is_learning else None  # (N, H)
        loss = torch.zeros((), dtype=torch.float32, device=hidden.device)
        correct = torch.zeros((), dtype=torch.long, device=hidden.device)
        for at in range(0, len(hidden), CHUNK_POSITIONS):
            part = slice(at, at + CHUNK_POSITIONS)
            wanted, counts = targets[part].clamp(min=0)[:, None], targets[part] >= 0
            logits = functional.linear(hidden[part].to(weight.dtype), weight, bias)  # (chunk, V)
            logs = functional.log_softmax(logits, dim=-1, dtype=torch.float32)
            loss -= (logs.gather(1, wanted)[:, 0] * counts).sum()
            if gradient is None:
                correct += ((logits.argmax(-1) == wanted[:, 0]) & counts).sum()
                continue
            chances = logs.exp_()
            chances.scatter_add_(1, wanted, chances.new_full(wanted.shape, -1.0))
            chances *= counts[:, None]
            gradient[part] = chances.to(weight.dtype) @ weight
            del logits, logs, chances  # before the next chunk's are made, not after
        if gradient is not None:
            ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(correct)
        return loss, correct

    @staticmethod
    def backward(ctx: Any, *given: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return gradient * given[0].to(gradient.dtype), None, None, None
