"""Liger's kernels for rotary positions, norms and gated layers, put into a loaded model.

A model and the config's wish in, a sentence for the log out. Never Liger's cross-entropy: the loss
is ours, at labelled positions.
"""

from __future__ import annotations

from importlib import import_module, metadata
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from ethtune.core.errors import ConfigError
from ethtune.model.device import Device

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_WHICH = {
    "rope": True,
    "rms_norm": True,
    "swiglu": True,
    "geglu": True,
    "cross_entropy": False,
    "fused_linear_cross_entropy": False,
}


def fuse(model: PreTrainedModel, wish: bool | Literal["auto"], device: Device) -> str | None:
    """Patch ``model`` in place; None where there was nothing to do or to say.

    Raises ConfigError when the kernels were asked for and Liger has none for the model.
    """
    if wish is False or device.kind == "cpu":
        return None
    if find_spec("liger_kernel") is None:
        return "fused kernels: none, liger-kernel is not installed"
    from transformers.integrations.liger import apply_liger_kernel

    known = import_module("liger_kernel.transformers.monkey_patch").MODEL_TYPE_TO_APPLY_LIGER_FN
    kind = model.config.model_type
    if kind not in known:
        if wish is True:
            raise ConfigError(
                f"optimization.use_liger_kernel is true, but liger-kernel has none for {kind}",
                hint="--set optimization.use_liger_kernel=auto",
            )
        return f"fused kernels: none, liger-kernel has none for {kind}"
    apply_liger_kernel(model, dict(_WHICH))
    return f"fused kernels: liger-kernel {metadata.version('liger-kernel')}, {kind}'s"
