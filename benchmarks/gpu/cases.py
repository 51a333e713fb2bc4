"""What is measured on a GPU, the most important first: a deadline drops the rest from the end.

``settings`` are config keys; ``card`` is one of ethtune's catalog, whose memory the process may not
exceed; ``needs`` are packages without which the case is left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

GUIDE = "mistral-7b-v0.1"
TARGET_PROCESS_GIB = 6.0  # of the first case
_FOUR_PACKS = {"training.gradient_accumulation_steps": 4}


@dataclass(frozen=True, slots=True)
class Case:
    """One process. ``kind`` is train, equal, resume or memory; ``seconds`` is its limit."""

    name: str
    kind: str = "train"
    contender: str = "ethtune"
    model: str = GUIDE
    profile: str | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    card: str | None = None
    cap_gib: float | None = None
    needs: tuple[str, ...] = ()
    steps: int = 4
    seconds: int = 75

    def as_dict(self) -> dict[str, Any]:
        """For another process."""
        return asdict(self)


def cases() -> Iterator[Case]:
    """All of them."""
    yield Case("guide", profile="guide-12gb", settings=_FOUR_PACKS)
    yield Case("profile 12gb", profile="12gb", card="RTX 3060", steps=3)
    yield Case("profile 8gb", profile="8gb", card="RTX 4060", steps=3)
    for contender, needs in (
        ("trl", ()),
        ("trl-liger", ("liger_kernel",)),
        ("unsloth", ("unsloth",)),
        ("trl-bf16", ()),
        ("trl-packing", ()),
    ):
        yield Case(
            f"guide, {contender}", contender=contender, needs=needs,
            profile="guide-12gb", settings=_FOUR_PACKS,
        )  # fmt: skip
    yield Case("packed equals unpacked", kind="equal", model="smollm2-135m")
    yield Case(
        "memory runs out", kind="memory", model="qwen2.5-1.5b", cap_gib=6.0, profile="8gb",
        settings={
            "training.per_device_train_batch_size": 8, "training.gradient_accumulation_steps": 1,
            "optimization.gradient_checkpointing": False, "optimization.check_memory": False,
        }, steps=3,
    )  # fmt: skip
    for profile, card in (
        ("16gb", "RTX 4060 Ti 16 GB"),
        ("24gb", "RTX 4090"),
        ("48gb", "RTX A6000"),
        ("80gb", "A100 SXM4 80 GB"),
    ):
        yield Case(f"profile {profile}", profile=profile, card=card, steps=2, seconds=90)
    yield Case("resumed equals straight", kind="resume", model="smollm2-135m", steps=6)
    yield from _switches()
    yield from _fresh()


def _switches() -> Iterator[Case]:
    """The first case with one thing changed."""
    for name, key, value, needs in (
        ("flash attention", "model.attn_implementation", "flash_attention_2", ("flash_attn",)),
        ("no fused kernels", "optimization.use_liger_kernel", False, ("liger_kernel",)),
        ("no packing", "data.packing", False, ()),
        ("no checkpointing", "optimization.gradient_checkpointing", False, ()),
    ):
        yield Case(
            f"guide, {name}", profile="guide-12gb", settings=_FOUR_PACKS | {key: value}, needs=needs
        )


def _fresh() -> Iterator[Case]:
    """Configurations that nothing of the estimate was made from, for ``estimate`` to be judged."""
    linear = "all-linear"
    for model, sequence, batch, rank, targets, more in (
        ("llama-3-8b", 2048, 1, 16, linear, {}),
        ("qwen2.5-1.5b", 2048, 2, 32, linear, {"optimization.optim": "adamw_8bit"}),
        ("smollm2-1.7b", 1024, 4, 8, ["q_proj", "v_proj"], {}),
        ("qwen2.5-7b", 1024, 1, 64, linear, {"lora.dropout": 0.0}),
        ("llama-3.2-1b", 4096, 1, 16, linear, {"optimization.gradient_checkpointing": False}),
        ("smollm2-135m", 512, 8, 16, linear, {"quantization.load_in_4bit": False}),
        ("qwen3-4b", 2048, 1, 16, linear, {}),
        ("mistral-7b-v0.3", 4096, 1, 8, ["q_proj", "k_proj", "v_proj", "o_proj"], {}),
        ("smollm2-360m", 1024, 8, 128, linear, {}),
        ("tinyllama-1.1b", 2048, 4, 16, ["q_proj", "v_proj"], {}),
        ("qwen2.5-0.5b", 2048, 4, 16, linear, {"quantization.bnb_4bit_use_double_quant": False}),
        ("llama-3.2-3b", 1024, 2, 32, linear, {"optimization.optim": "adamw_torch_fused"}),
        ("llama-3.1-8b", 512, 2, 16, ["q_proj", "v_proj"], {}),
        ("qwen3-0.6b", 4096, 2, 16, linear, {}),
        ("phi-3-mini", 2048, 1, 16, linear, {}),
        ("qwen3-1.7b", 1024, 2, 16, linear, {}),
    ):
        settings = {
            "data.max_seq_length": sequence,
            "training.per_device_train_batch_size": batch,
            "training.gradient_accumulation_steps": 2,
            "lora.r": rank,
            "lora.target_modules": targets,
            **more,
        }
        yield Case(f"{model} {batch} x {sequence}", model=model, settings=settings, steps=3)
