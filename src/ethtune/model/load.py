"""Base weights, quantised as the config says, with a fresh adapter on them."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import torch

from ethtune.core.config import Config, LoraSection
from ethtune.core.errors import MachineError
from ethtune.model.basemodels import BaseModel
from ethtune.model.device import DTYPES, Device
from ethtune.model.tokenizer import unavailable

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel


def load_base(base: BaseModel, config: Config, device: Device) -> PreTrainedModel:
    """Weights on the device, frozen linear layers in 4 bit when asked.

    Embeddings, norms and head stay in 16 bit: ``peft.prepare_model_for_kbit_training`` would make
    them and the whole residual stream float32. Raises MachineError where they cannot be had.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    options: dict[str, Any] = {
        "revision": base.revision,
        "cache_dir": config.model.cache_dir,
        "trust_remote_code": config.model.trust_remote_code,
        "dtype": device.dtype,
    }
    if device.kind == "cuda":
        # never "auto": it would spill layers to the CPU in silence. FSDP takes them from there
        options["device_map"] = {"": "cpu" if config.training.fsdp else 0}
    if config.model.attn_implementation != "auto":
        options["attn_implementation"] = config.model.attn_implementation
    if config.quantization.load_in_4bit:
        options["quantization_config"] = quantization(config, device.dtype)
    try:
        model = AutoModelForCausalLM.from_pretrained(base.source, **options)
    except torch.OutOfMemoryError as error:
        raise MachineError(
            f"{base.name} does not fit on {device.name}",
            hint="ethtune estimate shows what would; close what else holds the card",
        ) from error
    except (OSError, ValueError, ImportError) as error:
        raise unavailable(base, error) from error
    model.config.use_cache = False
    gc.collect()
    if device.kind == "cuda":
        torch.cuda.empty_cache()
    return model


def add_adapter(model: PreTrainedModel, lora: LoraSection, *, seed: int) -> PeftModel:
    """A fresh LoRA adapter, in float32, same values for the same seed.

    Whether the model has a place for it is ``targets``' to judge, before there are weights.
    """
    from peft import LoraConfig, get_peft_model
    from transformers import set_seed

    set_seed(seed)
    targets = lora.target_modules
    wanted = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        bias=lora.bias,
        task_type=lora.task_type,
        use_dora=lora.use_dora,
        use_rslora=lora.use_rslora,
    )
    return get_peft_model(model, wanted)


def quantization(config: Config, dtype: torch.dtype) -> Any:
    """What bitsandbytes is told; ``dtype`` is the run's precision."""
    from transformers import BitsAndBytesConfig

    wanted = config.quantization
    compute = wanted.bnb_4bit_compute_dtype
    # bitsandbytes' own defaults (fp4, float32, single quantisation) are not QLoRA: name them all
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type=wanted.bnb_4bit_quant_type,
        bnb_4bit_use_double_quant=wanted.bnb_4bit_use_double_quant,
        bnb_4bit_compute_dtype=dtype if compute == "auto" else DTYPES[compute],
        # FSDP deals out floating-point tensors alone: the same bits under another name
        bnb_4bit_quant_storage=dtype if config.training.fsdp else torch.uint8,
    )
