"""The code that a published row was measured with, traced: a case in, what its step holds out.

What was measured is not what ethtune trains with, so ethtune's own trace would say nothing of it.
The step of the row's own program is written down here: fitcheck's scripts/measure.py, and the
trainer of fms-hf-tuning with attention, checkpoints and loss of its time. Model, adapter, layers
and autograd are the installed libraries' own, under ethtune's recorder; no constant is fitted.

Not traced: fused kernels (foak, liger), whose Triton code is not at hand, and Mixtral, whose
experts the installed transformers keeps as one tensor, which bitsandbytes does not quantise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from cases import Case
from peft import LoraConfig, get_peft_model, prepare_model_for_kbit_training
from torch.nn import functional
from transformers import AutoConfig, AutoModelForCausalLM, BitsAndBytesConfig
from transformers.integrations import sdpa_attention

from ethtune.device.allocator import replay
from ethtune.device.decoder import config_of_shape
from ethtune.device.memory import CUBLAS_WORKSPACES
from ethtune.model.cudakernels import replaced
from ethtune.model.hollow import fill, quantize
from ethtune.model.tracing import Traced, tracing


@dataclass(frozen=True, slots=True)
class TracedCase:
    """Bytes at the peak of a step, and reserved after two."""

    allocated_bytes: int
    reserved_bytes: int


def trace_case(case: Case) -> TracedCase | None:
    """What a case holds; None for code that cannot be traced here."""
    if case.work.is_fused or case.work.loss != "plain" or case.shape.num_experts:
        return None
    traced = _fitcheck(case) if case.origin == "fitcheck" else _fms(case)
    (loaded, _), *_, (last, _) = traced.marks
    workspaces = [(-1 - index, size) for index, size in enumerate(CUBLAS_WORKSPACES)]
    found = replay(workspaces + traced.events[:loaded], traced.events[loaded:last])
    return TracedCase(found.allocated_bytes, found.reserved_bytes)


def _fitcheck(case: Case) -> Traced:
    """measure.py: no autocast; the model's output is held through the backward pass."""
    model = _base(case, torch.float16)
    if case.work.is_quantized:
        model = prepare_model_for_kbit_training(model, use_gradient_checkpointing=True)
    model = _adapted(model, case, dropout=0.0)
    model.activation_checkpointing_enable({"use_reentrant": False})
    with tracing(has_flash=False, has_borders=False, answers={}) as traced:
        batch, held = _loaded(model, case, traced)
        out = model(input_ids=batch, labels=batch)
        traced.mark("loss")
        out.loss.backward()
        traced.mark("backward")
        del held
    return traced


def _fms(case: Case) -> Traced:
    """Mixed precision, reentrant checkpoints, keys repeated for flash-attention."""
    model = _base(case, torch.bfloat16)
    if case.work.upcast == "norms":
        for parameter in model.parameters():
            parameter.requires_grad_(requires_grad=False)
            if parameter.ndim == 1:
                parameter.data = parameter.data.float()
    model = _adapted(model, case, dropout=0.1)
    model.activation_checkpointing_enable({"use_reentrant": True})
    repeats = {(sdpa_attention, "use_gqa_in_sdpa"): lambda *_: False}
    with replaced(repeats), tracing(has_flash=True, has_borders=False, answers={}) as traced:
        model.forward = torch.autocast("cpu", torch.bfloat16)(model.forward)
        batch, held = _loaded(model, case, traced)
        normed: list[torch.Tensor] = []  # the loss was made where this was still in use
        norm = model.get_base_model().model.norm
        norm.register_forward_hook(lambda _module, _inputs, out: normed.append(out))
        logits = [model(input_ids=batch).logits]
        is_held = case.work.held_logits == "loss"
        loss = _shifted_loss(logits[0] if is_held else logits.pop(), batch)
        normed.clear()
        logits.clear()
        traced.mark("loss")
        loss.backward()
        traced.mark("backward")
        del held
    return traced


def _shifted_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Before transformers 4.48: logits in 32 bit, and a copy of them without the last position."""
    logits = logits.float()
    shifted = logits[..., :-1, :].contiguous()
    wanted = labels[..., 1:].contiguous()
    return functional.cross_entropy(shifted.view(-1, shifted.shape[-1]), wanted.view(-1))


def _base(case: Case, dtype: torch.dtype) -> Any:
    plain = config_of_shape(case.shape) | {"sliding_window": None}  # none is shorter than a row
    attention = "eager" if case.work.attention == "eager" else "sdpa"
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(
            AutoConfig.for_model(plain.pop("model_type"), **plain),
            dtype=dtype,
            attn_implementation=attention,
        )
    model.tie_weights()
    model.config.use_cache = False
    if case.work.is_quantized:
        wanted = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_compute_dtype=dtype,
            bnb_4bit_use_double_quant=case.work.double_quant,
        )
        quantize(model, wanted)
    return model


def _adapted(model: Any, case: Case, *, dropout: float) -> Any:
    wanted = LoraConfig(
        r=case.work.rank,
        lora_dropout=dropout,
        target_modules=list(case.work.target_modules),
        task_type="CAUSAL_LM",
    )
    with torch.device("meta"):
        model = get_peft_model(model, wanted)
    model.enable_input_require_grads()
    return model.train()


def _loaded(model: Any, case: Case, traced: Traced) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Weights and AdamW's states from earlier steps; a batch."""
    fill(model)
    trained = [item for item in model.parameters() if item.requires_grad]
    states = [torch.empty_like(item) for item in trained for _ in range(2)]
    batch = torch.empty((case.work.micro_batch, case.work.seq_length), dtype=torch.int64)
    traced.mark("loading")
    return batch, states
