"""Where CUDA's kernels hold other tensors than a CPU's: for tracing with fake ones on the CPU.

Functions that PyTorch composes differently for a GPU are called as it composes them there; what a
kernel allocates for itself is listed. Each rule was read in PyTorch's or bitsandbytes' source; no
measurement set one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch.nn import functional

from ethtune.model.recorder import Temporaries

aten: Any = torch.ops.aten


@contextmanager
def cuda_functions(*, has_flash: bool) -> Iterator[None]:
    """Dropout, softmax and attention as a GPU does them, for everyone in the meantime.

    Not a function mode: autograd's backward is a function too, and what it computes again would be
    without one. ``has_flash``: whether the card has flash-attention's kernels, from compute
    capability 8 on.
    """
    is_autocast_enabled = torch.is_autocast_enabled
    changed: dict[tuple[Any, str], Any] = {
        (functional, "dropout"): _dropout,
        (functional, "softmax"): partial(_softmax, functional.softmax, aten._softmax),
        (functional, "log_softmax"): partial(_softmax, functional.log_softmax, aten._log_softmax),
        (functional, "scaled_dot_product_attention"): partial(_attention, has_flash),
        # peft asks without a device, which means CUDA; the fake tensors' autocast is the CPU's
        (torch, "is_autocast_enabled"): lambda _device="cpu": is_autocast_enabled("cpu"),
    }
    with replaced(changed):
        yield


@contextmanager
def replaced(changed: Mapping[tuple[Any, str], Any]) -> Iterator[None]:
    """Attributes of modules that are others in the meantime."""
    before = {place: getattr(*place) for place in changed}
    try:
        for place, value in changed.items():
            setattr(*place, value)
        yield
    finally:
        for place, value in before.items():
            setattr(*place, value)


def _attention(
    has_flash: bool,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    **options: Any,
) -> torch.Tensor:
    """Flash-attention where it can be, else the memory-efficient kernel."""
    dropout, is_causal = options.get("dropout_p", 0.0), options.get("is_causal", False)
    scale = options.get("scale")
    if torch.is_autocast_enabled("cpu"):  # as it lowers the function that this one stands for
        low = torch.get_autocast_dtype("cpu")
        query, key, value = (part.to(low) for part in (query, key, value))
    can_flash = has_flash and attn_mask is None and query.dtype != torch.float32
    out: torch.Tensor
    if can_flash and query.shape[-1] <= 256:
        out, *_ = aten._scaled_dot_product_flash_attention(
            query, key, value, dropout, is_causal, False, scale=scale
        )
        return out
    if key.shape[1] != query.shape[1]:
        repeats = query.shape[1] // key.shape[1]
        key, value = (part.repeat_interleave(repeats, dim=1) for part in (key, value))
    out, *_ = aten._scaled_dot_product_efficient_attention(
        query, key, value, _bias(query, key, attn_mask), query.requires_grad, dropout, is_causal,
        scale=scale,
    )  # fmt: skip
    return out


def _bias(query: torch.Tensor, key: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor | None:
    """A mask as what is added to the scores, its rows padded to whole blocks."""
    if mask is None:
        return None
    if mask.dtype == torch.bool:
        mask = torch.where(mask, 0.0, -math.inf).to(query.dtype)
    length = mask.shape[-1]
    if length % 16:
        mask = functional.pad(mask, (0, -length % 16))[..., :length]
    shape = (query.shape[0], query.shape[1], query.shape[2], key.shape[2])
    return mask.expand(shape)


def _dropout(
    input: torch.Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> torch.Tensor:
    """One kernel, which keeps a byte a number, instead of a product with noise."""
    if not training or not 0 < p < 1:
        return input
    dropped: torch.Tensor = aten.native_dropout(input, p, True)[0]
    return dropped


def _softmax(function: Any, kernel: Any, input: torch.Tensor, dim: int,
             dtype: torch.dtype | None = None) -> torch.Tensor:  # fmt: skip
    """From 16 bit to 32 in one kernel, for float16 alone."""
    if input.dtype == torch.float16 and dtype == torch.float32:
        out: torch.Tensor = kernel(input, dim, True)
    else:
        out = function(input, dim=dim, dtype=dtype)
    return out


def cuda_temporaries() -> Temporaries:
    """Tensors that CUDA kernels make for themselves and give back when they are done."""
    import bitsandbytes as _  # noqa: F401  # its operations exist once it is imported

    rules: dict[Any, Callable[..., Iterator[int]]] = {
        aten._softmax_backward_data.default: _softmax_backward,
        aten._scaled_dot_product_flash_attention_backward.default: _flash_backward,
        aten._scaled_dot_product_efficient_attention_backward.default: _efficient_backward,
        torch.ops.bitsandbytes.gemm_4bit.default: _gemm_4bit,
    }

    def temporaries(func: Any, args: tuple[Any, ...]) -> Iterator[int]:
        return rules[func](*args) if func in rules else iter(())

    return temporaries


def _softmax_backward(gradient: torch.Tensor, *_: Any) -> Iterator[int]:
    yield gradient.numel() * gradient.element_size()  # gradient times output


def _flash_backward(gradient: torch.Tensor, query: torch.Tensor, key: torch.Tensor,
                    *_: Any) -> Iterator[int]:  # fmt: skip
    batch, heads, length, width = query.shape
    rows = -(-length // 128) * 128
    yield batch * heads * rows * 4  # sums over the scores
    yield batch * heads * rows * -(-width // 32) * 32 * 4  # the queries' gradient in 32 bit
    if key.shape[1] != heads:  # gradients of keys and values for each query head
        expanded = batch * heads * key.shape[2] * width * key.element_size()
        yield from (expanded, expanded)


def _efficient_backward(gradient: torch.Tensor, query: torch.Tensor, *_: Any) -> Iterator[int]:
    yield query.numel() // query.shape[-1] * 4  # sums over the scores


def _gemm_4bit(inputs: torch.Tensor, weight: torch.Tensor, shape: list[int], *rest: Any
               ) -> Iterator[int]:  # fmt: skip
    """The weight in 16 bit, from which the product is made."""
    yield shape[0] * shape[1] * inputs.element_size()
