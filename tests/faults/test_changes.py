"""What is not as it was when a run is resumed: refused with what it would do, or as stated."""

from __future__ import annotations

import json
import shutil

import pytest
from run_reading import of_kind, sha256

from ethtune.core.compose import all_keys
from ethtune.core.errors import ConfigError, DataError, RunError
from ethtune.services.continuation import EFFECTS, FREE, IMPOSSIBLE

OTHERS = {
    "model.base_model": "other/model",
    "model.revision": "abc",
    "model.attn_implementation": "eager",
    "model.trust_remote_code": True,
    "lora.r": 8,
    "lora.alpha": 8,
    "lora.dropout": 0.2,
    "lora.target_modules": "all-linear",
    "lora.bias": "all",
    "lora.use_dora": True,
    "lora.use_rslora": True,
    "lora.loraplus_lr_ratio": 4,
    "quantization.load_in_4bit": False,
    "quantization.bnb_4bit_compute_dtype": "float32",
    "quantization.bnb_4bit_quant_type": "fp4",
    "quantization.bnb_4bit_use_double_quant": False,
    "training.per_device_train_batch_size": 2,
    "training.gradient_accumulation_steps": 2,
    "training.learning_rate": 1e-3,
    "training.weight_decay": 0.1,
    "training.max_grad_norm": 1.0,
    "training.warmup_ratio": 0.5,
    "training.warmup_steps": 3,
    "training.lr_scheduler_type": "linear",
    "training.lr_scheduler_kwargs": {"num_cycles": 1},
    "training.neftune_noise_alpha": 5,
    "training.seed": 7,
    "data.max_seq_length": 1024,
    "data.packing": True,
    "data.max_train_samples": 5,
    "data.max_eval_samples": 3,
    "optimization.gradient_checkpointing": False,
    "optimization.optim": "adamw_torch",
    "optimization.fp16": False,
    "optimization.bf16": False,
    "optimization.use_liger_kernel": False,
}
"""Another value than the run's for every key that decides what a step computes."""


def is_free(key):
    return key in FREE or key.partition(".")[0] in FREE


def test_every_key_is_free_or_tried_here():
    keys = {key for key in all_keys() if not is_free(key)}
    assert keys - set(OTHERS) == {
        "lora.task_type",  # it has one value
        "training.num_processes",  # below
        "training.deepspeed",  # needs several processes: tests/flows/test_deepspeed.py
    }
    assert not set(OTHERS) - keys


@pytest.mark.parametrize("key", OTHERS)
def test_another_value_is_refused_with_what_it_would_do(at_step_4, refusal, key):
    error = refusal(at_step_4, {key: OTHERS[key]})
    assert isinstance(error, ConfigError)
    effect = IMPOSSIBLE.get(key) or EFFECTS.get(key) or EFFECTS[key.partition(".")[0]]
    assert f"  {key}: was " in error.message
    assert error.message.endswith(effect)
    way_out = "start a new run" if key in IMPOSSIBLE else f"--allow-change {key}"
    assert way_out in error.hint


def test_processes_that_could_not_share_out_a_step_are_refused(at_step_4, refusal):
    """What they can share out goes on: tests/flows/test_distributed.py."""
    error = refusal(at_step_4, {"training.num_processes": 2})
    assert isinstance(error, RunError)
    assert "1 micro batches, which 2 processes cannot share out evenly" in error.message
    assert error.hint.startswith("go on with 1, or ")


@pytest.mark.parametrize("key", sorted(IMPOSSIBLE.keys() & OTHERS.keys()))
def test_what_no_checkpoint_can_take_is_refused_though_allowed(at_step_4, refusal, key):
    error = refusal(at_step_4, {key: OTHERS[key]}, allowed=(key,))
    assert error.hint == "start a new run"


@pytest.mark.parametrize(
    "settings",
    [
        {"logging.save_steps": 1, "logging.logging_steps": 3, "logging.save_total_limit": 2},
        {"training.per_device_eval_batch_size": 2, "training.on_divergence": "rollback"},
        {"data.dataloader_num_workers": 2},
    ],
)
def test_what_is_free_changes_no_bit(at_step_4, straight, resume_here, settings):
    resume_here(at_step_4, settings)
    assert sha256(at_step_4) == sha256(straight)


def test_how_often_it_logs_and_saves_may_change(at_step_4, straight, resume_here):
    """The first loss is the mean of the steps made since."""
    losses = {event.step: event.loss for event in of_kind(straight, "step")}
    resume_here(at_step_4, {"logging.logging_steps": 3, "logging.save_steps": 5})
    last = of_kind(at_step_4, "step")[-1]
    assert (last.step, last.num_steps) == (6, 2)
    assert last.loss == pytest.approx((losses[5] + losses[6]) / 2)
    assert of_kind(at_step_4, "checkpoint_saved")[-2].step == 5


@pytest.fixture
def moved(at_step_4, dataset, tmp_path):
    """``moved(change)``: the run's rows are elsewhere, with ``change`` made to their lines."""

    def move(change):
        folder = tmp_path / "rows"
        shutil.copytree(dataset, folder)
        lines = (folder / "train.jsonl").read_text().splitlines(keepends=True)
        (folder / "train.jsonl").write_text("".join(change(lines)))
        return folder

    return move


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: lines[:-1],
        lambda lines: lines[::-1],
        lambda lines: [lines[0].replace("transfer", "Transfer", 1), *lines[1:]],
        lambda lines: [],
    ],
    ids=["shrunk", "reordered", "edited", "emptied"],
)
def test_other_rows_are_refused_with_their_counts(at_step_4, refusal, moved, change, dataset):
    count = len((dataset / "train.jsonl").read_text().splitlines())
    folder = moved(change)
    error = refusal(at_step_4, {"data.dataset": str(folder)})
    assert isinstance(error, RunError)
    assert f"rows: was train.jsonl lines {count}, " in error.message
    now = len((folder / "train.jsonl").read_text().splitlines())
    assert f"is train.jsonl lines {now}, " in error.message


def test_rows_that_are_gone_are_named(at_step_4, refusal, dataset):
    manifest = json.loads((at_step_4 / "manifest.json").read_text())
    manifest["dataset"]["path"] = "/nowhere/data"
    (at_step_4 / "manifest.json").write_text(json.dumps(manifest))
    error = refusal(at_step_4)
    assert isinstance(error, (DataError, RunError))
    assert "/nowhere/data" in error.message


@pytest.mark.parametrize("name", ["config.yaml", "origins.json", "manifest.json"])
@pytest.mark.parametrize("content", [None, b"", b"{", b"\xff\xfe\x00"])
def test_a_run_whose_own_record_is_damaged_is_refused_in_words(
    at_step_4, resume_here, name, content
):
    if content is None:
        (at_step_4 / name).unlink()
    else:
        (at_step_4 / name).write_bytes(content)
    if name == "origins.json" and content is None:
        resume_here(at_step_4)  # where values came from is only told
        return
    with pytest.raises((RunError, ConfigError)) as caught:
        resume_here(at_step_4)
    # an empty config.yaml is a valid config, of another run
    what = "would go on as another run" if (name, content) == ("config.yaml", b"") else name
    assert what in caught.value.message


@pytest.mark.parametrize(
    ("key", "line", "other"),
    [
        ("training.learning_rate", "learning_rate: 0.01", "learning_rate: 0.001"),
        ("data.packing", "packing: false", "packing: true"),
        ("lora.r", "r: 16", "r: 8"),
    ],
)
def test_a_config_that_was_edited_in_the_folder_is_refused(at_step_4, refusal, key, line, other):
    config = at_step_4 / "config.yaml"
    text = config.read_text()
    assert text.count(f"  {line}\n") == 1
    config.write_text(text.replace(f"  {line}\n", f"  {other}\n"))
    assert f"  {key}: was " in refusal(at_step_4).message
