"""The commands of the fine-tuning guide, as it gives them, on the file that it gives."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from run_reading import events_of, of_kind

from ethtune.core.compose import compose
from ethtune.model.device import _cpu_has_bf16

EXAMPLE = Path(__file__).resolve().parents[2] / "configs" / "training_config.yaml"
HAS_BF16 = torch.cuda.is_available() or _cpu_has_bf16()
# the guide's file asks for bfloat16, which some machines have no units for
PRECISION = () if HAS_BF16 else ("--set", "optimization.bf16=auto")
PRECISION += () if HAS_BF16 else ("--set", "quantization.bnb_4bit_compute_dtype=auto")


@pytest.fixture(scope="module")
def few_rows(dataset, tmp_path_factory):
    """The first rows of each split."""
    folder = tmp_path_factory.mktemp("few") / "data"
    folder.mkdir()
    for split, rows in (("train", 16), ("validation", 4), ("test", 4)):
        lines = (dataset / f"{split}.jsonl").read_text().splitlines(keepends=True)
        (folder / f"{split}.jsonl").write_text("".join(lines[:rows]))
    return folder


@pytest.fixture(scope="module")
def train(ethtune, few_rows, tiny_model):
    """The guide's training command, with whatever stands behind it."""

    def run(output, *more):
        return ethtune(
            *("train", "--config", EXAMPLE, "--dataset", few_rows, "--output", output),
            *("--base-model", tiny_model, "--num-epochs", 1, "--learning-rate", "2e-4"),
            *("--batch-size", 1, "--gradient-accumulation-steps", 2),
            *PRECISION,
            *more,
        )

    return run


@pytest.fixture(scope="module")
def run(train, tmp_path_factory):
    """What the guide's command leaves, and a checkpoint of each step."""
    output = tmp_path_factory.mktemp("guide") / "run"
    result = train(output, "--set", "logging.save_steps=1")
    assert result.exit_code == 0, result.output
    return output


def test_training_takes_one_pass_over_the_rows(run, few_rows, tiny_model):
    config = compose(config_file=run / "config.yaml").config
    assert (config.model.base_model, config.data.dataset) == (str(tiny_model), str(few_rows))
    assert config.training.learning_rate == 2e-4
    assert config.effective_batch_size == 2
    (plan,) = of_kind(run, "training_planned")
    assert plan.num_train_rows == 16
    assert plan.num_train_epochs == 1
    assert events_of(run)[-1].step == plan.total_steps > 1
    assert [event.step for event in of_kind(run, "evaluated")] == [plan.total_steps]


def test_a_checkpoint_is_continued_with_the_same_command(train, run, tmp_path):
    again = tmp_path / "run"
    shutil.copytree(run, again)
    steps = sorted(int(item.name.partition("-")[2]) for item in again.glob("checkpoint-*"))
    (again / "adapter_model.safetensors").unlink()
    result = train(
        again, "--set", "logging.save_steps=1",
        "--resume-from-checkpoint", again / f"checkpoint-{steps[-2]}",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert f"Resuming at step {steps[-2]}" in result.stderr
    adapter = "adapter_model.safetensors"
    assert (again / adapter).read_bytes() == (run / adapter).read_bytes()


def test_a_finished_run_has_nothing_to_continue(train, run):
    newest = max(run.glob("checkpoint-*"), key=lambda item: int(item.name.partition("-")[2]))
    before = (run / "events.jsonl").read_bytes()
    assert (run / "adapter_model.safetensors").is_file()
    result = train(run, "--resume-from-checkpoint", newest)
    assert result.exit_code == 6, result.output
    assert "nothing is left to do" in result.stderr
    assert (run / "events.jsonl").read_bytes() == before


def test_another_learning_rate_is_no_continuation(train, run):
    newest = max(run.glob("checkpoint-*"), key=lambda item: int(item.name.partition("-")[2]))
    result = train(run, "--set", "lora.r=8", "--resume-from-checkpoint", newest)
    assert result.exit_code == 3, result.output
    assert "lora.r: was 16, is 8" in result.stderr


def test_evaluation_of_the_run(ethtune, run):
    words = ("evaluate", run, "--limit", 2, "--max-new-tokens", 8, "--base")
    result = ethtune(*words, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["num_rows"] == 2
    assert list(report["models"]) == ["tuned", "base", "majority"]
    exact = report["models"]["tuned"]["shares"]["exact_match"]
    assert (exact["right"], exact["total"]) == (0, 2)
    assert (run / "evaluation" / "test" / "report.md").is_file()
    below = ethtune(*words, "--no-save", "--fail-under", 50)
    assert below.exit_code == 1, below.output
    assert "is below --fail-under 50" in below.stderr


def test_prediction_with_the_run(ethtune, run, dataset):
    words = ("--limit", 2, "--max-new-tokens", 8)
    for source in (dataset / "test.jsonl", dataset.parent / "raw"):
        result = ethtune("predict", run, "--input", source, *words)
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        assert len(lines) == 2
        assert all(line["hash"].startswith("0x") for line in lines)
        assert [line["valid"] for line in lines] == [False, False]  # two layers know nothing
        assert all("cut off" in line["error"] or line["error"] for line in lines)
        assert result.exit_code == 1
        assert "2 transactions, 0 answers are intents" in result.stderr


def test_prediction_needs_a_run_and_something_to_read(ethtune, run, tmp_path):
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    for words, exit_code in (
        ((tmp_path / "none", "--input", empty), 6),
        ((run, "--input", tmp_path / "none.jsonl"), 4),
        ((run, "--input", empty), 4),
    ):
        result = ethtune("predict", *words)
        assert result.exit_code == exit_code, result.output
        assert result.stdout == ""
