"""Memory that runs out while a run trains: the same steps, in smaller parts, or a way out."""

from __future__ import annotations

import json
import shutil
from contextlib import contextmanager
from io import StringIO

import pytest
import torch
from rich.console import Console
from run_reading import cut_back, of_kind, sha256
from safetensors.torch import load_file
from torch.nn.modules.module import register_module_forward_hook
from transformers import AutoModelForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from ethtune.core.errors import MachineError
from ethtune.core.eventlog import EventReader
from ethtune.core.runstate import fold_all
from ethtune.model import saving
from ethtune.ui.summary import summary

PLAIN = {
    "training.max_steps": 6,
    "lora.dropout": 0.0,
    "quantization.load_in_4bit": False,
    "optimization.bf16": False,
    "optimization.optim": "adamw_torch",
    "logging.eval_strategy": "no",
}
SHORT = {"training.max_steps": 2}
VALIDATED = {
    "logging.eval_strategy": "steps",
    "logging.eval_steps": 3,
    "logging.metric_for_best_model": "exact_match",
    "logging.num_generated_samples": 4,
}
PROBE_TOKENS = 8  # a head is tried on as many
REFUSAL = "CUDA out of memory. Tried to allocate 2.00 GiB."


class Card:
    """Refuses memory in real forward and backward passes, of any model, while it is ``in_place``.

    ``refuses(phase, size)`` is asked at each: "forward" or "backward" of training, "validation" or
    "answers". The size is in tokens, of answers in prompts; activations that are computed again
    backward take a quarter.
    """

    def __init__(self, refuses):
        self._refuses = refuses

    def _meet(self, phase, size):
        if self._refuses(phase, size):
            raise torch.OutOfMemoryError(REFUSAL)

    def _after(self, module, _given, named, hidden):
        if not isinstance(module, LlamaDecoderLayer) or module.self_attn.layer_idx == 0:
            return
        rows, tokens, _ = hidden.shape
        if torch.is_grad_enabled():
            size = tokens // 4 if module.gradient_checkpointing else tokens
            self._meet("forward", size)
            hidden.register_hook(lambda _: self._meet("backward", size))
        elif named.get("past_key_values") is not None:
            self._meet("answers", rows)
        elif tokens > PROBE_TOKENS:
            self._meet("validation", tokens)

    @contextmanager
    def in_place(self):
        handle = register_module_forward_hook(self._after, with_kwargs=True)
        try:
            yield self
        finally:
            handle.remove()


def on_call(number, phase):
    """Refuses the pass of that number among those of its phase."""
    numbers = iter(range(1, 10_000))
    return lambda now, _size: now == phase and next(numbers) == number


def trained_tensors(run):
    return load_file(run / "adapter_model.safetensors")


def adjustments(run):
    return [
        (event.step, event.action, event.setting or event.amount)
        for event in of_kind(run, "memory_adjusted")
    ]


@pytest.fixture(scope="module")
def train_on(train_here, tmp_path_factory):
    """``train_on(refuses, settings)``: the folder of a run on a card that refuses that."""

    def run_it(refuses, settings=()):
        run = tmp_path_factory.mktemp("card") / "run"
        with Card(refuses).in_place():
            train_here(run, PLAIN | dict(settings))
        return run

    return run_it


@pytest.fixture(scope="module")
def roomy(train_on):
    """The run that had all the memory it wanted. Look, do not touch."""
    return train_on(lambda _phase, _size: False, VALIDATED)


@pytest.fixture(scope="module")
def split_in_step_3(train_on):
    """The run that memory ran out in on the way back through its fifth micro batch."""
    return train_on(on_call(1 + 5, "backward"))  # the first is the rehearsal's


def test_a_step_in_parts_is_the_step(roomy, split_in_step_3):
    assert adjustments(split_in_step_3) == [(3, "split", 2)]
    expected, found = of_kind(roomy, "step"), of_kind(split_in_step_3, "step")
    assert [event.step for event in found] == [1, 2, 3, 4, 5, 6]
    assert [event.learning_rate for event in found] == [event.learning_rate for event in expected]
    assert [event.loss for event in found[:2]] == [event.loss for event in expected[:2]]
    for one, other in zip(expected, found, strict=True):
        assert other.loss == pytest.approx(one.loss, rel=1e-5)
        assert other.grad_norm == pytest.approx(one.grad_norm, rel=1e-3)
        # each part is rounded up to 32 tokens; nothing is counted twice
        assert one.num_tokens <= other.num_tokens <= one.num_tokens + 4 * 32
    trained = trained_tensors(split_in_step_3)
    for name, tensor in trained_tensors(roomy).items():
        assert torch.allclose(trained[name], tensor, atol=1e-4), name


def test_resumed_it_goes_on_in_as_many_parts(split_in_step_3, resume_here, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(split_in_step_3, run)
    cut_back(run, 4)
    report = resume_here(run)
    assert report.state.started.first_step == 4
    assert sha256(run) == sha256(split_in_step_3)
    (kept,) = report.state.adjustments_in_force
    assert (kept.step, kept.amount) == (3, 2)


DROPOUT = SHORT | {"lora.dropout": 0.1, "quantization.load_in_4bit": True}

DROPOUT |= {"optimization.bf16": "auto", "optimization.optim": "paged_adamw_32bit"}


@pytest.fixture(scope="module")
def split_from_the_start(train_on):
    """The run whose rehearsal did not fit."""
    run = train_on(on_call(1, "forward"), DROPOUT)
    assert adjustments(run) == [(1, "split", 2)]
    return run


@pytest.mark.parametrize(("number", "phase"), [(2, "backward"), (3, "forward")])
def test_a_step_begun_anew_draws_the_same_numbers(split_from_the_start, train_on, number, phase):
    """In the first micro batch of the first step, and in its second one."""
    run = train_on(on_call(number, phase), DROPOUT)
    assert adjustments(run) == [(1, "split", 2)]
    assert sha256(run) == sha256(split_from_the_start)
    expected = [event.loss for event in of_kind(split_from_the_start, "step")]
    assert [event.loss for event in of_kind(run, "step")] == expected


def holds(num_tokens):
    """A card with room for the activations of so many tokens."""
    return lambda phase, size: phase in ("forward", "backward") and size > num_tokens


WASTEFUL = SHORT | {"optimization.gradient_checkpointing": False}


def test_it_ends_where_a_run_that_was_told_to_save_memory_begins(train_on):
    """Rows of 300 tokens and more do not fit, until what they activate is computed again."""
    climbed = train_on(holds(200), WASTEFUL)
    found = adjustments(climbed)
    *splits, (_, action, setting) = found
    assert [(step, what, parts) for step, what, parts in splits] == [
        (1, "split", 2**number) for number in range(1, len(splits) + 1)
    ]
    assert (action, setting) == ("switch", "optimization.gradient_checkpointing=true")
    refusals = iter([True] * len(splits))
    told = train_on(lambda phase, _size: phase == "forward" and next(refusals, False), SHORT)
    assert adjustments(told) == splits
    assert sha256(climbed) == sha256(told)


@pytest.fixture
def heard():
    """Events of a run that leaves no folder."""
    return []


def test_where_nothing_helps_it_says_what_would(train_here, heard, tmp_path):
    run = tmp_path / "run"
    with Card(holds(20)).in_place(), pytest.raises(MachineError) as caught:
        train_here(run, PLAIN | WASTEFUL, events=heard.append)
    assert "ran out of memory at step 1: row 0x" in caught.value.message
    assert f"tokens: {REFUSAL}" in caught.value.message
    for setting in ("quantization.load_in_4bit=true", "data.max_seq_length=", "paged_adamw_8bit"):
        assert f"--set {setting}" in caught.value.hint or setting in caught.value.hint
    assert [event.action for event in heard if event.kind == "memory_adjusted"][-1] == "switch"
    assert not any(event.kind == "step" for event in heard)
    assert not run.exists()


def test_validation_in_parts_gives_the_same_numbers(roomy, train_on):
    def refuses(phase, size):
        return (phase == "validation" and size > 1000) or (phase == "answers" and size > 1)

    run = train_on(refuses, VALIDATED)
    assert adjustments(run) == [
        (3, "split_validation", 2),
        (3, "answer_fewer", 4),
        (3, "answer_fewer", 2),
        (3, "answer_fewer", 1),
    ]
    for one, other in zip(of_kind(roomy, "evaluated"), of_kind(run, "evaluated"), strict=True):
        assert other.eval_loss == pytest.approx(one.eval_loss, rel=1e-6)
        assert other.eval_token_accuracy == one.eval_token_accuracy
        assert (other.exact_match, other.action_accuracy) == (
            one.exact_match,
            one.action_accuracy,
        )
    assert sha256(run) == sha256(roomy)


def test_a_save_is_tried_twice_and_then_left_out(roomy, train_on, monkeypatch):
    """Twice in the second save, once in the third."""
    calls = iter([None, REFUSAL, REFUSAL, REFUSAL])
    write = saving.save_tree

    def scarce(tree, path):
        write(tree, path)
        if text := next(calls, None):
            raise torch.OutOfMemoryError(text)

    monkeypatch.setattr(saving, "save_tree", scarce)
    run = train_on(lambda *_: False)
    assert [event.step for event in of_kind(run, "checkpoint_saved")] == [2, 6]
    (told,) = [event.text for event in of_kind(run, "message") if event.level == "error"]
    assert f"checkpoint 4 could not be saved: memory ran out: {REFUSAL}" in told
    assert sha256(run) == sha256(roomy)


@pytest.mark.parametrize(
    "refusal",
    [torch.OutOfMemoryError(REFUSAL), RuntimeError("[enforce fail] DefaultCPUAllocator: 1 byte")],
)
def test_a_model_that_does_not_fit_leaves_no_run(train_here, monkeypatch, tmp_path, refusal):
    def refuse(*_, **__):
        raise refusal

    monkeypatch.setattr(AutoModelForCausalLM, "from_pretrained", refuse)
    with pytest.raises(MachineError, match=r"does not fit|ran out of memory") as caught:
        train_here(tmp_path / "run", PLAIN)
    assert "ethtune estimate" in caught.value.hint
    assert not (tmp_path / "run").exists()


def test_it_is_told_wherever_the_run_is_shown(split_in_step_3, ethtune):
    told = "from step 3 on each micro batch runs in up to 2 parts"
    assert told in (split_in_step_3 / "training_logs.txt").read_text()
    state = fold_all(EventReader(split_in_step_3 / "events.jsonl").poll())
    assert any(told in message.text for message in state.messages)
    shown = Console(width=100, file=StringIO())
    shown.print(summary(state, split_in_step_3))
    assert "each micro batch runs in up to 2 parts  from step 3 on" in shown.file.getvalue()
    look = ethtune("monitor", split_in_step_3, "--once", "--json")
    (adjusted,) = json.loads(look.stdout)["memory_adjustments"]
    assert (adjusted["step"], adjusted["amount"]) == (3, 2)
