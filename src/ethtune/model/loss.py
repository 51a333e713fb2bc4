"""Cross-entropy where something is learned, and nowhere else.

The head is applied at labelled positions only, never (B, S, V). A frozen one, the usual case, is
applied a chunk at a time (``frozenhead``). Of one that is trained or capped the logits are (N, V)
for the N labels of a micro batch; they become float32 in chunks, on a GPU recomputed backward.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ethtune.model.batches import CPU_MULTIPLE, IGNORED, padding_of
from ethtune.model.frozenhead import CHUNK_POSITIONS, frozen_head, hidden_states, summed_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def labelled_loss(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Summed negative log-likelihood, number of right top-1 tokens, number of labels.

    Right ones are counted only where no gradient is asked for.

    Args:
        model: a causal language model, adapted or not.
        inputs: input_ids, labels, position_ids, each (1, T) as ``batches.collate`` makes them.
    """
    labels = inputs["labels"][0]  # (T,)
    positions = (labels[1:] != IGNORED).nonzero()[:, 0]  # (N,), of the token before each label
    num_labels = positions.numel()
    on_cpu = positions.device.type == "cpu"
    if on_cpu:  # few shapes, see ``batches``
        extra = padding_of(num_labels, CPU_MULTIPLE)
        positions = torch.cat([positions, positions.new_zeros(extra)])
    targets = labels[1:][positions]  # (N,)
    targets[num_labels:] = IGNORED
    given = {key: inputs[key] for key in ("input_ids", "position_ids")}
    if (head := frozen_head(model, given)) is not None:
        hidden = hidden_states(model, head, given, positions)  # (N, H)
        return (*summed_loss(hidden, head, targets), num_labels)
    logits = model(**given, logits_to_keep=positions, use_cache=False).logits[0]  # (N, V)
    loss = logits.new_zeros((), dtype=torch.float32)
    correct = torch.zeros((), dtype=torch.long, device=logits.device)
    for chunk, wanted in zip(
        torch.split(logits, CHUNK_POSITIONS), torch.split(targets, CHUNK_POSITIONS), strict=True
    ):
        if on_cpu:  # memory is not what is scarce there
            loss = loss + _summed(chunk, wanted)
        else:
            loss = loss + checkpoint(_summed, chunk, wanted, use_reentrant=False)
        if not loss.requires_grad:
            correct += (chunk.argmax(-1) == wanted).sum()
    return loss, correct, num_labels


def _summed(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits.float(), targets, reduction="sum")
