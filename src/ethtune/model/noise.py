"""NEFTune: uniform noise on the embeddings of each document in training, none in validation.

    alpha / sqrt(tokens of the document * width)

The library scales by the length of the whole sequence, which here is that of all documents of a
micro batch: the same alpha would be another noise for every pack. (arXiv:2310.05914)
"""

from __future__ import annotations

from typing import Any

import torch


def add_embedding_noise(model: Any, alpha: float) -> None:
    """Of a causal language model, adapted or not, that is called with its position_ids."""
    embeddings = model.get_input_embeddings()
    seen: list[torch.Tensor] = []

    def remember(_module: Any, _given: Any, named: dict[str, Any]) -> None:
        if "position_ids" in named:  # not when it answers prompts
            seen[:] = [named["position_ids"]]

    def add(module: Any, _given: Any, output: torch.Tensor) -> torch.Tensor:
        if not module.training:
            return output
        size = alpha / (lengths(seen[0]) * output.shape[-1]) ** 0.5  # (1, T)
        noise = torch.rand_like(output) * 2 - 1  # (1, T, H)
        return output + noise * size[..., None].to(output.dtype)

    model.register_forward_pre_hook(remember, with_kwargs=True)
    embeddings.register_forward_hook(add)


def lengths(position_ids: torch.Tensor) -> torch.Tensor:
    """For each token the number of tokens in its document, (1, T) float32; positions restart."""
    document = (position_ids[0] == 0).cumsum(0) - 1
    return torch.bincount(document)[document][None].float()
