"""``ethtune doctor`` as a user sees it: on this machine, and under drivers that tests make up."""

import importlib.util
import json
import os
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ethtune.cli.doctor import doctor

app = typer.Typer()
app.command()(doctor)

# the fake driver's builder and script are those of the device tests
_spec = importlib.util.spec_from_file_location(
    "fake_driver", Path(__file__).parents[1] / "unit" / "device" / "conftest.py"
)
_fakes = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fakes)

SOURCE = "import typer; from ethtune.cli.doctor import doctor; typer.run(doctor)"


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def findings(*arguments):
    return {item["id"]: item for item in json.loads(run(*arguments, "--json").stdout)["findings"]}


@pytest.fixture(autouse=True)
def _own_hub(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    # the suite's own, and what importing ethtune.model sets for training
    for name in ("HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


def test_quick_is_quick_and_reads_without_colour():
    begin = time.monotonic()
    result = run("--quick", "--profile", "cpu")
    assert time.monotonic() - begin < 5, "nothing heavy may be imported"
    assert "WARN  cpu.speed" in result.stdout
    assert "on the CPU, about" in result.stdout
    assert "not tried" in result.stdout
    assert "\x1b" not in result.stdout


def test_verbose_shows_every_check():
    ids = findings("--quick", "--profile", "cpu")
    shown = run("--quick", "--profile", "cpu", "--verbose").stdout
    assert [name for name in ids if f" {name} " not in shown] == []


def test_json_has_stable_keys():
    report = json.loads(run("--quick", "--profile", "cpu", "--json").stdout)
    assert set(report) == {"version", "can_train", "verdict", "counts", "findings"}
    assert sum(report["counts"].values()) == len(report["findings"]) >= 44
    keys = {"id", "group", "title", "status", "evidence", "fix", "commands"}
    assert all(set(item) == keys for item in report["findings"])


def test_a_failed_check_exits_1():
    result = run("--quick", "--base-model", "llama-2-7b")
    assert result.exit_code == 1
    assert "FAIL  hub.access" in result.stdout
    assert "$ hf auth login" in result.stdout
    assert "You cannot train yet" in result.stdout


def test_strict_counts_warnings():
    assert run("--quick", "--profile", "cpu").exit_code == 0
    assert run("--quick", "--profile", "cpu", "--strict").exit_code == 1


def test_the_token_is_never_printed(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_averysecretvalue")
    for more in ((), ("--json",), ("--verbose",), ("--fix-script", "-")):
        assert "averysecret" not in run("--quick", "--base-model", "llama-2-7b", *more).output


def test_fixes_as_a_script(tmp_path):
    arguments = ("--quick", "--base-model", "llama-2-7b", "--fix-script")
    shown = run(*arguments, "-")
    assert "hf auth login" in shown.stdout.splitlines()
    run(*arguments, str(tmp_path / "fix.sh"))
    assert (tmp_path / "fix.sh").read_text() == shown.stdout
    assert subprocess.run(["sh", "-n", tmp_path / "fix.sh"], check=False).returncode == 0


def test_a_bundle_for_a_bug_report(tmp_path):
    result = run("--quick", "--profile", "cpu", "--bundle", str(tmp_path / "b.zip"))
    assert "look through it before you share it" in result.stderr
    with zipfile.ZipFile(tmp_path / "b.zip") as archive:
        assert json.loads(archive.read("doctor.json"))["can_train"] is True


def test_a_run_brings_its_settings_and_its_checkpoints(tmp_path):
    folder = tmp_path / "run"
    (folder / "checkpoint-5").mkdir(parents=True)
    (folder / "manifest.json").write_text('{"version": 1}')
    (folder / "config.yaml").write_text("model: {base_model: llama-2-7b}\n")
    found = findings(str(folder), "--quick")
    assert found["ckpt.integrity"]["status"] == "fail"
    assert "checkpoint-5" in found["ckpt.integrity"]["evidence"]
    assert found["hub.access"]["status"] == "fail", "its config names a gated model"


def test_no_check_leaves_anything_behind(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run("--quick", "--profile", "cpu")
    assert list(tmp_path.iterdir()) == []


SCENARIOS = {
    "healthy": ({}, 0, {"nvml.init": "ok", "vram.fit": "ok", "precision": "ok",
                        "gpu.thermal_now": "ok", "vram.others": "ok", "gpu.mig": "ok"}),
    "full": ({"used": "9000"}, 1, {"vram.fit": "fail", "vram.others": "warn"}),
    "shared with another": ({"process": "999999:4000"}, 0, {"vram.others": "warn"}),
    "hot": ({"temp": "91", "reasons": "0x40"}, 0, {"gpu.thermal_now": "warn"}),
    "capped": ({"limit": "80000", "default": "170000"}, 0, {"gpu.power": "warn"}),
    "narrow": ({"width": "1", "maxwidth": "16"}, 0, {"gpu.pcie": "warn"}),
    "broken memory": ({"ecc": "3"}, 0, {"gpu.ecc": "warn"}),
    "two cards": ({"count": "2"}, 0, {"multi_gpu": "warn", "vram.fit": "ok"}),
    "one of two lost": ({"count": "2", "gpu1.lost": "1"}, 1, {"nvml.init": "fail",
                                                              "vram.fit": "ok"}),
    "lost": ({"lost": "1"}, 1, {"nvml.init": "fail", "vram.fit": "skipped",
                                "gpu.thermal_now": "ok"}),
    "cut into parts": ({"mig": "1", "mig.count": "2", "util": "err:3", "mig0.total": "20000"}, 0,
                       {"gpu.mig": "warn", "vram.fit": "ok"}),
    "parts too small": ({"mig": "1", "mig.count": "1", "mig0.total": "4000"}, 1,
                        {"vram.fit": "fail"}),
    "no part": ({"mig": "1", "mig.count": "0"}, 1, {"gpu.mig": "fail"}),
    "WSL": ({"process": "err:3", "util": "err:3", "reasons": "err:3", "limit": "err:3"}, 0,
            {"vram.others": "skipped", "gpu.power": "skipped", "gpu.thermal_now": "ok",
             "vram.fit": "ok"}),
    "nothing told": (dict.fromkeys(("total", "temp", "util", "power", "limit", "cc", "reasons"),
                                   "err:3"), 0,
                     {"vram.fit": "skipped", "unified_memory": "warn", "precision": "skipped",
                      "gpu.thermal_now": "ok"}),
    "no permission": ({"total": "err:4", "process": "err:4"}, 1,
                      {"nvml.init": "fail", "vram.others": "skipped"}),
    "prohibited": ({"mode": "2"}, 1, {"gpu.compute_mode": "fail"}),
    "old card": ({"cc": "75"}, 0, {"precision": "ok"}),
    "driver updated": ({"init": "18"}, 1, {"nvml.init": "fail", "vram.fit": "skipped"}),
    "no driver loaded": ({"init": "9"}, 0, {"nvml.init": "skipped"}),
}  # fmt: skip


@pytest.fixture(scope="module")
def driver(tmp_path_factory):
    return _fakes._build(tmp_path_factory.mktemp("nvml"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_verdicts_under_a_made_up_driver(name, driver, tmp_path):
    script, exit_code, expected = SCENARIOS[name]
    lines = {**_fakes.RTX_3060, **script}
    (tmp_path / "script.txt").write_text("".join(f"{k}={v}\n" for k, v in lines.items()))
    profile = "12gb" if expected.get("vram.fit") == "fail" else "cpu"
    done = subprocess.run(
        [sys.executable, "-c", SOURCE, "--quick", "--json", "--profile", profile],
        env={**os.environ, "LD_LIBRARY_PATH": str(driver),
             "FAKE_NVML_SCRIPT": str(tmp_path / "script.txt")},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    found = {item["id"]: item for item in json.loads(done.stdout)["findings"]}
    assert {check: found[check]["status"] for check in expected} == expected
    assert done.returncode == exit_code, [i for i in found.values() if i["status"] == "fail"]
    assert not [item for item in found.values() if item["status"] == "crashed"]


def test_the_real_stack_does_a_real_step():
    done = subprocess.run(
        [sys.executable, "-c", SOURCE, "--profile", "cpu", "--json"],
        capture_output=True, text=True, timeout=300, check=False, env=os.environ,
    )  # fmt: skip
    by_id = {item["id"]: item for item in json.loads(done.stdout)["findings"]}
    for name in ("gpu.smoke", "bnb.native", "bnb.matmul", "bnb.optimizers", "stack.imports"):
        assert by_id[name]["status"] == "ok", by_id[name]
