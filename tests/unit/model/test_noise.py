"""NEFTune's noise: of the size the paper says, a document at a time, in training alone."""

from __future__ import annotations

import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from ethtune.core.config import Config
from ethtune.model.load import add_adapter
from ethtune.model.noise import add_embedding_noise, lengths

WIDTH, ALPHA = 64, 5.0
POSITIONS = torch.cat([torch.arange(400), torch.arange(100)])[None]
IDS = torch.arange(500)[None] % 60


@pytest.fixture
def embedded():
    """``embedded(alpha)``: what the first layer of a model in training is given."""
    described = AutoConfig.for_model(
        "llama", vocab_size=64, hidden_size=WIDTH, intermediate_size=64, num_hidden_layers=1,
        num_attention_heads=4, num_key_value_heads=2,
    )  # fmt: skip
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        base = AutoModelForCausalLM.from_config(described)
    model = add_adapter(base, Config().lora, seed=1)
    seen = []

    def see(_, given):
        seen[:] = [given[0].detach()]

    base.model.layers[0].register_forward_pre_hook(see)

    def run(alpha=None, *, training=True):
        if alpha is not None:
            add_embedding_noise(model, alpha)
        model.train(training)
        model(input_ids=IDS, position_ids=POSITIONS, use_cache=False)
        return seen[0]

    return run


def test_neftune_noise_alpha_is_the_size_of_the_noise_of_each_document(embedded):
    clean = embedded()
    noise = (embedded(ALPHA) - clean)[0]
    for part, length in ((noise[:400], 400), (noise[400:], 100)):
        most = ALPHA / (length * WIDTH) ** 0.5
        assert float(part.abs().max()) == pytest.approx(most, rel=0.01)
        assert float(part.abs().mean()) == pytest.approx(most / 2, rel=0.05)
        assert abs(float(part.mean())) < most / 50


def test_it_is_another_at_each_step_and_follows_the_seed(embedded):
    torch.manual_seed(3)
    first, second = embedded(ALPHA), embedded()
    torch.manual_seed(3)
    assert not torch.equal(first, second)
    assert torch.equal(first, embedded())


def test_validation_has_none(embedded):
    clean = embedded(training=False)
    assert torch.equal(embedded(ALPHA, training=False), clean)


def test_answering_needs_no_positions(embedded):
    embedded(ALPHA, training=False)


def test_each_token_has_the_length_of_its_document():
    assert lengths(torch.tensor([[0, 1, 2, 0, 0, 1]])).tolist() == [[3, 3, 3, 1, 2, 2]]
