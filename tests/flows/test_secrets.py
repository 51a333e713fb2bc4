"""Secrets given in every way are found nowhere afterwards, and an offline run speaks to nobody."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from transformers import TrainerCallback
from transformers.integrations import integration_utils

HUB = "hf_" + "CaNaRy7" * 5
TRACKER = "c0ffee7" * 5 + "c0ffe"  # 40 hex digits, as wandb's are
PASSWORD = "pa55-CaNaRy-w0rd"
CLOUD = "cLoUd7CaNaRy" * 3
SECRETS = (HUB, TRACKER, PASSWORD, CLOUD)
ENVIRONMENT = {
    "HF_TOKEN": HUB,
    "HUGGING_FACE_HUB_TOKEN": HUB,
    "WANDB_API_KEY": TRACKER,
    "AWS_SECRET_ACCESS_KEY": CLOUD,
    "HTTPS_PROXY": f"http://me:{PASSWORD}@localhost:9",
    "ETHTUNE_RPC_URL": f"https://me:{PASSWORD}@localhost:9/v3/{CLOUD}",
    "MLFLOW_TRACKING_URI": f"https://me:{PASSWORD}@localhost:9",
}


def leaks(*places: Path) -> list[str]:
    """Where a secret stands: files by name, in full or in their own bytes."""
    found = []
    for place in places:
        for item in (place, *place.rglob("*")):
            content = item.read_bytes() if item.is_file() else b""
            for secret in SECRETS:
                if secret.encode() in content or secret in item.name:
                    found.append(f"{item.relative_to(place.parent)}: {secret}")
    return found


@pytest.fixture
def say(ethtune, monkeypatch, tmp_path):
    """``say(*words)``: the command with secrets all around it; none is on either screen."""
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)

    def run(*words, exit_codes=(0,)):
        words = [str(word) for word in words]
        monkeypatch.setattr(sys, "argv", ["ethtune", *words])
        result = ethtune(*words)
        assert result.exit_code in exit_codes, result.output
        for secret in SECRETS:
            assert secret not in result.stdout + result.stderr
        return result

    return run


def test_no_command_lets_a_secret_out(say, dataset, tiny_model, settings, tmp_path):
    """From the export to the report, each command as it is usually given."""
    config = tmp_path / "config.yaml"
    config.write_text(f"# my token is {HUB}\nmodel:\n  base_model: {tiny_model}\n")
    settings |= {"training.max_steps": 2, "logging.save_steps": 1, "logging.eval_steps": 2}
    more = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    run = tmp_path / "run"
    say("prepare", "--input", dataset.parent / "raw", "--output", "data")
    say("validate-data", "data")
    say("doctor", "--quick", exit_codes=(0, 1))
    say("doctor", "--quick", "--json", exit_codes=(0, 1))
    say("estimate", "--config", config, "--dataset", "data", exit_codes=(0, 1))
    say("train", "--config", config, "--dataset", "data", "--output", run, *more)
    (run / "adapter_model.safetensors").unlink()
    say("resume", run)
    say("resume", run, "--list", "--json")
    say("monitor", run, "--once")
    say("monitor", run, "--once", "--json")
    say("evaluate", run, "--limit", 1, "--max-new-tokens", 4, "--json")
    say("predict", run, "--input", "data/test.jsonl", "--limit", 1, "--max-new-tokens", 4,
        exit_codes=(0, 1))  # fmt: skip
    config.unlink()
    assert leaks(tmp_path, Path(os.environ["ETHTUNE_CACHE"])) == []


def test_the_record_of_a_command_is_without_it(say, dataset, tiny_model, settings, tmp_path):
    """Ignored or harmless where it was given, but what was typed is kept."""
    settings |= {"training.max_steps": 1, "logging.eval_strategy": "no"}
    more = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    given = ("--dataset", dataset, "--base-model", tiny_model, "--output", tmp_path / "run")
    config = tmp_path / f"{HUB}.yaml"
    config.write_text("")
    say("train", "--config", config, *given, *more)
    config.unlink()
    assert leaks(tmp_path) == []
    manifest = json.loads((tmp_path / "run" / "manifest.json").read_text())
    assert "[secret].yaml" in manifest["command"]
    assert manifest["command"] in (tmp_path / "run" / "README.md").read_text()


@pytest.mark.parametrize(
    "words",
    [
        ("--base-model", f"https://me:{PASSWORD}@localhost:9/model"),
        ("--base-model", f"owner/{HUB}"),
        ("--dataset", f"/nowhere/{HUB}"),
        ("--set", f"model.base_model={HUB}"),
        ("--set", f"model.revision={HUB}"),
        ("--set", f"model.cache_dir=https://me:{PASSWORD}@localhost:9"),
        ("--set", f"model.tokenn={HUB}"),
        ("--set", f"training.learning_rate={HUB}"),
        ("--config", f"/nowhere/{HUB}.yaml"),
        ("--output", f"/dev/null/{HUB}"),
    ],
)
def test_what_is_refused_is_refused_without_it(say, dataset, tiny_model, tmp_path, words):
    given = {"--dataset": dataset, "--base-model": tiny_model, "--output": tmp_path / "run"}
    given |= {words[0]: words[1]} if words[0] in given else {}
    more = () if words[0] in given else words
    flat = [word for item in given.items() for word in item]
    assert say("train", *flat, *more, exit_codes=(3, 4, 5, 6)).stderr
    assert leaks(tmp_path) == []


class Tracker(TrainerCallback):
    """One whose server is away, and that says so with all that it knows."""

    def on_step_end(self, *_, **__):
        raise ConnectionError(f"no answer from {ENVIRONMENT['MLFLOW_TRACKING_URI']}, key {HUB}")


def break_down(*_):
    raise RuntimeError(f"401 for {ENVIRONMENT['MLFLOW_TRACKING_URI']} with {HUB}")


def test_a_failure_whose_text_holds_a_secret_is_told_without_it(
    say, dataset, tiny_model, settings, monkeypatch, tmp_path
):
    monkeypatch.setitem(integration_utils.INTEGRATION_TO_CALLBACK, "tensorboard", Tracker)
    monkeypatch.setattr("ethtune.services.preflight.find_spec", lambda name: name)
    monkeypatch.setattr("ethtune.model.trainer.validate", lambda *_, **__: break_down())
    settings |= {"logging.report_to": "[tensorboard]"}
    more = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    run = tmp_path / "run"
    given = ("--dataset", dataset, "--base-model", tiny_model, "--output", run)
    result = say("train", *given, *more, exit_codes=(70,))
    assert "401 for" in result.stderr
    assert "This is a fault of ethtune" in result.stderr
    told = (run / "events.jsonl").read_text()
    assert "Tracker failed and is left out from here on: no answer from" in told
    assert leaks(tmp_path) == []


def test_what_only_looks_like_one_is_left_as_it_is(
    ethtune, dataset, tiny_model, settings, tmp_path
):
    """A folder by such a name is opened again by that name."""
    model = tmp_path / "hf_datasets1" / "hf_downloads2026" / "sk-learn-models-of-mine-1"
    shutil.copytree(tiny_model, model)
    settings |= {"training.max_steps": 1, "logging.eval_strategy": "no"}
    more = [word for key, value in settings.items() for word in ("--set", f"{key}={value}")]
    run = tmp_path / "run"
    result = ethtune(
        *("train", "--base-model", model, "--dataset", dataset, "--output", run), *more
    )
    assert result.exit_code == 0, result.output
    result = ethtune("resume", run, "--set", "training.max_steps=2")
    assert result.exit_code == 0, result.output


OFFLINE = """
import os, socket, sys
os.environ["HF_HUB_OFFLINE"] = "1"

INTERNET = (socket.AF_INET, socket.AF_INET6)
ASKED = {"socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo",
         "socket.gethostbyname"}

def hook(event, arguments):
    if event in ASKED or (event == "socket.__new__" and arguments[1] in INTERNET):
        print("SOCKET", event, arguments, file=sys.stderr, flush=True)
        os._exit(77)

sys.addaudithook(hook)
from ethtune.cli.app import main
main()
"""


@pytest.fixture(scope="module")
def no_network():
    """A prefix that takes the network away, where the system lets us; then nothing else helps."""
    unshare = ("unshare", "-rn")
    try:
        alone = subprocess.run([*unshare, "true"], capture_output=True, check=False)
    except OSError:
        return ()
    return () if alone.returncode else unshare


def test_an_offline_run_opens_no_socket(no_network, train_words, tmp_path):
    """Neither to the hub nor for telemetry; watched in the process, and without a network."""
    run = tmp_path / "run"
    words = train_words(run, {"training.max_steps": 1, "logging.eval_strategy": "no"})
    ended = subprocess.run(
        [*no_network, sys.executable, "-c", OFFLINE, *words],
        capture_output=True,
        text=True,
        check=False,
        env={k: v for k, v in os.environ.items() if k != "HF_HUB_OFFLINE"},
    )
    assert ended.returncode == 0, ended.stderr
    assert "SOCKET" not in ended.stderr
    assert (run / "adapter_model.safetensors").is_file()


def test_the_watch_over_sockets_sees_one():
    probe = OFFLINE.replace("from ethtune.cli.app import main\nmain()", PROBE)
    ended = subprocess.run([sys.executable, "-c", probe], capture_output=True, check=False)
    assert ended.returncode == 77


PROBE = 'socket.create_connection(("127.0.0.1", 9), timeout=1)'
