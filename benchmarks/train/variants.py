"""ethtune with one of its choices undone: a name in, settings out, and patches in this process.

What a config key can undo is undone by it; what has no key, because nobody should want it, is
patched here. Each variant is what the peers do at that place.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from task import IGNORED


@dataclass(frozen=True, slots=True)
class Variant:
    """``undone`` is what is missing; ``patch`` undoes it where ``settings`` cannot."""

    undone: str
    settings: tuple[str, ...] = ()
    patch: Callable[[], None] | None = None


def _replace(name: str, value: Any) -> None:
    """In every module of ours that has ``name``, since each imports its own."""
    import ethtune.model.training  # noqa: F401  # and with it all that a run needs

    for module in [item for key, item in sys.modules.items() if key.startswith("ethtune.model")]:
        if hasattr(module, name):
            setattr(module, name, value)


def _multiples() -> None:
    """Sequences and labels of any length."""
    _replace("CPU_MULTIPLE", 1)


def _full_logits() -> None:
    """(1, T, V) logits, in float32 for the loss, as the models' own forward has them."""
    import torch

    def whole(model: Any, inputs: dict[str, Any]) -> tuple[Any, Any, int]:
        places = {key: inputs[key] for key in ("input_ids", "position_ids")}
        logits = model(**places, use_cache=False).logits[0, :-1].float()
        targets = inputs["labels"][0, 1:]
        loss = torch.nn.functional.cross_entropy(logits, targets, reduction="sum")
        return loss, loss.new_zeros((), dtype=torch.long), int((targets != IGNORED).sum())

    _replace("labelled_loss", whole)


def _num_tokens(pack: Any) -> int:
    return sum(len(row.input_ids) for row in pack)


def _padded() -> None:
    """Rows of a step side by side, padded to the longest, with a mask."""
    import torch

    def side_by_side(features: Sequence[dict[str, Any]], *, multiple: int) -> dict[str, Any]:
        longest = max(len(item["input_ids"]) for item in features)
        padding = [longest - len(item["input_ids"]) for item in features]
        table = {
            "input_ids": [i["input_ids"] + [0] * p for i, p in zip(features, padding, strict=True)],
            "labels": [i["labels"] + [IGNORED] * p for i, p in zip(features, padding, strict=True)],
            "attention_mask": [[1] * (longest - p) + [0] * p for p in padding],
        }
        ids = {"ids": [row for item in features for row in item["ids"]]}
        return {key: torch.tensor(rows) for key, rows in table.items()} | ids

    def masked(model: Any, inputs: dict[str, Any]) -> tuple[Any, Any, int]:
        inner = getattr(model, "module", model).get_base_model()
        seen = {key: inputs[key] for key in ("input_ids", "attention_mask")}
        hidden = inner.model(**seen, use_cache=False).last_hidden_state[:, :-1]
        targets = inputs["labels"][:, 1:]
        logits = inner.lm_head(hidden[targets != IGNORED]).float()
        wanted = targets[targets != IGNORED]
        loss = torch.nn.functional.cross_entropy(logits, wanted, reduction="sum")
        return loss, loss.new_zeros((), dtype=torch.long), wanted.numel()

    _replace("collate", side_by_side)
    _replace("labelled_loss", masked)
    # a run first tries the largest flat micro batch that its packs can make
    _replace("largest", lambda packs, rows: sorted(packs, key=_num_tokens)[-rows:])


def _upcast() -> None:
    """Norms, embeddings and head in float32."""
    from peft import prepare_model_for_kbit_training

    from ethtune.model.load import load_base

    @functools.wraps(load_base)
    def prepared(*given: Any, **named: Any) -> Any:
        model = load_base(*given, **named)
        return prepare_model_for_kbit_training(model, use_gradient_checkpointing=False)

    _replace("load_base", prepared)


def _bf16_adapters() -> None:
    """As TRL casts them."""
    import torch

    from ethtune.model.trainer import QLoraTrainer

    made = QLoraTrainer.__init__

    @functools.wraps(made)
    def cast(trainer: Any, **parts: Any) -> None:
        made(trainer, **parts)
        for parameter in trainer.model.parameters():
            if parameter.requires_grad:
                parameter.data = parameter.data.to(torch.bfloat16)

    QLoraTrainer.__init__ = cast  # type: ignore[method-assign]


# {batch} becomes the rows of a step
VARIANTS = {
    "ethtune": Variant("nothing"),
    "unpacked": Variant(
        "several rows in a sequence",
        ("data.packing=false", "training.gradient_accumulation_steps={batch}"),
    ),
    "padded": Variant(
        "sequences without padding (the step's rows side by side)",
        (
            "data.packing=false",
            "training.per_device_train_batch_size={batch}",
            "training.gradient_accumulation_steps=1",
        ),
        _padded,
    ),
    "full-logits": Variant("the head at labelled positions alone", patch=_full_logits),
    "upcast": Variant("16-bit norms, embeddings and head", patch=_upcast),
    "fp32": Variant("bfloat16 products", ("optimization.bf16=false",)),
    "checkpointing": Variant(
        "activations kept, not computed again", ("optimization.gradient_checkpointing=true",)
    ),
    "any-length": Variant("lengths in multiples of 32", patch=_multiples),
    "bf16-adapters": Variant("float32 adapters", patch=_bf16_adapters),
    "single-quant": Variant("quantised scales", ("quantization.bnb_4bit_use_double_quant=false",)),
    "unquantized": Variant("4-bit weights", ("quantization.load_in_4bit=false",)),
    "long-spin": Variant("a short spin of OpenMP's threads"),  # by the environment
    "overhead": Variant("nothing; with a terminal and a profile of every call"),
}
ABLATIONS = tuple(name for name in VARIANTS if name not in ("ethtune", "overhead"))


def applied(name: str, output: Path, *, batch: int) -> tuple[str, ...]:
    """Undo the choice in this process and say which settings belong to it."""
    variant = VARIANTS[name]
    if variant.patch is not None:
        variant.patch()
    if name == "overhead":
        from overhead import profile

        profile(output)
    return tuple(item.format(batch=batch) for item in variant.settings)
