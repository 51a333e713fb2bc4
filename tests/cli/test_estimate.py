"""``ethtune estimate`` as a user sees it."""

import json
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from ethtune.cli.estimate import estimate
from ethtune.core.errors import ConfigError, DataError, UsageError
from ethtune.core.units import GIB

app = typer.Typer()
app.command()(estimate)


def run(*arguments):
    return CliRunner().invoke(app, arguments)


def report(*arguments):
    return json.loads(run(*arguments, "--json").stdout)


def test_the_guides_run_fits_the_guides_card():
    found = report("--profile", "12gb", "--gpu", "RTX 3060", "--rows", "7000")
    assert found["answer"] == "fits"
    assert found["num_trained"] == 6_815_744
    low, high = found["process_bytes"]
    assert 5 * GIB < low < high < 8 * GIB
    fast, slow = found["seconds"]
    assert fast < 3.7 * 3600 < slow, "the guide measured 3 h 42 m"


def test_what_does_not_fit_exits_1_and_says_what_saves():
    result = run("--profile", "24gb", "--vram", "12")
    assert result.exit_code == 1
    assert "does not fit" in result.stdout
    assert "--set training.per_device_train_batch_size=1" in result.stdout


def test_every_line_of_a_report_is_whole_in_a_pipe():
    lines = run("--profile", "12gb", "--gpu", "RTX 3060").stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("The process will hold")]
    assert line.endswith("free: fits")
    assert "GeForce RTX 3060 12 GB" in line


def test_what_a_switch_is_said_to_save_is_what_it_saves():
    before = report("--profile", "24gb", "--vram", "24")
    saving = before["savings"][0]
    after = report(
        "--profile", "24gb", "--vram", "24", "--set", "training.per_device_train_batch_size=1"
    )
    assert saving["setting"] == "training.per_device_train_batch_size=1"
    saved = sum(before["components"].values()) - sum(after["components"].values())
    assert saved == saving["saved_bytes"]


def test_all_profiles_side_by_side():
    result = run("--all-profiles", "--gpu", "RTX 3060")
    assert result.exit_code == 0
    rows = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert rows[-1] == "cpu"
    assert {"8gb", "12gb", "16gb", "24gb"} <= set(rows)


def test_the_duration_follows_the_dataset(tmp_path):
    (tmp_path / "train.jsonl").write_text('{"input": "0x00"}\n' * 100)
    one = report("--profile", "cpu", "--dataset", str(tmp_path))
    (tmp_path / "train.jsonl").write_text('{"input": "0x00"}\n' * 200)
    two = report("--profile", "cpu", "--dataset", str(tmp_path))
    assert two["num_tokens"][0] == pytest.approx(2 * one["num_tokens"][0], abs=2)
    assert two["seconds"][1] > one["seconds"][1] > one["seconds"][0] > 0
    assert any("100 rows" in line for line in one["assumptions"])


@pytest.mark.parametrize(
    ("arguments", "kind", "words"),
    [
        (["--gpu", "RTX 9999"], ConfigError, "RTX 9999"),
        (["--gpu", "RTX 4060 Ti"], ConfigError, "several sizes"),
        (["--vram", "0"], ConfigError, "--vram 0"),
        (["--set", "model.base_model=mistral-9b", "--vram", "8"], ConfigError, "mistral-9b"),
        (["--profile", "cpu", "--dataset", "/nowhere"], DataError, "/nowhere"),
        (["--dataset", "a", "--rows", "3"], UsageError, "give one"),
        (["--all-profiles", "--profile", "cpu"], UsageError, "--all-profiles"),
    ],
)
def test_errors_say_what_and_where(arguments, kind, words):
    error = run(*arguments).exception
    assert isinstance(error, kind)
    assert words in error.message
    assert kind is UsageError or error.hint


def test_estimating_imports_no_heavy_library():
    source = (
        "import sys; from ethtune.services.estimation import estimate;"
        "from ethtune.device.target import vram_target;"
        "from ethtune.core.compose import compose;"
        "estimate(compose(profile='12gb').config, target=vram_target(12));"
        "assert not {'torch', 'transformers', 'rich', 'typer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", source], check=True)
