"""The trainer between its parts: what it leaves alone, and what it ends."""

from __future__ import annotations

import pytest
import torch
from bitsandbytes.nn import Linear4bit
from transformers import TrainerCallback

from ethtune.core.config import Config
from ethtune.core.errors import DivergedError, MachineError
from ethtune.core.events import CheckpointSaved, Evaluated, Message, StepLogged
from ethtune.core.runfolder import RunFolder
from ethtune.core.signals import StopSignals
from ethtune.core.tokens import TokenRow
from ethtune.model import saving
from ethtune.model import trainer as module
from ethtune.model.basemodels import BaseModel
from ethtune.model.batches import to_dataset
from ethtune.model.checkpoints import find_checkpoints
from ethtune.model.context import RunContext
from ethtune.model.device import choose_device
from ethtune.model.frugal import largest
from ethtune.model.load import add_adapter, load_base
from ethtune.model.loss import labelled_loss
from ethtune.model.trainer import QLoraTrainer
from ethtune.model.validation import evaluation_mode

ROWS = [
    TokenRow(f"row {n}", (1, *range(20 + n, 40 + n), *range(100, 110), 2), 21, 2) for n in range(12)
]


@pytest.fixture
def make_trainer(tiny_model, make_tokenizer, tmp_path):
    """``make_trainer(**training)``: a trainer of 4 steps, a checkpoint each; and its events."""

    def make(**training):
        chosen = {"max_steps": 4, "gradient_accumulation_steps": 2, "learning_rate": 1e-2}
        config = Config.model_validate(
            {
                "training": chosen | training,
                "logging": {"logging_steps": 1, "save_steps": 1, "eval_strategy": "no"},
            }
        )
        run = RunFolder(tmp_path / f"run {len(list(tmp_path.iterdir()))}")
        run.path.mkdir()
        device, events = choose_device(config), []
        model = load_base(BaseModel("tiny", str(tiny_model), "local folder"), config, device)
        trainer = QLoraTrainer(
            context=RunContext(run, config, events.append, StopSignals(lambda: None), str),
            device=device,
            datasets=(to_dataset([[row] for row in ROWS]), to_dataset([ROWS[:3], ROWS[3:5]])),
            model=add_adapter(model, config.lora, seed=1),
            processing_class=make_tokenizer(),
        )
        return trainer, run, events

    return make


def of(kind, events):
    return [event for event in events if isinstance(event, kind)]


def base_bytes(trainer):
    return {
        name: item.weight.data.clone()
        for name, item in trainer.model.named_modules()
        if isinstance(item, Linear4bit)
    }


def test_adapters_train_in_float32_on_a_base_twice_quantised(make_trainer):
    trainer, *_ = make_trainer()
    trained = [value for value in trainer.model.parameters() if value.requires_grad]
    assert {value.dtype for value in trained} == {torch.float32}
    states = [
        item.weight.quant_state for item in trainer.model.modules() if isinstance(item, Linear4bit)
    ]
    assert states
    assert {(state.quant_type, state.nested) for state in states} == {("nf4", True)}


def test_validation_counts_every_token_once(make_trainer):
    trainer, _, events = make_trainer()
    metrics = trainer.evaluate()
    batches = list(trainer.get_eval_dataloader())
    with torch.no_grad(), evaluation_mode(trainer.model):
        parts = [labelled_loss(trainer.model, batch) for batch in batches]
    num_labels = sum(count for *_, count in parts)
    assert num_labels == 5 * 11
    assert metrics["eval_loss"] == pytest.approx(
        sum(float(loss) for loss, *_ in parts) / num_labels, rel=1e-4
    )
    (told,) = of(Evaluated, events)
    assert (told.eval_loss, told.step) == (metrics["eval_loss"], 0)


def test_validation_leaves_base_weights_and_modes_as_they_were(make_trainer):
    trainer, *_ = make_trainer()
    trainer.train()
    before, storages = base_bytes(trainer), {
        name: item.weight.data_ptr()
        for name, item in trainer.model.named_modules()
        if isinstance(item, Linear4bit)
    }  # fmt: skip
    trainer.evaluate()
    assert trainer.model.training
    after = base_bytes(trainer)
    assert all(torch.equal(before[name], after[name]) for name in before)
    for name, item in trainer.model.named_modules():
        if isinstance(item, Linear4bit):
            assert item.weight.data_ptr() == storages[name]
            assert item.weight.quant_state.nested


def test_dropout_is_off_in_validation(make_trainer):
    trainer, *_ = make_trainer()
    trainer.train()
    assert trainer.evaluate() == trainer.evaluate()


def test_validation_draws_no_random_numbers(make_trainer):
    trainer, *_ = make_trainer()
    before = torch.random.get_rng_state()
    trainer.evaluate()
    assert torch.equal(torch.random.get_rng_state(), before)


def test_the_loss_of_a_step_is_the_mean_over_its_labels(make_trainer):
    """However the labels fall into micro batches."""
    trainer, *_ = make_trainer()
    long = TokenRow("long", (1, 30, *range(60, 160), 2), 2, 2)
    rows = [ROWS[0], long]
    batches = [trainer.data_collator(list(to_dataset([[row]]))) for row in rows]
    total = sum(row.num_labels for row in rows)
    with evaluation_mode(trainer.model), torch.no_grad():
        losses = [trainer.compute_loss(trainer.model, b, num_items_in_batch=total) for b in batches]
        parts = [labelled_loss(trainer.model, batch) for batch in batches]
    step = sum(map(float, losses))
    assert step == pytest.approx(sum(float(loss) for loss, *_ in parts) / total, rel=1e-5)


def test_steps_are_told_with_tokens_and_time(make_trainer):
    trainer, _, events = make_trainer()
    trainer.begin()
    trainer.train()
    logged = of(StepLogged, events)
    assert [event.step for event in logged] == [1, 2, 3, 4]
    assert {event.num_tokens for event in logged} == {2 * 32}
    assert {event.num_steps for event in logged} == {1}
    assert all(0 <= event.data_wait_seconds <= event.seconds for event in logged)
    assert logged[-1].loss < logged[0].loss


def nan_loss(model, inputs):
    total, correct, count = labelled_loss(model, inputs)
    return total * float("nan"), correct, count


def nan_gradient(model, inputs):
    total, correct, count = labelled_loss(model, inputs)
    return total + (total - total).sqrt(), correct, count


@pytest.mark.parametrize(
    ("broken", "message"),
    [(nan_loss, "step 3: the loss is nan"), (nan_gradient, "step 3: the gradient's norm is nan")],
)
def test_what_is_no_number_ends_the_run_before_the_optimizer_sees_it(
    make_trainer, monkeypatch, broken, message
):
    trainer, run, _ = make_trainer()
    calls = iter([labelled_loss] * 4 + [broken] * 99)  # two micro batches a step

    def fails_later(model, inputs):
        return next(calls)(model, inputs)

    monkeypatch.setattr(module, "labelled_loss", fails_later)
    with pytest.raises(DivergedError, match=message) as caught:
        trainer.train()
    rows = {row.id for row in ROWS}
    named = caught.value.message.partition("Rows of the batch: ")[2].split(", ")
    assert set(named) < rows
    assert (caught.value.last_step, caught.value.good_step) == (3, 2)
    trained = [value for value in trainer.model.parameters() if value.requires_grad]
    assert all(bool(torch.isfinite(value).all()) for value in trained)
    assert [(item.step, item.problem) for item in find_checkpoints(run)] == [(2, None), (1, None)]


class Beginning(TrainerCallback):
    """Does it where a run plans its steps."""

    def __init__(self, act):
        self._act = act

    def on_train_begin(self, *_, **__):
        self._act()


def test_a_rehearsal_leaves_nothing_behind(make_trainer):
    """Dropout on: the numbers that are drawn, the adapter and the counts are those without."""
    ends = []
    for is_rehearsed in (False, True):
        trainer, _, events = make_trainer()
        packs, before = [[row] for row in ROWS], []

        def rehearse(trainer=trainer, packs=packs, before=before):
            before.append(len(trainer.guard._batches))
            trainer.rehearse(packs)
            assert all(value.grad is None for value in trainer.model.parameters())

        if is_rehearsed:
            trainer.add_callback(Beginning(rehearse))
        torch.manual_seed(7)
        trainer.train()
        logged = [
            (event.loss, event.grad_norm, event.num_tokens) for event in of(StepLogged, events)
        ]
        trained = [value.detach() for value in trainer.model.parameters() if value.requires_grad]
        ends.append((logged, torch.random.get_rng_state(), trained, before))
    assert ends[1][3] == [0]
    assert ends[0][0] == ends[1][0]
    assert torch.equal(ends[0][1], ends[1][1])
    assert all(map(torch.equal, ends[0][2], ends[1][2]))


def test_the_rehearsal_is_of_the_largest_rows():
    rows = [
        ROWS[0],
        TokenRow("long", (*range(30, 80), 2), 40, 2),
        TokenRow("more", (*range(30, 80), 2), 9, 2),
    ]
    assert largest([[row] for row in rows], 1) == [[rows[2]]]
    assert largest([[row] for row in rows], 2) == [[rows[2]], [rows[1]]]
    assert largest([rows[:1]], 4) == [rows[:1]]


def test_processes_that_wait_for_each_other_are_told_what_to_set(make_trainer, monkeypatch):
    """One that ran its micro batch in parts would leave the others behind."""
    trainer, _, events = make_trainer()

    def full(model, inputs):
        labelled_loss(model, inputs)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(module, "labelled_loss", full)
    monkeypatch.setattr(type(trainer.accelerator), "num_processes", 2)
    trainer.rehearse([ROWS[:2]])  # alone; here it does nothing
    trainer._tr_loss = torch.tensor(0.0)
    batch = trainer.data_collator(list(to_dataset([ROWS[:2]])))
    with pytest.raises(MachineError, match="at step 1: 64 tokens in one micro batch: CUDA") as told:
        trainer.training_step(trainer.model, batch, torch.tensor(22))
    assert "data.max_seq_length" in told.value.hint
    assert events == []


def test_a_disk_that_refuses_costs_a_checkpoint_not_the_run(make_trainer, monkeypatch):
    trainer, run, events = make_trainer()
    commit = saving.commit

    def refuse_second(staging, final, **label):
        if final.name == "checkpoint-2":
            raise OSError(28, "No space left on device")
        return commit(staging, final, **label)

    monkeypatch.setattr(saving, "commit", refuse_second)
    trainer.train()
    assert trainer.state.global_step == 4
    assert [event.step for event in of(CheckpointSaved, events)] == [1, 3, 4]
    (told,) = of(Message, events)
    assert told.level == "error"
    assert "checkpoint 2 could not be saved: No space left on device" in told.text
    assert not (run.path / ".staging").exists()


def test_a_checkpoint_holds_no_pickle_of_arguments_and_no_foreign_card(make_trainer):
    trainer, run, _ = make_trainer()
    trainer.train()
    names = {item.name for item in run.path.rglob("*")}
    assert "training_args.bin" not in names
    assert "README.md" not in names
    assert {"adapter_model.safetensors", "training_state.safetensors"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pth", ".pkl"))]
