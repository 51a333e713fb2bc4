"""Which weights a run ends with: early stopping, the best by loss or by answers, and when lost."""

from __future__ import annotations

import json
import shutil

import pytest
from run_reading import cut_back, of_kind, sha256

from ethtune.core.errors import RunError

WORSE = {  # at this rate a run gets worse after its first steps
    "training.learning_rate": 3,
    "training.warmup_ratio": 0,
    "training.lr_scheduler_type": "constant",
    "training.max_steps": 8,
    "logging.load_best_model_at_end": True,
    "logging.eval_steps": 1,
    "logging.save_steps": 1,
    "logging.save_total_limit": 2,
}


@pytest.fixture(scope="module")
def stopped_early(train_here, tmp_path_factory):
    run = tmp_path_factory.mktemp("early") / "run"
    report = train_here(run, WORSE | {"logging.early_stopping_patience": 2})
    return run, report


def test_it_ends_when_nothing_is_gained(stopped_early):
    run, report = stopped_early
    losses = {event.step: event.eval_loss for event in of_kind(run, "evaluated")}
    best = min(losses, key=losses.get)
    assert list(losses) == list(range(1, best + 3))
    assert max(losses) < 8
    assert report.best_step == best
    assert any("stopped early" in event.text for event in of_kind(run, "message"))
    saved = [item.name for item in run.glob("checkpoint-*")]
    assert f"checkpoint-{best}" in saved, "the best outlives rotation"


def test_its_memory_is_in_the_checkpoint(stopped_early, resume_here, tmp_path):
    """Killed one validation before its end, it ends where it would have."""
    run, report = stopped_early
    again = tmp_path / "run"
    shutil.copytree(run, again)
    cut_back(again, report.state.step - 1)
    after = resume_here(again)
    assert (after.state.step, after.best_step) == (report.state.step, report.best_step)
    assert sha256(again) == sha256(run)


def test_a_run_that_ended_early_has_nothing_left_unless_asked(stopped_early, resume_here, tmp_path):
    run, _ = stopped_early
    with pytest.raises(RunError, match="nothing is left to do"):
        resume_here(run)
    again = tmp_path / "run"
    shutil.copytree(run, again)
    after = resume_here(again, {"logging.early_stopping_patience": 100})
    assert after.state.step == 8


def test_the_best_that_was_lost_gives_way_to_the_best_that_is_there(
    train_here, resume_here, tmp_path
):
    run = tmp_path / "run"
    report = train_here(run, WORSE | {"logging.save_total_limit": 9})
    cut_back(run, 7)
    weights = run / f"checkpoint-{report.best_step}" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    losses = {e.step: e.eval_loss for e in of_kind(run, "evaluated") if e.step != report.best_step}
    after = resume_here(run)
    assert after.best_step in (min(losses, key=losses.get), None)
    texts = [event.text for event in of_kind(run, "message")]
    assert any(f"the best step {report.best_step} has no checkpoint" in text for text in texts)


def test_the_best_by_answers(train_here, straight_run, resume_here, tmp_path):
    """Two layers answer nothing right: the earliest validation stays the best."""
    run = tmp_path / "run"
    settings = {
        "logging.metric_for_best_model": "exact_match",
        "logging.num_generated_samples": 2,
        "logging.eval_steps": 4,
        "logging.save_steps": 2,
        "logging.load_best_model_at_end": True,
        "logging.save_total_limit": 9,
    }
    report = train_here(run, settings)
    shares = [(e.step, e.exact_match, e.action_accuracy) for e in of_kind(run, "evaluated")]
    assert shares == [(4, 0.0, 0.0), (8, 0.0, 0.0)]
    assert report.best_step == 4
    assert "Exact match: 0" in (run / "training_logs.txt").read_text()
    losses = {e.step: e.loss for e in of_kind(run, "step")}
    assert losses == {e.step: e.loss for e in of_kind(straight_run, "step")}, "it draws nothing"
    again = tmp_path / "again"
    shutil.copytree(run, again)
    cut_back(again, 6)
    resume_here(again)
    assert sha256(again) == sha256(run)


def test_the_list_says_what_each_checkpoint_is(ethtune, straight_run, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(straight_run, run)
    (run / "checkpoint-6" / "training_state.safetensors").unlink()
    (run / "checkpoint-4.damaged").mkdir()
    before = sorted(run.rglob("*"))
    result = ethtune("resume", run, "--list", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    losses = {event.step: event.eval_loss for event in of_kind(straight_run, "evaluated")}
    whole = {step: loss for step, loss in losses.items() if step != 6}
    rows = {row["step"]: row for row in report["checkpoints"]}
    assert list(rows) == [8, 6, 4, 2]
    assert [step for step, row in rows.items() if not row["verified"]] == [6]
    assert rows[6]["reason"] == "training_state.safetensors is missing"
    assert [step for step, row in rows.items() if row["best"]] == [min(whole, key=whole.get)]
    assert rows[8]["metric"] == losses[8]
    assert rows[8]["size_bytes"] > 10_000
    assert rows[8]["saved"].startswith("20")
    assert report["strays"] == ["checkpoint-4.damaged"]
    table = ethtune("resume", run, "--list")
    assert "no: training_state.safetensors is missing" in table.stdout
    assert "checkpoint-4.damaged is no checkpoint" in table.stderr
    assert sorted(run.rglob("*")) == before
