"""What of a config decides memory and time: config and precision in, a flat record out."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ethtune.core.config import Config
from ethtune.core.errors import ConfigError
from ethtune.device.decoder import ModelShape

LossKind = Literal[
    "plain", "fused", "liger", "chunked_fp32_head", "labelled", "labelled_chunks", "frozen_head",
]  # fmt: skip
Storage = Literal["nf4", "gptq"]
Upcast = Literal["none", "norms", "all"]
HeldLogits = Literal["no", "loss", "step"]
Optimizer = Literal["adamw_32bit", "adamw_8bit", "lion_32bit", "lion_8bit", "adafactor"]


@dataclass(frozen=True, slots=True)
class Workload:
    """One training step. Bytes are those of one number.

    ``upcast``: what a k-bit preparation cast to 32 bit; with 32-bit norms the whole stream between
    the layers becomes 32 bit. ``held_logits``: a copy in compute precision lives through the loss
    (old transformers shifted one) or the whole step (the caller keeps the model's output).
    ``labelled_fraction``: share of positions that carry a label. ``is_fused``: Triton kernels for
    norms, rotary positions and adapters, which save less. ``packs_rows``: a micro batch is one flat
    sequence of rows that are blind to each other. ``accumulates``: gradients of earlier micro
    batches wait while the next one runs. ``shifts_logits``: transformers before 4.48 copied them.
    ``stacks_experts``: transformers from 5 on keeps a mixture's experts in one tensor, which
    bitsandbytes does not quantise and which carries no adapter. ``num_parts``: processes that the
    layers lie in parts over.
    """

    target_modules: tuple[str, ...]
    rank: int
    micro_batch: int
    seq_length: int
    is_quantized: bool = True
    double_quant: bool = True
    checkpointing: bool = True
    dropout: bool = False
    attention: Literal["sdpa", "flash", "eager"] = "sdpa"
    loss: LossKind = "frozen_head"
    labelled_fraction: float = 1.0
    upcast: Upcast = "none"
    held_logits: HeldLogits = "no"
    optimizer: Optimizer = "adamw_32bit"
    is_paged: bool = False
    storage: Storage = "nf4"
    is_fused: bool = False
    has_autocast: bool = True
    is_reentrant: bool = False
    offloads_checkpoints: bool = False
    repeats_keys: bool = False
    shifts_logits: bool = False
    stacks_experts: bool = False
    packs_rows: bool = False
    accumulates: bool = False
    weight_bytes: int = 2
    compute_bytes: int = 2
    has_bfloat16: bool = True
    adapter_bytes: int = 2
    state_bytes: int = 4
    num_parts: int = 1

    @property
    def tokens(self) -> int:
        """Tokens in a micro batch."""
        return self.micro_batch * self.seq_length

    @property
    def stream_bytes(self) -> int:
        """Bytes of a number in the residual stream."""
        return self.compute_bytes if self.upcast == "none" else 4

    def num_quantized(self, shape: ModelShape) -> int:
        """Weights in 4 bit."""
        if not self.is_quantized:
            return 0
        return shape.num_linear_parameters - (
            shape.num_expert_parameters if self.stacks_experts else 0
        )

    @property
    def copies_softmax(self) -> bool:
        """Whether a 32-bit softmax takes a copy first: from float16 its kernel reads by itself."""
        return self.compute_bytes == 2 and self.has_bfloat16

    def num_scores(self, shape: ModelShape) -> int:
        """Numbers in one layer's matrix of attention scores."""
        if self.packs_rows:
            return shape.num_heads * self.tokens**2
        return self.micro_batch * shape.num_heads * self.seq_length**2

    def replace(self, **changes: Any) -> Workload:
        """A copy with other values."""
        return dataclasses.replace(self, **changes)


def workload_of(config: Config, shape: ModelShape, *, has_bfloat16: bool, on_gpu: bool) -> Workload:
    """The step that ``config`` describes on such a device, as ``ethtune train`` does it.

    Adapters, and with them gradients and optimizer states, are 32 bit everywhere. Raises
    ConfigError.
    """
    chosen = "eager" if shape.kind.caps_scores else "sdpa"  # by transformers, for auto
    attention = {"auto": chosen, "eager": "eager", "flash_attention_2": "flash"}
    optim = config.optimization.optim
    return Workload(
        target_modules=target_modules(
            config.lora.target_modules, shape, has_stacked_experts=shape.kind.is_mixture
        ),
        stacks_experts=shape.kind.is_mixture,
        rank=config.lora.r,
        micro_batch=config.training.per_device_train_batch_size,
        seq_length=config.data.max_seq_length,
        is_quantized=config.quantization.load_in_4bit,
        double_quant=config.quantization.bnb_4bit_use_double_quant,
        checkpointing=config.optimization.gradient_checkpointing,
        dropout=config.lora.dropout > 0,
        loss=_own_loss(shape, on_gpu=on_gpu),
        attention=attention.get(config.model.attn_implementation, "sdpa"),  # type: ignore[arg-type]
        optimizer=_optimizer(optim),
        is_paged=optim.startswith("paged") and on_gpu,
        weight_bytes=2 if on_gpu or has_bfloat16 else 4,
        compute_bytes=2 if on_gpu or has_bfloat16 else 4,
        has_bfloat16=has_bfloat16,
        adapter_bytes=4,
        state_bytes=4,
        packs_rows=config.data.packing or config.training.per_device_train_batch_size > 1,
        accumulates=config.training.gradient_accumulation_steps > 1,
        num_parts=config.training.num_parts,
    )


def _optimizer(optim: str) -> Optimizer:
    if optim == "adafactor":
        return "adafactor"
    if "lion" in optim:
        return "lion_8bit" if "8bit" in optim else "lion_32bit"
    return "adamw_8bit" if "8bit" in optim else "adamw_32bit"


def _own_loss(shape: ModelShape, *, on_gpu: bool) -> LossKind:
    """A head is never adapted; logits that are capped or scaled behind it are needed whole."""
    if not shape.kind.changes_logits:
        return "frozen_head"
    return "labelled_chunks" if on_gpu else "labelled"


def target_modules(
    wanted: str | Iterable[str], shape: ModelShape, *, has_stacked_experts: bool = False
) -> tuple[str, ...]:
    """Names of the adapted layers of ``shape``. Raises ConfigError for a name it does not have."""
    names = [wanted] if isinstance(wanted, str) else list(wanted)
    linears = shape.attention_linears if has_stacked_experts else shape.linears
    if names == ["all-linear"]:
        return tuple(linears)
    unknown = [name for name in names if name not in linears]
    if unknown:
        raise ConfigError(
            f"lora.target_modules: {shape.family} has no layer {', '.join(unknown)}",
            hint=f"its layers are {', '.join(linears)}; or all-linear",
        )
    return tuple(name for name in linears if name in names)
