"""What the keys of ``training``, ``data`` and ``logging`` make of a run."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from run_reading import cut_back, of_kind, sha256
from transformers import TrainerCallback

from ethtune.core.errors import ConfigError
from ethtune.model.trainer import QLoraTrainer

FEW = {
    "data.max_train_samples": 6,
    "data.max_eval_samples": 2,
    "training.warmup_ratio": 0,
    "logging.eval_strategy": "no",
    "logging.save_strategy": "no",
}
PLAIN = FEW | {"quantization.load_in_4bit": False, "data.packing": False}


class _Caught(Exception):
    """Carries a trainer out of a run that is about to train."""


@pytest.fixture
def ready(train_here, tmp_path, monkeypatch):
    """``ready(settings)``: the trainer of a run, with everything in place for its first step."""

    def stop(trainer, **_):
        raise _Caught(trainer)

    def prepare(settings):
        run = tmp_path / f"run{len(list(tmp_path.iterdir()))}"
        with monkeypatch.context() as patch:
            patch.setattr(QLoraTrainer, "train", stop)
            with pytest.raises(_Caught) as caught:
                train_here(run, PLAIN | settings)
        return caught.value.args[0]

    return prepare


# -- lora ----------------------------------------------------------------------------------------


def test_the_task_stands_in_the_adapters_own_config(straight_run):
    assert '"task_type": "CAUSAL_LM"' in (straight_run / "adapter_config.json").read_text()


def groups_of(trainer):
    """Name of each trained tensor to the rate and the decay that it has."""
    names = {id(item): name for name, item in trainer.model.named_parameters()}
    return {
        names[id(item)]: (group["lr"], group["weight_decay"])
        for group in trainer.create_optimizer().param_groups
        for item in group["params"]
    }


@pytest.mark.parametrize("optim", ["adamw_torch", "paged_adamw_8bit"])
def test_with_loraplus_b_learns_faster(ready, optim):
    settings = {"training.learning_rate": 1e-3, "training.weight_decay": 0.1}
    settings |= {"lora.loraplus_lr_ratio": 16, "optimization.optim": optim}
    trainer = ready(settings)
    for name, found in groups_of(trainer).items():
        assert found == pytest.approx((16e-3 if "lora_B" in name else 1e-3, 0.1)), name
    assert getattr(trainer.optimizer, "is_paged", False) == optim.startswith("paged")


# -- training ------------------------------------------------------------------------------------


def test_weight_decay_is_that_of_the_matrices(ready):
    for decay in (0.0, 0.3):
        found = groups_of(ready({"training.weight_decay": decay, "training.learning_rate": 1e-3}))
        assert found
        assert set(found.values()) == {(1e-3, decay)}


@pytest.mark.parametrize(
    ("epochs", "batch", "accumulation", "steps"), [(1, 1, 2, 3), (2, 2, 1, 6), (0.5, 1, 1, 3)]
)
def test_epochs_batches_and_steps_are_as_planned(
    train_here, tmp_path, epochs, batch, accumulation, steps
):
    settings = {
        "training.num_train_epochs": epochs,
        "training.per_device_train_batch_size": batch,
        "training.gradient_accumulation_steps": accumulation,
        "training.max_steps": -1,
    }
    report = train_here(tmp_path / "run", PLAIN | settings)
    (plan,) = of_kind(tmp_path / "run", "training_planned")
    assert (report.state.step, plan.total_steps) == (steps, steps)
    assert plan.effective_batch_size == batch * accumulation


def test_batches_are_of_the_size_that_is_said(ready):
    sizes = {"training.per_device_train_batch_size": 2, "training.per_device_eval_batch_size": 1}
    workers = {"data.dataloader_num_workers": 1, "logging.eval_strategy": "steps"}
    trainer = ready(sizes | workers)
    loaders = trainer.get_train_dataloader(), trainer.get_eval_dataloader()
    assert [len(loader) for loader in loaders] == [3, 2]
    assert {loader.num_workers for loader in loaders} == {1}
    assert ready({}).get_train_dataloader().num_workers == 0


def test_the_rates_of_a_run_are_the_schedules(train_here, tmp_path):
    settings = {"training.lr_scheduler_type": "linear", "training.warmup_steps": 2}
    settings |= {"training.max_steps": 6, "training.learning_rate": 8e-3}
    train_here(tmp_path / "run", PLAIN | settings)
    rates = [event.learning_rate for event in of_kind(tmp_path / "run", "step")]
    assert rates == pytest.approx([0, 4e-3, 8e-3, 6e-3, 4e-3, 2e-3])


class _Watch(TrainerCallback):
    """Norms of gradients that the optimizer is given, calls of a layer that are learned from."""

    def __init__(self, model):
        self.norms, self.calls = [], 0
        model.get_submodule("base_model.model.model.layers.0.mlp.up_proj").register_forward_hook(
            self.count
        )

    def count(self, *_):
        self.calls += torch.is_grad_enabled()

    def on_step_begin(self, *_, **__):
        self.calls = 0  # a rehearsal came before

    def on_pre_optimizer_step(self, *_, model, **__):
        grads = [item.grad for item in model.parameters() if item.grad is not None]
        self.norms.append(float(torch.nn.utils.get_total_norm(grads)))


@pytest.fixture
def watched(ready):
    """``watched(settings)``: a first step of one micro batch, as it was seen."""

    def run(settings):
        one = {"training.max_steps": 1, "training.gradient_accumulation_steps": 1}
        trainer = ready(one | settings)
        watch = _Watch(trainer.model)
        trainer.add_callback(watch)
        trainer.train()
        return watch

    return run


def test_gradients_are_clipped_to_the_norm(watched):
    (free,) = watched({"training.max_grad_norm": 0}).norms
    assert free > 0
    (clipped,) = watched({"training.max_grad_norm": free / 4}).norms
    assert clipped == pytest.approx(free / 4, rel=1e-3)


def test_checkpointing_computes_every_layer_twice(watched):
    assert watched({"optimization.gradient_checkpointing": False}).calls == 1
    assert watched({"optimization.gradient_checkpointing": True}).calls == 2


def test_noise_on_the_embeddings_comes_and_goes_with_training(ready):
    for alpha, is_noisy in ((None, False), (50, True)):
        trainer = ready({"lora.dropout": 0, "training.neftune_noise_alpha": alpha})
        (batch, *_) = trainer.get_train_dataloader()
        for mode, differs in (("train", is_noisy), ("eval", False)):
            getattr(trainer.model, mode)()
            losses = {trainer.compute_loss(trainer.model, batch).item() for _ in range(2)}
            assert (len(losses) == 2) == differs


def test_the_seed_orders_the_rows_and_makes_the_adapter(ready):
    def beginning(seed):
        trainer = ready({"training.seed": seed})
        order = [row for batch in trainer.get_train_dataloader() for row in batch["ids"]]
        weights = [p.sum().item() for p in trainer.model.parameters() if p.requires_grad]
        return order, weights

    first, same, other = beginning(1), beginning(1), beginning(2)
    assert first == same
    assert first[0] != other[0]
    assert sorted(first[0]) == sorted(other[0])
    assert first[1] != other[1]


# -- data ----------------------------------------------------------------------------------------


def test_packing_lays_several_rows_into_a_sequence(ready):
    alone, packed = ready({}).train_dataset, ready({"data.packing": True}).train_dataset
    assert len(alone) == 6 > len(packed)
    assert sorted(id for row in alone["ids"] for id in row) == sorted(
        id for row in packed["ids"] for id in row
    )


# -- logging -------------------------------------------------------------------------------------


def steps_of(run, kind):
    return [event.step for event in of_kind(run, kind)]


def test_logging_saving_and_validating_keep_their_steps(train_here, tmp_path):
    run = tmp_path / "run"
    cadence = {
        "training.max_steps": 9,
        "logging.logging_steps": 4,
        "logging.save_strategy": "steps",
        "logging.save_steps": 2,
        "logging.eval_strategy": "steps",
        "logging.eval_steps": 3,
        "logging.save_total_limit": 2,
    }
    train_here(run, PLAIN | cadence)
    assert steps_of(run, "step") == [1, 4, 8]
    assert steps_of(run, "evaluated") == [3, 6, 9]
    saved = steps_of(run, "checkpoint_saved")
    assert set(saved) >= {2, 4, 6, 8}
    left = {int(item.name.partition("-")[2]) for item in run.glob("checkpoint-*")}
    assert {saved[-1], saved[-2]} <= left
    assert len(left) <= 3, "the two newest, and the best"


def test_strategies_by_the_epoch_and_none(train_here, tmp_path):
    epochs = {"training.max_steps": -1, "training.num_train_epochs": 2}
    by_epoch = {"logging.save_strategy": "epoch", "logging.eval_strategy": "epoch"}
    train_here(tmp_path / "epoch", PLAIN | epochs | by_epoch)
    assert steps_of(tmp_path / "epoch", "evaluated") == [3, 6]
    assert steps_of(tmp_path / "epoch", "checkpoint_saved") == [3, 6]
    train_here(tmp_path / "none", PLAIN | {"training.max_steps": 1})
    assert steps_of(tmp_path / "none", "evaluated") == []
    assert not list((tmp_path / "none").glob("checkpoint-*"))


# -- together ------------------------------------------------------------------------------------

TOGETHER = FEW | {
    "training.max_steps": 4,
    "training.neftune_noise_alpha": 5,
    "training.lr_scheduler_type": "cosine_with_min_lr",
    "training.lr_scheduler_kwargs": {"min_lr_rate": 0.1},
    "training.weight_decay": 0.1,
    "lora.loraplus_lr_ratio": 8,
    "lora.use_dora": True,
    "lora.r": 64,  # smaller tensors keep their moments in 32 bit
    "optimization.optim": "paged_adamw_8bit",
    "logging.save_strategy": "steps",
    "logging.save_steps": 1,
}


def test_noise_groups_and_floors_are_resumed_exactly(train_here, resume_here, tmp_path):
    run = tmp_path / "run"
    train_here(run, TOGETHER)
    final = sha256(run)
    rates = [event.learning_rate for event in of_kind(run, "step")]
    assert all(before > after > 1e-3 for before, after in pairwise(rates))
    cut_back(run, 2)
    resume_here(run)
    assert sha256(run) == final


def test_a_schedule_that_is_longer_than_the_run_is_refused_before_the_weights(train_here, tmp_path):
    for settings in (
        {"training.warmup_steps": 9},
        {
            "training.lr_scheduler_type": "warmup_stable_decay",
            "training.lr_scheduler_kwargs": {"num_decay_steps": 9},
        },
    ):
        with pytest.raises(ConfigError, match="the whole run 8"):
            train_here(tmp_path / "run", PLAIN | settings)
        assert not (tmp_path / "run").exists()
