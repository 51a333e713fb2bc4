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
    found = report("--profile", "guide-12gb", "--gpu", "RTX 3060", "--rows", "7000")
    assert found["answer"] == "fits"
    assert found["num_trained"] == 6_815_744
    low, high = found["process_bytes"]
    assert 5 * GIB < low < high < 8 * GIB
    fast, slow = found["seconds"]
    assert fast < 3.7 * 3600 < slow, "the guide measured 3 h 42 m"


def test_what_does_not_fit_exits_1_and_says_what_saves():
    result = run("--profile", "guide-24gb", "--vram", "12")
    assert result.exit_code == 1
    assert "does not fit" in result.stdout
    assert "--set training.per_device_train_batch_size=1" in result.stdout


def test_advice_begins_with_what_costs_least():
    found = report("--config", "/dev/null", "--vram", "8", "--set", "lora.r=64",
                   "--set", "model.base_model=mistral-7b-v0.1",
                   "--set", "training.per_device_train_batch_size=8",
                   "--set", "optimization.gradient_checkpointing=false",
                   "--set", "quantization.bnb_4bit_use_double_quant=false")  # fmt: skip
    keys = [saving["settings"][0].partition("=")[0] for saving in found["savings"]]
    order = ["optimization.optim", "quantization.bnb_4bit_use_double_quant",
             "training.per_device_train_batch_size", "optimization.gradient_checkpointing",
             "lora.r", "data.max_seq_length"]  # fmt: skip
    assert keys == [key for key in order if key in keys]
    assert {"training.per_device_train_batch_size", "data.max_seq_length"} <= set(keys)


def test_every_line_of_a_report_is_whole_in_a_pipe():
    lines = run("--profile", "guide-12gb", "--gpu", "RTX 3060").stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("The process will hold")]
    assert line.endswith("free: fits")
    assert "GeForce RTX 3060 12 GB" in line


def test_what_a_switch_is_said_to_save_is_what_it_saves():
    before = report("--profile", "guide-24gb", "--vram", "24")
    for saving in before["savings"]:
        changes = [word for setting in saving["settings"] for word in ("--set", setting)]
        after = report("--profile", "guide-24gb", "--vram", "24", *changes)
        assert before["allocated_bytes"] - after["allocated_bytes"] == saving["saved_bytes"]
    assert before["allocated_bytes"] == sum(before["components"].values())


def test_all_profiles_side_by_side():
    result = run("--all-profiles", "--gpu", "RTX 3060")
    assert result.exit_code == 0
    rows = [line.split()[0] for line in result.stdout.splitlines()[1:]]
    assert rows[-1] == "cpu"
    assert {"8gb", "12gb", "16gb", "24gb", "guide-12gb"} <= set(rows)


def _rows(folder, count):
    row = json.dumps({"instruction": "i", "input": "0x00" * 60, "output": "o" * 40})
    (folder / "train.jsonl").write_text((row + "\n") * count)
    return str(folder)


def test_the_duration_follows_the_dataset(tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    for folder in (few, many):
        folder.mkdir()
    one = report("--profile", "cpu", "--dataset", _rows(few, 100))
    two = report("--profile", "cpu", "--dataset", _rows(many, 200))
    assert two["num_tokens"][0] == pytest.approx(2 * one["num_tokens"][0], rel=0.01)
    assert two["seconds"][1] > one["seconds"][1] > one["seconds"][0] > 0
    assert two["num_steps"] > one["num_steps"] > 0
    assert any("100 rows" in line for line in one["assumptions"])


def test_cards_against_profiles():
    result = run("--compare", "--rows", "7000")
    assert result.exit_code == 0
    header, *rows = result.stdout.splitlines()
    assert header.split() == ["card", "GiB", "8gb", "12gb", "16gb", "24gb", "48gb", "80gb"]
    assert len(rows) >= 10
    found = report("--compare", "--gpu", "RTX 3060", "--gpu", "H100 SXM")["gpus"]
    assert [card["profiles"]["24gb"]["answer"] for card in found] == ["does not fit", "fits"]


def test_the_largest_settings_fit_and_the_next_ones_do_not():
    here = ("--profile", "guide-12gb", "--gpu", "RTX 3060")
    for item in report(*here, "--max")["largest"][:2]:
        unit = 32 if item["setting"] == "data.max_seq_length" else 1
        for value, fits in ((item["largest"], True), (item["largest"] + unit, False)):
            found = report(*here, "--set", f"{item['setting']}={value}")
            assert (found["answer"] == "fits") is fits


def test_disk_download_and_electricity():
    found = report(
        "--profile", "guide-12gb", "--gpu", "RTX 3060", "--rows", "7000", "--price", "0.3"
    )
    assert found["disk"]["download_bytes"] > 13 * GIB
    assert found["disk"]["checkpoint_bytes"] > 6_815_744 * 12
    assert found["disk"]["run_bytes"] > 3 * found["disk"]["checkpoint_bytes"]
    use = found["electricity"]
    assert use["price"] == pytest.approx([0.3 * hours for hours in use["kilowatt_hours"]])
    hours = found["seconds"][0] / 3600
    assert use["kilowatt_hours"][0] == pytest.approx(hours * use["watts"] / 1000)
    assert (
        "kWh" in run("--profile", "guide-12gb", "--gpu", "T4", "--rows", "9", "--price", "1").stdout
    )


def test_one_screen():
    lines = run(
        "--profile", "guide-12gb", "--gpu", "RTX 3060", "--rows", "7000"
    ).stdout.splitlines()
    assert len(lines) <= 24
    assert all(line == line.rstrip() for line in lines)


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
        (["--compare", "--max"], UsageError, "choose one"),
        (["--max", "--trace"], UsageError, "choose one"),
        (["--trace", "--gpu", "T4", "--gpus", "2", "--fsdp"], UsageError, "the whole model"),
        (["--compare", "--gpus", "2"], UsageError, "goes with"),
        (["--compare", "--vram", "8"], UsageError, "--vram"),
        (["--compare", "--gpu", "RTX 9999"], ConfigError, "RTX 9999"),
        (["--gpu", "T4", "--gpu", "L4"], UsageError, "--compare"),
        (["--gpu", "RTX 3060", "--vram", "24"], UsageError, "contradict"),
        (["--calibrate", "--gpu", "T4"], UsageError, "--calibrate"),
        (["--calibrate"], ConfigError, "needs rows"),
    ],
)
def test_errors_say_what_and_where(arguments, kind, words):
    error = run(*arguments).exception
    assert isinstance(error, kind)
    assert words in error.message
    assert kind is UsageError or error.hint


def test_a_traced_step_on_one_screen(tmp_path):
    pytest.importorskip("torch")
    shape = {"model_type": "llama", "hidden_size": 64, "num_hidden_layers": 2, "vocab_size": 512,
             "intermediate_size": 128, "num_attention_heads": 4}  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(shape))
    words = ("--set", f"model.base_model={tmp_path}", "--set", "data.max_seq_length=64")
    result = run("--profile", "12gb", "--gpu", "T4", *words, "--trace")
    assert result.exit_code == 0
    assert "At the peak, in the" in result.stdout
    assert "base model and adapter" in result.stdout
    assert "◆" in result.stdout, "the peak on the curve"
    assert len(result.stdout.splitlines()) < 40


def test_rank_0_is_refused():
    error = run("--vram", "8", "--set", "lora.r=0").exception
    assert (type(error), error.exit_code) == (ConfigError, 3)
    assert "lora.r is 0" in error.message


def test_estimating_imports_no_heavy_library():
    source = (
        "import sys; from ethtune.services.estimation import estimate;"
        "from ethtune.device.target import vram_target;"
        "from ethtune.core.compose import compose;"
        "estimate(compose(profile='12gb').config, target=vram_target(12));"
        "assert not {'torch', 'transformers', 'rich', 'typer'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", source], check=True)
