"""``ethtune doctor`` as a user sees it."""

import json
import os
import subprocess
import sys
import time

import typer
from typer.testing import CliRunner

from ethtune.cli.doctor import doctor

app = typer.Typer()
app.command()(doctor)


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def test_quick_is_quick_and_reads_without_colour():
    begin = time.monotonic()
    result = run("--quick", "--profile", "cpu")
    assert time.monotonic() - begin < 5, "nothing heavy may be imported"
    lines = result.stdout.splitlines()
    assert lines[0] == "Software"
    assert any(line.startswith("  ok    python ") for line in lines)
    assert any(line.startswith("  skip  gpu.smoke ") for line in lines)
    assert "\x1b" not in result.stdout


def test_json_has_stable_keys():
    report = json.loads(run("--quick", "--profile", "cpu", "--json").stdout)
    assert set(report) == {"version", "can_train", "verdict", "counts", "findings"}
    assert sum(report["counts"].values()) == len(report["findings"])
    assert all(set(item) == {"id", "group", "status", "evidence", "fix"}
               for item in report["findings"])  # fmt: skip
    ids = [item["id"] for item in report["findings"]]
    assert len(ids) == len(set(ids)) >= 22


def test_a_failed_check_exits_1(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    result = run("--quick", "--set", "model.base_model=llama-2-7b")
    assert result.exit_code == 1
    assert "FAIL  hub.access" in result.stdout
    assert "You cannot train yet" in result.stdout


def test_the_token_is_never_printed(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_averysecretvalue")
    assert "averysecret" not in run("--quick", "--set", "model.base_model=llama-2-7b").output


def test_the_real_stack_does_a_real_step():
    source = "import typer; from ethtune.cli.doctor import doctor; typer.run(doctor)"
    done = subprocess.run(
        [sys.executable, "-c", source, "--profile", "cpu", "--json"],
        capture_output=True, text=True, timeout=300, check=False, env=os.environ,
    )  # fmt: skip
    by_id = {item["id"]: item for item in json.loads(done.stdout)["findings"]}
    assert by_id["gpu.smoke"]["status"] == "ok", by_id["gpu.smoke"]
    assert by_id["stack.imports"]["status"] in ("ok", "warn")
