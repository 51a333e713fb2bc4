"""One training of a case in this process: random weights of the true shape, measured steps.

``train`` is ``ethtune train``'s own service with nothing but the loading of weights exchanged; the
others get the same rows as finished tokens, the same adapter, optimizer and learning rate.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from weights import random_model

QUIET = {
    "logging.logging_steps": 1,
    "logging.save_strategy": "no",
    "logging.eval_strategy": "no",
    "logging.load_best_model_at_end": False,
}
ROWS_AT_ONCE = 8  # TRL's default, and about what a sequence of 2,048 tokens holds


def composed_of(case: dict[str, Any], folder: Path, **more: Any) -> Any:
    """The case's config on the folder's rows and model."""
    from ethtune.core.compose import compose

    settings = QUIET | case["settings"] | more
    settings |= {
        "model.base_model": str(folder / "model"),
        "data.dataset": str(folder / "data"),
        "training.output_dir": str(folder / "run"),
        "training.max_steps": case["steps"],
    }
    overrides = {key: (value, "the case") for key, value in settings.items()}
    return compose(profile=case["profile"], overrides=overrides)


def exchange_weights(device: torch.device) -> None:
    """Wherever ethtune would load weights, random ones are made."""
    import ethtune.model.training  # noqa: F401  # and with it all that a run needs
    from ethtune.model.load import quantization

    def made(base: Any, config: Any, on: Any, *_: Any, **__: Any) -> Any:
        wanted = quantization(config, on.dtype) if config.quantization.load_in_4bit else None
        attention = config.model.attn_implementation
        model = random_model(
            Path(base.source),
            dtype=on.dtype,
            attention=None if attention == "auto" else attention,
            device=device,
            wanted=wanted,
        )
        _give_back(device)
        return model

    for module in [item for name, item in sys.modules.items() if name.startswith("ethtune.model")]:
        if hasattr(module, "load_base"):
            module.load_base = made  # type: ignore[attr-defined]


def _give_back(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def ethtune_train(case: dict[str, Any], folder: Path, device: torch.device) -> dict[str, Any]:
    """Steps, and what ``estimate`` had said of them."""
    from ethtune.services.training import train

    exchange_weights(device)
    events: list[Any] = []
    report = train(composed_of(case, folder), command="benchmark", events=events.append)
    said = report.forecast
    changes = [event for event in events if event.kind == "memory_adjusted"]
    return {
        "memory_changes": [
            {"step": item.step, "action": item.action, "amount": item.amount,
             "setting": item.setting} for item in changes
        ],
        "predicted": said and {
            "allocated_bytes": said.allocated_bytes,
            "process_bytes": said.process_bytes,
            "step_seconds": said.step_seconds,
            "tokens_per_second": said.tokens_per_second,
        },
        "losses": [event.loss for event in events if event.kind == "step"],
    }  # fmt: skip


def trl(case: dict[str, Any], folder: Path, device: torch.device) -> dict[str, Any]:
    """SFTTrainer, with its command's defaults: float32 beside the 4-bit weights, or as named."""
    from transformers import BitsAndBytesConfig

    name = case["contender"]
    config = composed_of(case, folder).config
    dtype = torch.bfloat16 if name in ("trl-bf16", "trl-packing") else torch.float32
    quantization = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
    )
    is_packing = name == "trl-packing"
    has_flash = is_packing and importlib.util.find_spec("flash_attn") is not None
    model = random_model(
        folder / "model",
        dtype=dtype,
        attention="flash_attention_2" if has_flash else None,
        device=device,
        wanted=quantization,
    )
    _give_back(device)
    more = {"use_liger_kernel": name == "trl-liger", "packing": is_packing}
    _sft(model, None, config, folder, more)
    return {}


def unsloth(case: dict[str, Any], folder: Path, device: torch.device) -> dict[str, Any]:
    """Its own model class, from 4-bit weights saved once, in its recommended settings."""
    from unsloth import FastLanguageModel  # first, so that it can patch what comes after

    config = composed_of(case, folder).config
    saved = _saved_quantized(folder, device)
    model, tokenizer = FastLanguageModel.from_pretrained(
        str(saved), max_seq_length=config.data.max_seq_length, load_in_4bit=True
    )
    model = FastLanguageModel.get_peft_model(
        model,
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=0,  # its fast path
        target_modules=list(config.lora.target_modules),
        use_gradient_checkpointing="unsloth",
    )
    _give_back(device)
    _sft(model, tokenizer, config, folder, {})
    return {}


def _saved_quantized(folder: Path, device: torch.device) -> Path:
    from transformers import AutoTokenizer, BitsAndBytesConfig

    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.bfloat16,
        bnb_4bit_use_double_quant=True,
    )
    model = random_model(
        folder / "model", dtype=torch.bfloat16, attention=None, device=device, wanted=quantization
    )
    saved = folder / "quantized"
    model.save_pretrained(saved)
    AutoTokenizer.from_pretrained(folder / "model").save_pretrained(saved)
    return saved


def _sft(model: Any, tokenizer: Any, config: Any, folder: Path, more: dict[str, Any]) -> None:
    from datasets import Dataset
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    tokenizer = tokenizer or AutoTokenizer.from_pretrained(folder / "model")
    training, is_packing = config.training, more.get("packing", False)
    arguments = SFTConfig(
        output_dir=str(folder / "run"),
        max_steps=training.max_steps,
        per_device_train_batch_size=1 if is_packing else ROWS_AT_ONCE,
        gradient_accumulation_steps=training.gradient_accumulation_steps,
        learning_rate=training.learning_rate,
        lr_scheduler_type=training.lr_scheduler_type,
        max_grad_norm=training.max_grad_norm,
        optim=config.optimization.optim,
        max_length=config.data.max_seq_length,
        logging_steps=1,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        use_cpu=not torch.cuda.is_available(),
        **more,
    )
    rows = Dataset.from_list(token_rows(config, tokenizer))
    lora = None if hasattr(model, "peft_config") else _lora(config)
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=rows,
        processing_class=tokenizer,
        peft_config=lora,
    )
    trainer.train()


def _lora(config: Any) -> Any:
    from peft import LoraConfig

    targets = config.lora.target_modules
    return LoraConfig(
        r=config.lora.r,
        lora_alpha=config.lora.alpha,
        lora_dropout=config.lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        task_type="CAUSAL_LM",
    )


def token_rows(config: Any, tokenizer: Any) -> list[dict[str, list[int]]]:
    """The rows that ethtune would train on, as ids and labels."""
    from ethtune.core.events import SILENT
    from ethtune.model.batches import IGNORED
    from ethtune.model.tokenizer import PromptTokenizer
    from ethtune.services.rows import load_rows

    rows = load_rows(Path(config.data.dataset), config.data, PromptTokenizer(tokenizer), SILENT)
    return [
        {
            "input_ids": list(row.input_ids),
            "labels": [IGNORED] * row.prompt_length + list(row.input_ids[row.prompt_length :]),
        }
        for pack in rows.train
        for row in pack
    ]


CONTENDERS: dict[str, Callable[[dict[str, Any], Path, torch.device], dict[str, Any]]] = {
    "ethtune": ethtune_train,
    "trl": trl,
    "trl-bf16": trl,
    "trl-liger": trl,
    "trl-packing": trl,
    "unsloth": unsloth,
}
