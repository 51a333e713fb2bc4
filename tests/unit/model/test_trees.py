"""Training state goes out and comes back the same, without a pickle."""

from __future__ import annotations

import random

import pytest
import torch

from ethtune.model.trainingstate import random_states, restore_random
from ethtune.model.trees import load_tree, save_tree, tensors_of


def test_every_kind_comes_back_as_it_was(tmp_path):
    shared = torch.arange(6.0)
    tree = {
        "state": {0: {"step": torch.tensor(3.0), "moment": torch.randn(3, 4).T}, 1: {}},
        "groups": [{"lr": 0.1 + 0.2, "betas": (0.9, 0.999), "fused": None, "name": "a"}],
        "tables": [shared, shared],
        "bytes": torch.tensor([1, 255], dtype=torch.uint8),
        "half": torch.ones(2, dtype=torch.bfloat16),
        "empty": [],
    }
    save_tree(tree, tmp_path / "tree")
    again = load_tree(tmp_path / "tree")
    assert again["groups"] == tree["groups"]
    assert again["state"].keys() == {0, 1}
    assert again["empty"] == []
    before, after = dict(tensors_of(tree)), dict(tensors_of(again))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor)
        assert after[name].dtype == tensor.dtype


def test_random_states_come_back(tmp_path):
    import numpy as np

    save_tree({"random": random_states()}, tmp_path / "tree")
    drawn = (random.random(), np.random.rand(), torch.rand(1).item())
    restore_random(load_tree(tmp_path / "tree")["random"])
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn


@pytest.mark.parametrize("content", [b"", b"\x80\x04cos\nsystem\n(S'touch x'\ntR.", b"PK\x03\x04"])
def test_what_is_no_such_file_runs_nothing(tmp_path, content, monkeypatch):
    from safetensors import SafetensorError

    monkeypatch.chdir(tmp_path)
    (tmp_path / "tree").write_bytes(content)
    with pytest.raises(SafetensorError):
        load_tree(tmp_path / "tree")
    assert not (tmp_path / "x").exists()
