"""Cross-entropy where something is learned, and nowhere else.

The head is applied at labelled positions only, so logits are (N, V) for the N labels of a micro
batch and never (B, S, V); they become float32 a chunk at a time, on a GPU recomputed backward, so
that the float32 copy there is (chunk, V).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from ethtune.model.batches import CPU_MULTIPLE, IGNORED, padding_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_CHUNK_POSITIONS = 256


def labelled_loss(
    model: PreTrainedModel, inputs: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor, int]:
    """Summed negative log-likelihood, number of right top-1 tokens, number of labels.

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
    logits = model(
        input_ids=inputs["input_ids"],
        position_ids=inputs["position_ids"],
        logits_to_keep=positions,
        use_cache=False,
    ).logits[0]  # (N, V)
    targets = labels[1:][positions]  # (N,)
    targets[num_labels:] = IGNORED
    loss = logits.new_zeros((), dtype=torch.float32)
    correct = torch.zeros((), dtype=torch.long, device=logits.device)
    for chunk, wanted in zip(
        torch.split(logits, _CHUNK_POSITIONS), torch.split(targets, _CHUNK_POSITIONS), strict=True
    ):
        if on_cpu:  # memory is not what is scarce there
            loss = loss + _summed(chunk, wanted)
        else:
            loss = loss + checkpoint(_summed, chunk, wanted, use_reentrant=False)
        correct += (chunk.detach().argmax(-1) == wanted).sum()
    return loss, correct, num_labels


def _summed(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return functional.cross_entropy(logits.float(), targets, reduction="sum")
