"""Trackers, each in its own package and offline: what a run left there, read back."""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from run_reading import of_kind, sha256

STEPS = 8
NOISE = (  # of the trackers' own imports and threads
    "ignore::DeprecationWarning",
    "ignore::FutureWarning",
    "ignore::UserWarning",
    "ignore::ResourceWarning",
    "ignore::pytest.PytestUnraisableExceptionWarning",
)
pytestmark = [pytest.mark.filterwarnings(words) for words in NOISE]


@pytest.fixture(scope="module")
def trackio_place(tmp_path_factory) -> Path:
    """One for all tests: trackio reads it when it is imported."""
    return tmp_path_factory.mktemp("trackio")


@pytest.fixture(autouse=True)
def _alone(monkeypatch, tmp_path, trackio_place) -> None:
    """No tracker's settings of the user's, and no way out of this machine."""
    for name in list(os.environ):
        if name.startswith(("WANDB_", "MLFLOW_", "TRACKIO_", "TENSORBOARD_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("TRACKIO_DIR", str(trackio_place))
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    monkeypatch.chdir(tmp_path)
    connect = socket.socket.connect

    def inward(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            raise AssertionError(f"a tracker wants to reach {address}")
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", inward)


def warnings_of(run: Path) -> list[str]:
    return [event.text for event in of_kind(run, "message") if event.level == "warning"]


def losses_of(run: Path) -> dict[int, float]:
    return {event.step: pytest.approx(event.loss, abs=1e-3) for event in of_kind(run, "step")}


def tensorboard_scalars(run: Path, tag: str) -> dict[int, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(run / "logs"))
    found.Reload()
    return {scalar.step: scalar.value for scalar in found.Scalars(tag)}


def mlflow_runs(run: Path) -> Iterator[tuple[str, dict[str, dict[int, float]]]]:
    """Status and metrics by step of every run in the run's store."""
    from mlflow.tracking import MlflowClient

    client = MlflowClient((run / "logs" / "mlruns").resolve().as_uri())
    experiment = client.get_experiment_by_name("ethtune")
    for found in client.search_runs([experiment.experiment_id]):
        names = found.data.metrics
        history = {n: client.get_metric_history(found.info.run_id, n) for n in names}
        yield (
            found.info.status,
            {n: {item.step: item.value for item in items} for n, items in history.items()},
        )


def test_tensorboard(train_here, straight_run, tmp_path):
    pytest.importorskip("tensorboard")
    first, second = tmp_path / "first", tmp_path / "second"
    for run in (first, second):
        train_here(run, {"logging.report_to": ["tensorboard"]})
        assert tensorboard_scalars(run, "train/loss") == losses_of(run)
        evaluated = {event.step: event.eval_loss for event in of_kind(run, "evaluated")}
        assert tensorboard_scalars(run, "eval/loss") == pytest.approx(evaluated, abs=1e-5)
        assert warnings_of(run) == []
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ
    assert sha256(first) == sha256(straight_run)


def test_tensorboard_where_the_user_says(train_here, monkeypatch, tmp_path):
    pytest.importorskip("tensorboard")
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", str(tmp_path / "board"))
    train_here(tmp_path / "run", {"logging.report_to": ["tensorboard"]})
    assert list((tmp_path / "board").glob("events.out.tfevents.*"))
    assert not (tmp_path / "run" / "logs").exists()
    assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(tmp_path / "board")


def test_mlflow(train_here, straight_run, tmp_path):
    pytest.importorskip("mlflow")
    run = tmp_path / "run"
    train_here(run, {"logging.report_to": ["mlflow"]})
    assert warnings_of(run) == []
    ((status, metrics),) = mlflow_runs(run)
    assert status == "FINISHED"
    assert metrics["loss"] == losses_of(run)
    assert set(metrics["eval_loss"]) == {2, 4, 6, 8}
    assert sha256(run) == sha256(straight_run)


def test_wandb_stays_offline_without_a_key(train_here, straight_run, tmp_path):
    pytest.importorskip("wandb")
    run = tmp_path / "run"
    train_here(run, {"logging.report_to": ["wandb"]})
    assert warnings_of(run) == []
    assert any("W&B has no key here" in event.text for event in of_kind(run, "message"))
    (folder,) = (run / "logs" / "wandb").glob("offline-run-*")
    (log,) = folder.glob("run-*.wandb")
    assert wandb_losses(log) == losses_of(run)
    assert sha256(run) == sha256(straight_run)


def wandb_losses(log: Path) -> dict[int, float]:
    """Loss by step of the file that ``wandb sync`` sends."""
    from wandb.proto.wandb_internal_pb2 import Record

    found = {}
    for data in wandb_records(log.read_bytes()):
        record = Record()
        record.ParseFromString(data)
        values = {
            "/".join(item.nested_key) or item.key: json.loads(item.value_json)
            for item in record.history.item
        }
        if "train/loss" in values:
            found[values["train/global_step"]] = values["train/loss"]
    return found


def wandb_records(log: bytes) -> Iterator[bytes]:
    """LevelDB's log format behind a header of 7 bytes: parts of records in blocks of 32 KiB."""
    whole, last, header, block = 1, 4, struct.Struct("<IHB"), 32_768
    at, record = 7, b""
    while at + header.size <= len(log):
        if block - at % block < header.size:
            at += block - at % block
            continue
        _, length, kind = header.unpack_from(log, at)
        at += header.size
        record += log[at : at + length]
        at += length
        if kind in (whole, last):
            yield record
            record = b""


def trackio_rows(found: Any) -> list[dict[str, Any]]:
    from trackio.sqlite_storage import SQLiteStorage

    rows = SQLiteStorage.get_logs("ethtune", found.name)
    return [row for row in rows if "train/loss" in row]


def test_trackio(train_here, straight_run, tmp_path):
    trackio = pytest.importorskip("trackio")
    run = tmp_path / "one-of-trackio"
    train_here(run, {"logging.report_to": ["trackio"]})
    assert warnings_of(run) == []
    (found,) = (item for item in trackio.Api().runs("ethtune") if item.name == run.name)
    losses = {row["train/global_step"]: row["train/loss"] for row in trackio_rows(found)}
    assert losses == losses_of(run)
    assert sha256(run) == sha256(straight_run)


def test_all_at_once_from_the_command_line(ethtune, train_words, straight_run, tmp_path):
    names = ["tensorboard", "wandb", "mlflow", "trackio"]
    for name in names:
        pytest.importorskip(name)
    run = tmp_path / "all"
    result = ethtune(*train_words(run, {"logging.report_to": f"[{', '.join(names)}]"}), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["steps"] == STEPS, "nothing else stands on stdout"
    assert warnings_of(run) == []
    assert tensorboard_scalars(run, "train/loss") == losses_of(run)
    ((status, metrics),) = mlflow_runs(run)
    assert (status, metrics["loss"]) == ("FINISHED", losses_of(run))
    (log,) = (run / "logs" / "wandb").glob("offline-run-*/run-*.wandb")
    assert wandb_losses(log) == losses_of(run)
    assert sha256(run) == sha256(straight_run)


def test_a_resumed_run_goes_on_in_the_same_events(train_here, resume_here, tmp_path):
    pytest.importorskip("tensorboard")
    run = tmp_path / "run"
    train_here(run, {"logging.report_to": ["tensorboard"], "training.max_steps": 4})
    resume_here(run, {"training.max_steps": 6})
    assert sorted(tensorboard_scalars(run, "train/loss")) == [1, 2, 3, 4, 5, 6]


def test_one_that_fails_leaves_the_others(train_here, straight_run, monkeypatch, tmp_path):
    pytest.importorskip("tensorboard")
    from transformers import TrainerCallback
    from transformers.integrations import integration_utils

    class Failing(TrainerCallback):
        def on_log(self, args, state, *_, **__):
            if state.global_step == 3:
                raise ConnectionError("the tracker's server is gone")

    def broken():
        raise ImportError("a part of mlflow is missing")

    known = integration_utils.INTEGRATION_TO_CALLBACK
    monkeypatch.setitem(known, "wandb", Failing)
    monkeypatch.setitem(known, "mlflow", broken)
    monkeypatch.setattr("ethtune.services.preflight.find_spec", lambda name: name)
    run = tmp_path / "run"
    train_here(run, {"logging.report_to": ["wandb", "mlflow", "tensorboard"]})
    text = "\n".join(warnings_of(run))
    assert "mlflow cannot be used: a part of mlflow is missing; training goes on" in text
    assert "Failing failed and is left out from here on: the tracker's server is gone" in text
    assert tensorboard_scalars(run, "train/loss") == losses_of(run)
    assert sha256(run) == sha256(straight_run)
