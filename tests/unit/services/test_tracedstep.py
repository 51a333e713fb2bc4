"""The traced step: what the closed form says of the same run, and what it can be asked for."""

import json

import pytest

from ethtune.cli.options import overrides
from ethtune.core.compose import compose
from ethtune.core.errors import ConfigError, UsageError
from ethtune.device.target import cpu_target, named_target
from ethtune.services.tracedstep import trace

pytest.importorskip("torch")

SMALL = {
    "model_type": "llama", "hidden_size": 256, "num_hidden_layers": 3, "intermediate_size": 704,
    "vocab_size": 32000, "num_attention_heads": 4, "num_key_value_heads": 2,
}  # fmt: skip


def traced(folder, *changes, gpu="RTX 4090", told=None, **shape):
    (folder / "config.json").write_text(json.dumps(SMALL | shape))
    wanted = [f"model.base_model={folder}", "data.max_seq_length=512", *changes]
    config = compose(profile="12gb", overrides=overrides(wanted, {})).config
    return trace(config, target=named_target(gpu, None), events=told or (lambda _: None))


@pytest.mark.parametrize(
    ("changes", "shape", "gpu"),
    [
        ([], {}, "RTX 4090"),
        (["optimization.gradient_checkpointing=false"], {}, "RTX 4090"),
        (["optimization.optim=paged_adamw_8bit"], {"model_type": "qwen2"}, "RTX 3060"),
        (["quantization.load_in_4bit=false"], {"tie_word_embeddings": True}, "T4"),
    ],
)
def test_closed_form_and_trace_agree(tmp_path, changes, shape, gpu):
    report = traced(tmp_path, *changes, gpu=gpu, **shape)
    # small tensors: the ends of blocks that cannot be split weigh more than in a real model
    assert report.closed_form_bytes == pytest.approx(report.allocated_bytes, rel=0.05)
    assert report.allocated_bytes <= report.reserved_bytes < report.process_bytes[1]


def test_the_peak_is_named_with_what_holds_it(tmp_path):
    done = []
    report = traced(tmp_path, told=done.append)
    held = sum(holder.num_bytes for holder in report.holders)
    top = max(report.timeline, key=lambda moment: moment.num_bytes)
    assert top.num_bytes == held
    assert (top.event, top.phase) == (report.peak_event, report.peak_point)
    assert {"base model and adapter", "optimizer states"} <= {item.phase for item in report.holders}
    assert (done[-1].done, done[-1].total) == (3, 3)
    assert json.dumps(report.as_dict())


def test_what_cannot_be_traced_says_why(tmp_path):
    config = compose(profile="12gb").config
    with pytest.raises(UsageError, match="CUDA"):
        trace(config, target=cpu_target())
    with pytest.raises(ConfigError, match="cannot build"):
        traced(tmp_path, hidden_act="no such function")
