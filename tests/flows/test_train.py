"""A run from the command line: what it leaves, what it tells, and that others can load it."""

from __future__ import annotations

import ast
import json
import re

import pytest
import torch
from run_reading import events_of, of_kind, sha256

from ethtune.core.compose import compose
from ethtune.core.runfolder import RunFolder
from ethtune.model.checkpoints import find_checkpoints

CHECKPOINT_FILES = {
    "COMPLETE.json", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja",
    "tokenizer.json", "tokenizer_config.json", "trainer_state.json", "training_state.safetensors",
}  # fmt: skip


def test_the_run_folder_holds_what_it_promises(straight_run):
    names = {item.name for item in straight_run.iterdir()}
    assert names >= {
        "manifest.json", "config.yaml", "origins.json", "preview.txt", "events.jsonl",
        "training_logs.txt", "adapter_model.safetensors", "adapter_config.json", "tokenizer.json",
        "chat_template.jinja",
    }  # fmt: skip
    assert not [name for name in names if name.startswith(".")]
    assert not list(straight_run.rglob("training_args.bin"))
    for step in (2, 4, 6, 8):
        folder = straight_run / f"checkpoint-{step}"
        assert {item.name for item in folder.iterdir()} == CHECKPOINT_FILES
    assert all(item.problem is None for item in find_checkpoints(RunFolder(straight_run)))


def test_the_log_tells_the_whole_run_in_order(straight_run):
    events = events_of(straight_run)
    assert [events[0].kind, events[-1].kind] == ["run_started", "run_ended"]
    assert [event.step for event in of_kind(straight_run, "step")] == list(range(1, 9))
    assert [event.step for event in of_kind(straight_run, "evaluated")] == [2, 4, 6, 8]
    assert [event.step for event in of_kind(straight_run, "checkpoint_saved")] == [2, 4, 6, 8]
    kinds = [event.kind for event in events]
    assert kinds.index("model_loaded") < kinds.index("training_planned") < kinds.index("step")
    (plan,) = of_kind(straight_run, "training_planned")
    assert (plan.total_steps, plan.num_train_rows, plan.num_eval_rows) == (8, 24, 4)
    assert events[-1].ending == "finished"
    losses = [event.loss for event in of_kind(straight_run, "step")]
    assert losses[-1] < losses[0]
    text = (straight_run / "training_logs.txt").read_text()
    assert "Step 8/8 | Loss: " in text
    assert "Finished at step 8" in text


def test_the_manifest_and_the_config_say_what_was_run(straight_run, tiny_model, dataset):
    manifest = json.loads((straight_run / "manifest.json").read_text())
    assert manifest["base_model"]["name"] == str(tiny_model)
    assert manifest["dataset"]["path"] == str(dataset)
    assert set(manifest["rows"]) == {"train.jsonl", "validation.jsonl"}
    assert {"torch", "transformers", "peft", "bitsandbytes", "trl"} <= set(manifest["versions"])
    config = compose(config_file=straight_run / "config.yaml").config
    assert config.training.learning_rate == 1e-2
    origins = json.loads((straight_run / "origins.json").read_text())
    assert origins["training.learning_rate"] == "--set training.learning_rate"
    assert origins["data.dataset"] == "--dataset"
    assert origins["lora.r"] == "default"


def test_three_rows_show_what_is_given_and_what_is_learned(straight_run, dataset):
    text = (straight_run / "preview.txt").read_text()
    assert "preview.txt" in (straight_run / "training_logs.txt").read_text()
    assert "24 rows train in " in text
    assert "each with its end, '<|im_end|>' (token 2)" in " ".join(text.split())
    lines = (dataset / "train.jsonl").read_text().splitlines()
    rows = {row["id"]: row for row in map(json.loads, lines)}
    shown = re.findall(
        r"^row (0x\w+), [^\n]*: (\d+) tokens given, (\d+) learned\n--- given, not learned\n(.*?)\n"
        r"--- learned, token by token\n(.*?)\n(?:\n|\Z)",
        text,
        re.MULTILINE | re.DOTALL,
    )
    assert len(shown) == 3
    for row_id, num_given, num_learned, given, learned in shown:
        row = rows[row_id]
        question = f"{row['instruction']}\n{row['input']}"
        assert given.endswith(f"{question}<|im_end|>\n<|im_start|>assistant\n")
        tokens = [ast.literal_eval(word) for word in re.findall(r"'[^']*'|\"'\"", learned)]
        assert len(tokens) == int(num_learned)
        assert "".join(tokens) == row["output"] + "<|im_end|>"
        assert int(num_given) > len(row["input"])


def test_the_adapter_loads_in_plain_peft_and_has_learned(straight_run, tiny_model):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(straight_run)
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32)
    ids = tokenizer("Read it.", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        before = model(input_ids=ids).logits
        tuned = PeftModel.from_pretrained(model, straight_run)
        after = tuned(input_ids=ids).logits
    assert tuned.peft_config["default"].base_model_name_or_path == str(tiny_model)
    assert not torch.allclose(before, after)


def test_the_card_and_the_manifest_say_what_the_adapter_is(straight_run):
    card = (straight_run / "README.md").read_text()
    manifest = json.loads((straight_run / "manifest.json").read_text())
    assert sha256(straight_run) in card
    for entry in manifest["rows"].values():
        assert entry["sha256"] in card
    assert manifest["command"] in card
    assert "`ethtune.intent/1`" in card
    assert manifest["intent_schema"] == "ethtune.intent/1"
    assert manifest["prompt_versions"]
    config = json.loads((straight_run / "adapter_config.json").read_text())
    assert config["target_modules"] == sorted(config["target_modules"])
    assert config["inference_mode"] is True


def test_no_token_stands_in_any_file_of_a_run(start_training, monkeypatch, tmp_path):
    """Given in the environment; one in the config is refused, as test_secrets shows."""
    canary = "hf_" + "Canary" * 6
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, canary)
    run = tmp_path / "run"
    trainer = start_training(run, {"training.max_steps": 2, "logging.eval_strategy": "no"})
    assert trainer.end() == 0, trainer.stderr
    holding = [p.name for p in run.rglob("*") if p.is_file() and canary.encode() in p.read_bytes()]
    assert holding == []
    assert canary not in trainer.stdout + trainer.stderr


def test_json_is_all_that_stands_on_stdout(ethtune, train_words, tmp_path):
    words = train_words(tmp_path / "run", {"training.max_steps": 1, "logging.eval_strategy": "no"})
    result = ethtune(*words, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert (report["run"], report["steps"]) == (str(tmp_path / "run"), 1)
    assert report["eval_loss"] is None
    assert report["train_loss"] > 0
    assert "Step 1/1" in result.stderr


def test_the_best_weights_are_taken_when_asked(ethtune, train_words, tmp_path):
    """At this rate a run gets worse: step 2 stays the best and its weights are the result."""
    from safetensors.torch import load_file

    run = tmp_path / "run"
    settings = {
        "training.learning_rate": 3,
        "training.max_steps": 6,
        "training.warmup_ratio": 0,
        "training.lr_scheduler_type": "constant",
        "logging.load_best_model_at_end": "true",
        "logging.save_total_limit": 2,
        "logging.eval_steps": 1,
    }
    result = ethtune(*train_words(run, settings), "--json")
    assert result.exit_code == 0, result.output
    evaluated = {event.step: event.eval_loss for event in of_kind(run, "evaluated")}
    best = min(evaluated, key=evaluated.get)
    assert best < 6, "the run was meant to get worse"
    assert json.loads(result.stdout)["best_step"] == best
    final = load_file(run / "adapter_model.safetensors")
    saved = load_file(run / f"checkpoint-{best}" / "adapter_model.safetensors")
    assert all(torch.equal(final[name], saved[name]) for name in saved)


@pytest.mark.parametrize("packing", ["false", "true"])
def test_rows_longer_than_the_limit_are_left_out_whole_and_said(
    ethtune, train_words, tmp_path, packing
):
    settings = {
        "training.max_steps": 1,
        "data.max_seq_length": 600,
        "data.max_over_length_share": 0.9,
        "data.packing": packing,
        "logging.eval_strategy": "no",
    }
    result = ethtune(*train_words(tmp_path / "run", settings))
    assert result.exit_code == 0, result.output
    assert "rows are longer than 600 tokens and are left out whole, none is cut" in result.stderr
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())["dataset"]
    assert manifest["too_long"] > 0
    assert manifest["train_rows"] + manifest["validation_rows"] + manifest["too_long"] == 28
