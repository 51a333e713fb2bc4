"""Checkpoints that are not as they were written: refused, named, and the one before is taken."""

from __future__ import annotations

import hashlib
import json
import os
import shutil

import pytest
import torch
from run_reading import of_kind
from safetensors.torch import load_file, save_file

from ethtune.core.errors import DivergedError, RunError
from ethtune.core.runfolder import RunFolder
from ethtune.model.checkpoints import COMPLETE, find_checkpoints
from ethtune.model.trees import load_tree, save_tree, tensors_of
from ethtune.services.startingpoint import choose_start

WEIGHTS, STATE = "adapter_model.safetensors", "training_state.safetensors"


def flip_at(share):
    def flip(path):
        content = bytearray(path.read_bytes())
        content[int(len(content) * share)] ^= 1
        path.write_bytes(content)

    return flip


DAMAGES = {
    "a bit at 25 %": flip_at(0.25),
    "a bit at 50 %": flip_at(0.5),
    "a bit at 75 %": flip_at(0.75),
    "half": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "one byte more": lambda path: path.write_bytes(path.read_bytes() + b"\n"),
    "deleted": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_to_every_file_is_found_and_named(at_step_4, tmp_path, damage):
    folder = at_step_4 / "checkpoint-4"
    names = sorted(item.name for item in folder.iterdir())
    assert len(names) == 8
    shutil.copytree(folder, tmp_path / "whole")
    for name in names:
        DAMAGES[damage](folder / name)
        said = []
        start = choose_start(RunFolder(at_step_4), None, said.append)
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "whole", folder)
        if name == COMPLETE and damage == "one byte more":
            assert start.step == 4  # it says the same
            continue
        assert start.step == 2
        (message,) = said
        assert message.text.startswith("checkpoint-4 is skipped: ")
        # a label with another letter in it may name a file or a run that there is none of
        assert name in message.text or (name == COMPLETE and damage.startswith("a bit"))


def test_a_damaged_one_is_kept_aside_and_the_run_ends_the_same(at_step_4, ends_as_straight):
    flip_at(0.5)(at_step_4 / "checkpoint-4" / STATE)
    ends_as_straight(at_step_4)
    assert (at_step_4 / "checkpoint-4.damaged" / STATE).is_file()
    assert [c.step for c in find_checkpoints(RunFolder(at_step_4)) if not c.problem] == [6, 4, 2]


@pytest.mark.parametrize("name", [WEIGHTS, STATE, "trainer_state.json"])
def test_files_of_two_steps_are_no_checkpoint(at_step_4, name):
    shutil.copy(at_step_4 / "checkpoint-2" / name, at_step_4 / "checkpoint-4" / name)
    assert choose_start(RunFolder(at_step_4), None, lambda _: None).step == 2


def sealed(folder, name):
    """List ``name`` as it now is: as if it had been written so."""
    label = json.loads((folder / COMPLETE).read_text())
    content = (folder / name).read_bytes()
    sha = hashlib.sha256(content).hexdigest()
    label["files"][name] = {"bytes": len(content), "sha256": sha}
    (folder / COMPLETE).write_text(json.dumps(label))


def renamed(tensors):
    return {name.replace("lora_A", "lora_Z"): tensor for name, tensor in tensors.items()}


def half_dropped(tensors):
    return dict(list(tensors.items())[: len(tensors) // 2])


def with_one_more(tensors):
    return tensors | {"base_model.model.lm_head.lora_A.weight": torch.zeros(2, 2)}


def of_another_shape(tensors):
    first = next(iter(tensors))
    return tensors | {first: tensors[first][:1].clone()}


def with_no_number(tensors):
    first = next(iter(tensors))
    return tensors | {first: torch.full_like(tensors[first], float("nan"))}


@pytest.mark.parametrize(
    "change", [renamed, half_dropped, with_one_more, of_another_shape, with_no_number]
)
def test_weights_that_do_not_fit_are_refused_though_their_label_fits(
    at_step_4, resume_here, change
):
    """What plain peft loads without a word: a run from a half empty adapter."""
    folder = at_step_4 / "checkpoint-4"
    save_file(change(load_file(folder / WEIGHTS)), folder / WEIGHTS, metadata={"format": "pt"})
    sealed(folder, WEIGHTS)
    with pytest.raises(RunError, match="checkpoint-4 does not fit the model") as caught:
        resume_here(at_step_4)
    assert "--list" in caught.value.hint
    assert find_checkpoints(RunFolder(at_step_4))[0].step == 4


def without_moments(folder):
    tree = load_tree(folder / STATE)
    tree["optimizer"]["state"] = {}
    save_tree(tree, folder / STATE)
    sealed(folder, STATE)


def with_moments_of_no_number(folder):
    tree = load_tree(folder / STATE)
    for _, tensor in tensors_of(tree["optimizer"]["state"]):
        if tensor.is_floating_point() and tensor.ndim:
            tensor.view(-1)[0] = float("nan")
    save_tree(tree, folder / STATE)
    sealed(folder, STATE)


@pytest.mark.parametrize("change", [without_moments, with_moments_of_no_number])
def test_a_state_that_does_not_fit_is_refused_though_its_label_fits(at_step_4, resume_here, change):
    change(at_step_4 / "checkpoint-4")
    with pytest.raises((RunError, DivergedError), match="checkpoint-4 cannot be continued"):
        resume_here(at_step_4)
    assert of_kind(at_step_4, "step")[-1].step == 6  # of the run before: no step was made
