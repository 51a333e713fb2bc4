"""Packed rows teach exactly what the same rows teach one by one."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from ethtune.core.tokens import TokenRow
from ethtune.model import frozenhead
from ethtune.model import loss as loss_module
from ethtune.model.batches import IGNORED, collate, to_dataset
from ethtune.model.loss import labelled_loss

ROWS = [
    TokenRow("a", (1, 30, 31, 32, 40, 41, 2), 4, 2),
    TokenRow("b", (1, 50, 60, 61, 62, 63, 64, 2), 2, 2),
    TokenRow("c", (1, 2), 1, 2),
    TokenRow("d", (*range(20, 90), 2), 33, 2),
]


@pytest.fixture(params=["sdpa", "eager"])
def model(request, tiny_model):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(
        tiny_model, attn_implementation=request.param, dtype=torch.float32
    ).eval()


def batch_of(*packs, multiple=1):
    return collate(list(to_dataset(packs)), multiple=multiple)


def batch_inputs(batch):
    return {name: batch[name] for name in ("input_ids", "position_ids")}


def full_logits(model, batch):
    """(T, V). With a cache, transformers would not take restarting positions for borders."""
    return model(
        input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False
    ).logits[0]


def test_a_batch_is_one_flat_sequence_without_padding():
    batch = batch_of(ROWS[:2], ROWS[2:3])
    assert batch.pop("ids") == ["a", "b", "c"]
    assert {key: value.shape for key, value in batch.items()} == dict.fromkeys(
        ("input_ids", "labels", "position_ids"), (1, 17)
    )
    assert batch["input_ids"][0].tolist() == [id for row in ROWS[:3] for id in row.input_ids]
    assert batch["position_ids"][0].tolist() == [*range(7), *range(8), *range(2)]
    skip = IGNORED
    assert batch["labels"][0].tolist() == [
        *(skip, skip, skip, skip, 40, 41, 2),
        *(skip, skip, 60, 61, 62, 63, 64, 2),
        *(skip, 2),
    ]


def test_a_rounded_up_sequence_ends_with_a_document_that_teaches_nothing():
    batch = batch_of(ROWS[:2], multiple=16)
    assert batch["input_ids"].shape == batch["labels"].shape == batch["position_ids"].shape
    assert batch["labels"][0].tolist()[15:] == [IGNORED]
    assert batch["position_ids"][0].tolist()[15:] == [0]
    assert batch_of(ROWS[:2], multiple=15)["input_ids"].shape == (1, 15)


@torch.no_grad()
def test_rounding_up_changes_neither_loss_nor_counts(model):
    exact, rounded = labelled_loss(model, batch_of(ROWS)), labelled_loss(
        model, batch_of(ROWS, multiple=64)
    )  # fmt: skip
    assert rounded[0].item() == pytest.approx(exact[0].item(), rel=1e-6)
    assert rounded[1:] == exact[1:]


@torch.no_grad()
def test_the_loss_is_cross_entropy_over_full_logits(model):
    batch = batch_of(ROWS)
    loss, correct, num_labels = labelled_loss(model, batch)
    logits = full_logits(model, batch)
    labels = batch["labels"][0, 1:]
    expected = functional.cross_entropy(logits[:-1], labels, ignore_index=IGNORED, reduction="sum")
    learned = labels != IGNORED
    assert num_labels == sum(row.num_labels for row in ROWS) == int(learned.sum())
    assert int(correct) == int((logits[:-1].argmax(-1) == labels)[learned].sum())
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


@torch.no_grad()
def test_rows_of_a_pack_do_not_see_each_other(model):
    """Alone, in one pack, in another order, in several packs of a batch: the same loss."""
    alone = sum(labelled_loss(model, batch_of([row]))[0] for row in ROWS)
    for packs in ([ROWS], [ROWS[::-1]], [ROWS[:1], ROWS[1:3], ROWS[3:]]):
        together, *_ = labelled_loss(model, batch_of(*packs))
        assert together.item() == pytest.approx(alone.item(), abs=1e-4, rel=1e-6)


@torch.no_grad()
def test_logits_of_a_row_are_the_same_in_a_pack(model):
    batch = batch_of(ROWS)
    packed = full_logits(model, batch)
    start = 0
    for row in ROWS:
        alone = model(input_ids=torch.tensor([row.input_ids])).logits[0]
        torch.testing.assert_close(
            packed[start : start + len(row.input_ids)], alone, atol=1e-5, rtol=0
        )
        start += len(row.input_ids)


def test_gradients_are_those_of_the_plain_loss(model):
    batch = batch_of(ROWS)
    weight = model.model.layers[0].self_attn.q_proj.weight
    gradients = []
    for use_ours in (True, False):
        model.zero_grad()
        if use_ours:
            loss, *_ = labelled_loss(model, batch)
        else:
            logits = full_logits(model, batch)
            loss = functional.cross_entropy(
                logits[:-1], batch["labels"][0, 1:], ignore_index=IGNORED, reduction="sum"
            )
        loss.backward()
        gradients.append(weight.grad.clone())
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("is_frozen", [False, True])
def test_more_labels_than_a_chunk_make_the_same_sum(model, is_frozen, monkeypatch):
    model.lm_head.requires_grad_(not is_frozen)
    batch = batch_of(ROWS)
    whole = labelled_loss(model, batch)
    for module in (loss_module, frozenhead):
        monkeypatch.setattr(module, "CHUNK_POSITIONS", 7)
    pieces = labelled_loss(model, batch)
    assert pieces[0].item() == pytest.approx(whole[0].item(), rel=1e-6)
    assert pieces[1:] == whole[1:]


@pytest.mark.parametrize("multiple", [1, 64])
def test_a_frozen_head_changes_neither_loss_nor_gradients(model, multiple):
    """The head is not computed twice, and the gradients below it are what they would be."""
    batch = batch_of(ROWS, multiple=multiple)
    weight = model.model.layers[0].self_attn.q_proj.weight
    found = []
    for is_frozen in (False, True):
        model.lm_head.requires_grad_(not is_frozen)
        model.zero_grad()
        assert (frozenhead.frozen_head(model, batch_inputs(batch)) is not None) == is_frozen
        loss, *_ = labelled_loss(model, batch)
        (loss / 3).backward()
        with torch.no_grad():
            _, correct, count = labelled_loss(model, batch)
        found.append((loss.detach(), weight.grad.clone(), int(correct), count))
    torch.testing.assert_close(found[1][:2], found[0][:2], atol=1e-5, rtol=1e-4)
    assert found[1][2:] == found[0][2:]


@pytest.mark.parametrize("name", ["gemma2", "granite", "cohere"])
def test_a_model_that_changes_its_logits_keeps_doing_so(name):
    """Capped, divided and multiplied behind the head."""
    from transformers import AutoConfig, AutoModelForCausalLM

    shape = {"hidden_size": 32, "intermediate_size": 64, "vocab_size": 100}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8}
    config = AutoConfig.for_model(name, **shape, **heads, num_hidden_layers=1, pad_token_id=0)
    config.final_logit_softcapping, config.logits_scaling, config.logit_scale = 0.2, 3.0, 0.5
    model = AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    batch = batch_of(ROWS)
    labels = batch["labels"][0, 1:]
    logits = full_logits(model, batch)[:-1]
    expected = functional.cross_entropy(logits, labels, ignore_index=IGNORED, reduction="sum")
    random_state = torch.get_rng_state()
    loss, *_ = labelled_loss(model, batch)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert torch.equal(torch.get_rng_state(), random_state)


def test_logits_are_made_a_chunk_at_a_time_and_never_all(model, monkeypatch):
    class MostRows(TorchDispatchMode):
        rows = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            shape = getattr(result, "shape", ())
            is_head = shape and result.data_ptr() == model.lm_head.weight.data_ptr()
            if shape[-1:] == (model.config.vocab_size,) and not is_head:
                self.rows = max(self.rows, shape.numel() // shape[-1])
            return result

    monkeypatch.setattr(frozenhead, "CHUNK_POSITIONS", 16)
    model.lm_head.requires_grad_(False)
    with MostRows() as most:
        labelled_loss(model, batch_of(ROWS))[0].backward()
    assert most.rows == 16 < sum(row.num_labels for row in ROWS)
