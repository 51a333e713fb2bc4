"""An adapter's tensors to and from a folder that plain peft loads, compared bit for bit.

peft's own saving asks the hub about the base model and lists modules in an order that changes from
process to process; its loading says nothing about tensors that the file lacks.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ethtune.core.errors import RunError
from ethtune.model import zero

WEIGHTS = "adapter_model.safetensors"


def adapter_tensors(model: Any) -> dict[str, torch.Tensor]:
    """What is trained, under the names that peft gives it in files."""
    with zero.whole(model):
        return _tensors(model)


def _tensors(model: Any) -> dict[str, torch.Tensor]:
    found = get_peft_model_state_dict(model, save_embedding_layers=False)
    is_part = zero.is_in_parts(model)  # they are whole for a moment
    return {
        name: found[name].detach().clone() if is_part else found[name].detach().contiguous()
        for name in sorted(found)
    }


def write_adapter(model: Any, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    """adapter_model.safetensors and adapter_config.json. Raises OSError or SafetensorError."""
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    config = copy.copy(model.peft_config["default"])
    config.inference_mode = True
    if not isinstance(config.target_modules, str):
        config.target_modules = sorted(config.target_modules)
    config.save_pretrained(str(folder))


def load_adapter(model: Any, folder: Path) -> None:
    """Put the folder's weights into the model and make sure of every one.

    Raises RunError naming the first tensor that is missing, foreign or not as in the file.
    """
    with zero.whole(model, is_written=True):
        _load(model, folder)


def _load(model: Any, folder: Path) -> None:
    try:
        stored = load_file(folder / WEIGHTS)
        set_peft_model_state_dict(model, stored)
    except (OSError, SafetensorError, RuntimeError, ValueError, KeyError) as error:
        raise _mismatch(folder, str(error).splitlines()[0]) from error
    held = _tensors(model)
    for name in sorted(stored.keys() | held.keys()):
        if name not in held:
            raise _mismatch(folder, f"{name} has no place in the model")
        if name not in stored:
            raise _mismatch(folder, f"{name} is not in the file")
        if not torch.equal(held[name].cpu(), stored[name]):
            raise _mismatch(folder, f"{name} in memory is not what the file holds")


def _mismatch(folder: Path, fault: str) -> RunError:
    return RunError(
        f"{folder} does not fit the model: {fault}",
        hint="an older checkpoint: ethtune resume RUN --list, then --from checkpoint-N",
    )
