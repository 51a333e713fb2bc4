"""Real steps that an estimate learns from, and an estimate beside what a run then took."""

from __future__ import annotations

import json

from ethtune.services.calibration import read_records, store


def settings(model, limit):
    pairs = (f"model.base_model={model}", f"data.max_seq_length={limit}",
             "training.gradient_accumulation_steps=2", "logging.logging_steps=1")  # fmt: skip
    return [word for pair in pairs for word in ("--set", pair)]


def test_three_real_steps_narrow_the_estimate(ethtune, tiny_model, dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("ETHTUNE_CACHE", str(tmp_path / "cache"))
    wanted = ("estimate", "--json", "--dataset", dataset, *settings(tiny_model, "2048"))
    before = json.loads(ethtune(*wanted).stdout)
    assert before["calibration"] is None
    result = ethtune(*wanted, "--calibrate")
    assert result.exit_code == 0, result.output
    after = json.loads(result.stdout)
    assert "2 steps" in after["calibration"]
    (record,) = read_records(store())
    slow, fast = after["tokens_per_second"]
    assert slow < record.tokens_per_second * 1.3
    assert fast > record.tokens_per_second / 1.3
    low, high = after["process_bytes"]
    assert low < record.peak_bytes < high
    assert high / low < before["process_bytes"][1] / before["process_bytes"][0]


def test_a_run_is_remembered_and_says_what_was_predicted(
    ethtune, tiny_model, dataset, tmp_path, monkeypatch
):
    monkeypatch.setenv("ETHTUNE_CACHE", str(tmp_path / "cache"))
    command = ("train", "--json", "--dataset", dataset, "--output", tmp_path / "run",
               "--set", "training.max_steps=2", *settings(tiny_model, "2048"))  # fmt: skip
    result = ethtune(*command)
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert len(report["predicted_bytes"]) == len(report["predicted_step_seconds"]) == 2
    assert report["step_seconds"] > 0
    (record,) = read_records(store())
    assert record.config.model.base_model == str(tiny_model)
    assert record.peak_bytes == report["peak_process_bytes"]
