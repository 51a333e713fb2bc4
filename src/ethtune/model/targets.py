"""What ``lora`` asks of a base model, judged on a skeleton of it: no weights, a second at most.

Raises ConfigError before anything is loaded, naming the layers that exist.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from transformers.pytorch_utils import Conv1D

from ethtune.core.config import Config, LoraSection, ModelSection
from ethtune.core.errors import ConfigError
from ethtune.model.basemodels import BaseModel
from ethtune.model.device import Device
from ethtune.model.tokenizer import unavailable

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ALL_LINEAR = "all-linear"
_LINEAR = (torch.nn.Linear, Conv1D)  # GPT-2's Conv1D is a linear layer, transposed


def check_adapter(base: BaseModel, config: Config, device: Device) -> None:
    """Whether the adapter that ``config`` describes has a place in ``base`` and can be trained.

    Raises ConfigError, or MachineError where the model's configuration cannot be had.
    """
    model = skeleton(base, config.model)
    check_targets(model, config.lora)
    _check_biases(model, config, device)


def skeleton(base: BaseModel, section: ModelSection) -> PreTrainedModel:
    """All modules with shapes, none with weights."""
    from transformers import AutoConfig, AutoModelForCausalLM

    trusted = section.trust_remote_code
    try:
        shape = AutoConfig.from_pretrained(
            base.source,
            revision=base.revision,
            cache_dir=section.cache_dir,
            trust_remote_code=trusted,
        )
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(shape, trust_remote_code=trusted)
    except (OSError, ValueError, ImportError) as error:
        raise unavailable(base, error) from error


def check_targets(model: PreTrainedModel, lora: LoraSection) -> None:
    """Every target is there, is linear, and shares its weight with no other layer."""
    for name in _targets(model, lora.target_modules):
        module = model.get_submodule(name)
        if not isinstance(module, _LINEAR):
            raise _refused(model, f"{name} is no linear layer, but {type(module).__name__}")
        if module is model.get_output_embeddings() and _has_tied_head(model):
            raise _refused(
                model,
                f"{name} shares its weight with the input embeddings: an adapter on it would change"
                " both when it is merged",
            )


def _targets(model: PreTrainedModel, wanted: str | Sequence[str]) -> list[str]:
    """Full names of what ``wanted`` stands for, as peft reads it."""
    if wanted == ALL_LINEAR:
        if not _linear_names(model):
            raise _refused(model, "it has no linear layers")
        return []  # peft's own choice: every linear layer but the head
    names = [name for name, _ in model.named_modules() if name]
    if isinstance(wanted, str):
        return _matching(model, wanted, names)
    missing = [each for each in wanted if not any(_is_called(name, each) for name in names)]
    if missing:
        raise _refused(model, f"it has no layer {', '.join(missing)}", *_nearest(model, missing))
    return [name for name in names if any(_is_called(name, each) for each in wanted)]


def _matching(model: PreTrainedModel, pattern: str, names: Sequence[str]) -> list[str]:
    try:
        found = [name for name in names if re.fullmatch(pattern, name)]
    except re.error as error:
        raise _refused(model, f"{pattern} is no regular expression: {error}") from error
    if not found:
        example = next(iter(_linear_layers(model)), "")
        raise _refused(
            model,
            f'no layer matches the regular expression "{pattern}", which is held against whole '
            f"names such as {example}",
            *_nearest(model, re.findall(r"\w+", pattern)),
        )
    return found


def _is_called(name: str, target: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _linear_layers(model: PreTrainedModel) -> Iterator[str]:
    head = model.get_output_embeddings()
    for name, module in model.named_modules():
        if isinstance(module, _LINEAR) and module is not head:
            yield name


def _linear_names(model: PreTrainedModel) -> list[str]:
    return sorted({name.rpartition(".")[2] for name in _linear_layers(model)})


def _has_tied_head(model: PreTrainedModel) -> bool:
    return bool(getattr(model.config.get_text_config(), "tie_word_embeddings", False))


def _nearest(model: PreTrainedModel, missing: Sequence[str]) -> Iterator[str]:
    for name in missing:
        near = difflib.get_close_matches(name, _linear_names(model), n=1, cutoff=0.5)
        if near and near[0] != name:
            yield f"{near[0]} for {name}"
        elif near:
            yield f"the list [{name}]"


def _refused(model: PreTrainedModel, fault: str, *nearest: str) -> ConfigError:
    names = ", ".join(_linear_names(model)) or "none"
    meant = f"did you mean {', '.join(nearest)}? " if nearest else ""
    return ConfigError(
        f"lora.target_modules: {model.config.model_type}: {fault}",
        hint=f"{meant}its linear layers are {names}; or {ALL_LINEAR}",
    )


def _check_biases(model: PreTrainedModel, config: Config, device: Device) -> None:
    if config.lora.bias == "none":
        return
    asked = f"lora.bias is {config.lora.bias}"
    hint = "--set lora.bias=none"
    if not any("bias" in name for name, _ in model.named_parameters()):
        kind = model.config.model_type
        raise ConfigError(f"{asked}, but {kind} has no biases that could train", hint=hint)
    if config.quantization.load_in_4bit and device.precision != "fp32":
        raise ConfigError(
            f"{asked}, but the biases of 4-bit layers are held in {device.precision}, in which "
            "small updates are lost",
            hint=f"{hint}, or quantization.load_in_4bit=false",
        )
