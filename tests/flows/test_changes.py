"""What may be another when a run goes on, what must be allowed, and what then happens."""

from __future__ import annotations

import json
import shutil

import pytest
from run_reading import cut_back, of_kind, sha256
from safetensors.torch import load_file, save_file

from ethtune.core.errors import ConfigError, RunError
from ethtune.model.checkpoints import COMPLETE, seal


@pytest.fixture
def at_step_4(straight_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(straight_run, run)
    cut_back(run, 4)
    return run


def rewrite(path, change):
    plain = json.loads(path.read_text())
    change(plain)
    path.write_text(json.dumps(plain))


FACTS = ("versions.torch", "versions.peft", "base_model", "template", "prompt_versions")


def another(manifest):
    manifest["versions"] |= {"torch": "1.0", "peft": "0.1"}
    manifest["base_model"]["fingerprint"] = manifest["template"] = "0" * 64
    manifest["prompt_versions"] = ["1"]


def test_other_facts_are_refused_and_can_be_allowed(resume_here, at_step_4, straight_run):
    rewrite(at_step_4 / "manifest.json", another)
    for allowed, shown in (((), FACTS[:2]), (FACTS[:2], FACTS[2:]), (FACTS[:4], FACTS[4:])):
        with pytest.raises(RunError) as caught:
            resume_here(at_step_4, allowed=allowed)
        for key in shown:
            assert f"  {key}: was " in caught.value.message
            assert f"--allow-change {key}" in caught.value.hint
        assert not [key for key in allowed if f"  {key}: " in caught.value.message]
    resume_here(at_step_4, allowed=FACTS)
    assert sha256(at_step_4) == sha256(straight_run), "the facts were only said to be others"
    manifest = json.loads((at_step_4 / "manifest.json").read_text())
    assert {(change["key"], change["step"]) for change in manifest["changes"]} == {
        (key, 4) for key in FACTS
    }
    cut_back(at_step_4, 6)
    resume_here(at_step_4)  # they are the run's own now


def test_a_section_or_versions_stands_for_all_of_its_keys(resume_here, at_step_4):
    def both(manifest):
        manifest["versions"] |= {"torch": "1.0", "trl": "0.1"}

    rewrite(at_step_4 / "manifest.json", both)
    with pytest.raises(RunError) as caught:
        resume_here(at_step_4, allowed=["versions.torch"])
    assert "versions.trl" in caught.value.message
    assert "versions.torch" not in caught.value.message
    resume_here(at_step_4, allowed=["versions"])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("training.learning_rate", 5e-3),
        ("training.lr_scheduler_type", "constant"),
        ("training.weight_decay", 0.5),
        ("training.seed", 3),
        ("training.gradient_accumulation_steps", 1),
        ("lora.alpha", 8),
    ],
)
def test_an_allowed_change_is_made_not_ignored(resume_here, at_step_4, straight_run, key, value):
    with pytest.raises(ConfigError, match=f"  {key}: was "):
        resume_here(at_step_4, {key: value})
    resume_here(at_step_4, {key: value}, allowed=[key])
    assert sha256(at_step_4) != sha256(straight_run)
    rates = {event.step: event.learning_rate for event in of_kind(at_step_4, "step")}
    before = {event.step: event.learning_rate for event in of_kind(straight_run, "step")}
    if key == "training.learning_rate":
        assert rates[6] == pytest.approx(before[6] / 2)
    if key == "training.lr_scheduler_type":
        assert rates[6] == rates[8] == 1e-2


def test_more_steps_lay_the_schedule_anew(resume_here, straight_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(straight_run, run)
    resume_here(run, {"training.max_steps": 12})
    rates = {event.step: event.learning_rate for event in of_kind(run, "step")}
    before = {event.step: event.learning_rate for event in of_kind(straight_run, "step")}
    assert {step: rates[step] for step in before} == before
    assert rates[9] > before[8]
    assert rates[9] > rates[12] >= 0
    texts = [event.text for event in of_kind(run, "message")]
    assert any("the schedule is laid anew over 12 steps instead of 8" in text for text in texts)


def test_another_device_is_said(resume_here, at_step_4):
    rewrite(at_step_4 / "manifest.json", lambda m: m.update(device="NVIDIA H100"))
    resume_here(at_step_4)
    texts = [event.text for event in of_kind(at_step_4, "message")]
    assert any("device was NVIDIA H100" in t and "no longer bit for bit" in t for t in texts)


def test_rows_may_move(resume_here, at_step_4, straight_run, dataset, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(dataset, moved)
    resume_here(at_step_4, {"data.dataset": str(moved)})
    assert sha256(at_step_4) == sha256(straight_run)


def test_going_back_sets_the_later_ones_aside(resume_here, straight_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(straight_run, run)
    resume_here(
        run, {"training.learning_rate": 1e-3}, checkpoint=run / "checkpoint-2",
        allowed=["training.learning_rate"],
    )  # fmt: skip
    names = {item.name for item in run.glob("checkpoint-*.replaced")}
    assert names == {f"checkpoint-{step}.replaced" for step in (4, 6, 8)}
    assert sha256(run) != sha256(straight_run)


def resealed(folder, change):
    """Damage that its own list of hashes does not show: written by a broken program."""
    change(folder)
    (folder / COMPLETE).unlink()
    seal(folder, step=int(folder.name.rpartition("-")[2]), run_id=None)


def renamed(folder):
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    name = sorted(tensors)[0]
    tensors[name.replace("lora_A", "lora_X")] = tensors.pop(name)
    save_file(tensors, path)


def dropped(folder):
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    tensors.pop(sorted(tensors)[0])
    save_file(tensors, path)


def mixed_state(folder):
    shutil.copy(folder.parent / "checkpoint-2" / "training_state.safetensors", folder)


def mixed_trainer_state(folder):
    shutil.copy(folder.parent / "checkpoint-2" / "trainer_state.json", folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (renamed, "does not fit the model"),
        (dropped, "is not in the file"),
        (mixed_state, "its training state is of step 2"),
        (mixed_trainer_state, "trainer_state.json is of step 2"),
    ],
)
def test_what_hashes_cannot_show_is_found_after_loading(resume_here, at_step_4, change, words):
    resealed(at_step_4 / "checkpoint-4", change)
    with pytest.raises(RunError, match=words) as caught:
        resume_here(at_step_4)
    assert "--list" in caught.value.hint
