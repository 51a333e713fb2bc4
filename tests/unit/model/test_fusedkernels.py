"""When Liger's kernels are put into a model, which of them, and what is said of it.

The kernels themselves need a GPU: here a package of the same shape notes what it is asked for.
"""

from __future__ import annotations

import sys

import pytest
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.utils import is_liger_kernel_available

from ethtune.core.errors import ConfigError
from ethtune.model.device import Device
from ethtune.model.fusedkernels import fuse

CARD, CPU = Device("cuda", "A card", "bf16"), Device("cpu", "the CPU", "fp32")
SIZES = {"vocab_size": 8, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}


@pytest.fixture
def model():
    described = AutoConfig.for_model("llama", **SIZES, intermediate_size=16, num_key_value_heads=2)
    return AutoModelForCausalLM.from_config(described)


@pytest.fixture
def liger(tmp_path, monkeypatch):
    """A package by that name, and what it was asked for."""
    inner = tmp_path / "liger_kernel" / "transformers"
    inner.mkdir(parents=True)
    (inner.parent / "__init__.py").write_text("")
    (inner / "__init__.py").write_text(
        "asked = []\ndef _apply_liger_kernel_to_instance(model, **which): asked.append(which)\n"
    )
    (inner / "monkey_patch.py").write_text("MODEL_TYPE_TO_APPLY_LIGER_FN = {'llama': print}\n")
    about = tmp_path / "liger_kernel-9.9.9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: liger-kernel\nVersion: 9.9.9\n")
    monkeypatch.syspath_prepend(tmp_path)
    is_liger_kernel_available.cache_clear()
    from liger_kernel.transformers import asked

    yield asked
    is_liger_kernel_available.cache_clear()
    for name in [name for name in sys.modules if name.startswith("liger_kernel")]:
        del sys.modules[name]


@pytest.mark.parametrize("wish", [True, "auto"])
def test_use_liger_kernel_takes_all_but_the_loss(liger, model, wish):
    assert fuse(model, wish, CARD) == "fused kernels: liger-kernel 9.9.9, llama's"
    (which,) = liger
    left_out = {name for name, is_on in which.items() if not is_on}
    assert left_out == {"cross_entropy", "fused_linear_cross_entropy"}
    assert which.keys() - left_out == {"rope", "rms_norm", "swiglu", "geglu"}


def test_it_is_left_alone_where_it_is_not_wanted_or_there_is_no_gpu(liger, model):
    assert fuse(model, False, CARD) is None
    assert fuse(model, "auto", CPU) is None
    assert liger == []


def test_a_model_that_liger_does_not_know(liger, model):
    model.config.model_type = "novel"
    assert fuse(model, "auto", CARD) == "fused kernels: none, liger-kernel has none for novel"
    with pytest.raises(ConfigError, match="liger-kernel has none for novel"):
        fuse(model, True, CARD)
    assert liger == []


def test_without_the_package_auto_says_so(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "liger_kernel", None)
    monkeypatch.setattr("ethtune.model.fusedkernels.find_spec", lambda _: None)
    assert fuse(model, "auto", CARD) == "fused kernels: none, liger-kernel is not installed"
