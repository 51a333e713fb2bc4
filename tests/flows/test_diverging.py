"""Numbers that are none, runs that learn nothing, and the way back from them."""

from __future__ import annotations

import pytest
import torch
from run_reading import cut_back, events_of, of_kind, sha256

from ethtune.core.errors import DivergedError
from ethtune.core.events import StepLogged
from ethtune.core.runfolder import RunFolder
from ethtune.model import trainer as module
from ethtune.model.checkpoints import find_checkpoints
from ethtune.model.loss import labelled_loss

EVERY_STEP = {
    "logging.save_steps": 1,
    "logging.eval_strategy": "no",
    "training.max_steps": 6,
    "data.packing": False,  # twelve steps an epoch: no row comes twice
}


@pytest.fixture
def poisoned(monkeypatch):
    """``poisoned(*rows)``: the loss of a batch that holds one of them is no number."""

    def poison(*rows):
        def loss(model, inputs):
            total, correct, count = labelled_loss(model, inputs)
            return total * (float("nan") if set(rows) & set(inputs["ids"]) else 1), correct, count

        monkeypatch.setattr(module, "labelled_loss", loss)

    return poison


@pytest.fixture
def rows_of_steps(monkeypatch):
    """The rows of each micro batch in order: the rehearsal's, then those of the steps."""
    seen = []

    def loss(model, inputs):
        seen.append(tuple(inputs["ids"]))
        return labelled_loss(model, inputs)

    monkeypatch.setattr(module, "labelled_loss", loss)
    return seen


@pytest.fixture
def bad_row(train_here, rows_of_steps, tmp_path):
    """A row that a run meets in its fourth step first."""
    train_here(tmp_path / "scout", EVERY_STEP)
    before = {row for batch in rows_of_steps[1:7] for row in batch}
    return next(row for batch in rows_of_steps[7:9] for row in batch if row not in before)


def test_it_stops_before_the_step_and_names_the_rows(train_here, bad_row, poisoned, tmp_path):
    poisoned(bad_row)
    run = tmp_path / "run"
    with pytest.raises(DivergedError, match="step 4: the loss is nan") as caught:
        train_here(run, EVERY_STEP)
    assert bad_row in caught.value.message
    assert f"ethtune resume {run} --from checkpoint-3" in caught.value.hint
    found = find_checkpoints(RunFolder(run))
    assert [(item.step, item.problem) for item in found] == [(3, None), (2, None), (1, None)]
    ended = events_of(run)[-1]
    assert (ended.ending, ended.exit_code, ended.step) == ("failed", 7, 3)


def test_rollback_skips_the_rows_and_halves_the_rate_once(
    train_here, resume_here, bad_row, poisoned, tmp_path
):
    settings = EVERY_STEP | {"training.on_divergence": "rollback", "training.warmup_ratio": 0}
    settings |= {"training.lr_scheduler_type": "constant", "logging.save_total_limit": 9}
    poisoned(bad_row)
    run = tmp_path / "run"
    report = train_here(run, settings)
    assert report.state.ending == "finished"
    assert [event.step for event in of_kind(run, "step")] == [1, 2, 3, 5, 6]
    rates = {event.step: event.learning_rate for event in of_kind(run, "step")}
    assert (rates[3], rates[5], rates[6]) == (0.01, 0.005, 0.005)
    texts = [event.text for event in of_kind(run, "message")]
    assert any("rolled back to step 3: steps 4 to 4 are left out" in text for text in texts)
    final = sha256(run)
    cut_back(run, 5)  # a run that went on after a rollback is resumed as exactly as any
    resume_here(run)
    assert sha256(run) == final
    cut_back(run, 3)  # killed before its first save: it comes to the same end again
    resume_here(run)
    assert sha256(run) == final


def test_a_second_divergence_ends_the_run(train_here, rows_of_steps, poisoned, tmp_path):
    train_here(tmp_path / "scout", EVERY_STEP)
    fourth, sixth = rows_of_steps[7][0], rows_of_steps[11][0]
    poisoned(fourth, sixth)
    with pytest.raises(DivergedError):
        train_here(tmp_path / "run", EVERY_STEP | {"training.on_divergence": "rollback"})
    texts = [event.text for event in of_kind(tmp_path / "run", "message")]
    assert sum("rolled back" in text for text in texts) <= 1


def test_without_a_checkpoint_there_is_no_way_back(train_here, poisoned, rows_of_steps, tmp_path):
    train_here(tmp_path / "scout", EVERY_STEP)
    poisoned(rows_of_steps[1][0])
    with pytest.raises(DivergedError) as caught:
        train_here(tmp_path / "run", EVERY_STEP | {"training.on_divergence": "rollback"})
    assert "train anew with a lower --learning-rate" in caught.value.hint


def test_a_run_that_learns_nothing_any_more_diverges(train_here, tmp_path):
    """Finite throughout: the first step at this rate leaves no gradient."""
    run = tmp_path / "run"
    settings = {
        "training.learning_rate": 1e30,
        "training.warmup_steps": 40,
        "training.max_steps": 60,
        "training.gradient_accumulation_steps": 1,
        "logging.eval_strategy": "no",
        "logging.save_steps": 4,
        "logging.save_total_limit": 2,
    }
    with pytest.raises(DivergedError, match="nothing is being learned") as caught:
        train_here(run, settings)
    assert caught.value.last_step < 30
    assert caught.value.good_step < 10


def test_the_newest_checkpoint_from_before_is_not_rotated_away(train_here, monkeypatch, tmp_path):
    calls = iter(range(1000))

    def lifted(model, inputs):
        total, correct, count = labelled_loss(model, inputs)
        return total + (20.0 * count if next(calls) > 10 else 0.0), correct, count

    monkeypatch.setattr(module, "labelled_loss", lifted)
    settings = {
        "training.max_steps": 60,
        "training.gradient_accumulation_steps": 1,
        "logging.eval_strategy": "no",
        "logging.save_steps": 4,
        "logging.save_total_limit": 2,
    }
    with pytest.raises(DivergedError, match="nothing is being learned") as caught:
        train_here(tmp_path / "run", settings)
    assert (caught.value.last_step, caught.value.good_step) == (30, 9)
    assert [item.step for item in find_checkpoints(RunFolder(tmp_path / "run"))] == [28, 24, 8]
    assert "--from checkpoint-8" in caught.value.hint


def test_numbers_that_are_none_are_not_committed(train_here, tmp_path):
    """Weights that broke behind the guard's back end the run at the next save."""
    run = tmp_path / "run"
    trainers = []
    real = module.QLoraTrainer.begin

    def begin(self):
        trainers.append(self)
        real(self)

    def spoil(event):
        if isinstance(event, StepLogged) and event.step == 4:
            parameter = next(p for p in trainers[0].model.parameters() if p.requires_grad)
            with torch.no_grad():
                parameter.view(-1)[0] = float("nan")

    module.QLoraTrainer.begin = begin
    try:
        with pytest.raises(DivergedError, match=r"adapter\..* holds numbers that are none"):
            train_here(run, {"logging.eval_strategy": "no"}, events=spoil)
    finally:
        module.QLoraTrainer.begin = real
    assert [item.step for item in find_checkpoints(RunFolder(run))] == [2]


def test_the_command_takes_the_policy(ethtune, train_words, tmp_path):
    words = train_words(tmp_path / "run", {"training.max_steps": 1, "logging.eval_strategy": "no"})
    result = ethtune(*words, "--on-divergence", "rollback")
    assert result.exit_code == 0, result.output
    assert "on_divergence: rollback" in (tmp_path / "run" / "config.yaml").read_text()
    assert ethtune(*words, "--on-divergence", "hope").exit_code == 2
