"""Whether rows that share a sequence are blind to each other in a loaded model: tried, not hoped.

position_ids  0 1 2 … 0 1 2 …    transformers reads a restart as the end of a document, for most
models; one that does not would learn from its neighbours' rows
"""

from __future__ import annotations

from typing import Any

import torch

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.model.validation import evaluation_mode

_TOKENS = 8
_TOLERANCE = 0.1  # of what a change in the row itself does: rounding is far below, seeing far above


def require_isolation(model: Any, config: Config) -> None:
    """Raises ConfigError when rows would share a sequence and see each other."""
    training = config.training
    together = max(training.per_device_train_batch_size, training.per_device_eval_batch_size)
    if (config.data.packing or together > 1) and not sees_itself_alone(model):
        raise ConfigError(
            f"{model.config.model_type} lets the rows of a sequence see each other: what it learned"
            " from one would depend on its neighbours",
            hint="--set data.packing=false, with train and eval batches of one row",
        )


@torch.no_grad()
def sees_itself_alone(model: Any) -> bool:
    """Of two documents in a sequence, change the first, or the second's beginning: what differs?"""
    ids = torch.arange(2 * _TOKENS, device=model.device)[None] + 1
    neighbour, itself = ids.clone(), ids.clone()
    neighbour[0, :_TOKENS] += 2 * _TOKENS
    itself[0, _TOKENS] += 2 * _TOKENS
    with evaluation_mode(model):
        plain, *others = (_second(model, each) for each in (ids, neighbour, itself))
    moved = [float((other - plain).abs().max()) for other in others]
    return moved[0] <= _TOLERANCE * moved[1]


def _second(model: Any, ids: torch.Tensor) -> torch.Tensor:
    """Logits of the second document behind its first token, (T - 1, V)."""
    positions = torch.arange(_TOKENS, device=ids.device).repeat(2)[None]
    logits = model(input_ids=ids, position_ids=positions, use_cache=False).logits
    return logits[0, _TOKENS + 1 :].float()  # type: ignore[no-any-return]
