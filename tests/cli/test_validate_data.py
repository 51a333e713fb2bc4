"""ethtune validate-data: all findings at once, exit 1 on an error, a corrected copy when asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ethtune.cli.app import ErrorBoundary
from ethtune.cli.validate_data import validate_data
from ethtune.services.preparation import PrepareOptions, prepare
from ethtune.services.sampling import make_sample_data
from ethtune.services.validation import validate_data as validate

app = typer.Typer(cls=ErrorBoundary)
app.callback()(lambda: None)
app.command("validate-data")(validate_data)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["validate-data", *map(str, arguments)])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prepared")
    make_sample_data(folder / "raw", transactions=300, seed=3)
    prepare([folder / "raw"], folder / "data", options=PrepareOptions())
    return folder / "data"


@pytest.fixture
def spoiled(prepared: Path, tmp_path: Path) -> Path:
    """The prepared dataset with a broken line, a leak across splits and an invented amount."""
    folder = tmp_path / "spoiled"
    folder.mkdir()
    for split in ("train", "validation", "test"):
        lines = (prepared / f"{split}.jsonl").read_text().splitlines()
        if split == "train":
            row = json.loads(lines[0])
            row["output"] = '{"action":"transfer","sent":[{"asset":"ETH","amount":"31337"}]}'
            lines = [json.dumps(row), "{broken", *lines[1:]]
        if split == "test":
            lines.append((prepared / "train.jsonl").read_text().splitlines()[1])
        (folder / f"{split}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_what_prepare_writes_is_fit_to_train_on(prepared: Path) -> None:
    result = run(prepared)
    assert result.exit_code == 0, result.output
    assert "fit to train on" in result.stdout
    assert "ethtune train" in result.stderr


def test_all_findings_come_at_once_with_file_and_line(spoiled: Path) -> None:
    result = run(spoiled)
    assert result.exit_code == 1
    text = result.stdout.replace("\n", "")
    for code, place in (("E203", "train.jsonl:1"), ("E101", "train.jsonl:2")):
        assert code in text
        assert place in text
    assert "31337 ETH" in text
    assert "E301" in text
    assert "--fix DIR" in result.stderr.replace("\n", " ")


def test_the_report_is_there_as_json(spoiled: Path) -> None:
    result = run(spoiled, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["valid"] is False
    errors = {item["code"] for item in report["findings"] if item["severity"] == "error"}
    assert errors == {"E101", "E203", "E301", "E302"}
    assert all(item["fix"] for item in report["findings"])


def test_the_corrected_copy_has_no_errors(spoiled: Path, tmp_path: Path) -> None:
    fixed = tmp_path / "fixed"
    result = run(spoiled, "--fix", fixed)
    assert result.exit_code == 1
    assert "3 rows left out" in result.stderr
    again = run(fixed, "--json")
    assert again.exit_code == 0, again.stdout
    before = sum(len((spoiled / f"{name}.jsonl").read_text().splitlines())
                 for name in ("train", "validation", "test"))  # fmt: skip
    assert sum(json.loads(again.stdout)["rows"].values()) == before - 3


def test_rows_too_long_for_the_model_are_named(prepared: Path) -> None:
    class ByteTokenizer:
        end_id = 0

        def encode_prompt(self, prompt: str) -> list[int]:
            return list(prompt.encode())

        def encode_completion(self, completion: str) -> list[int]:
            return [*completion.encode(), 0]

    report = validate(prepared, tokenizer=ByteTokenizer(), max_seq_length=600)
    assert {finding.code for finding in report.findings if finding.severity == "error"} == {"E401"}
    assert "limit 600" in report.findings[0].message


def test_another_task_is_told_apart(tmp_path: Path) -> None:
    row = {"instruction": "Write.", "input": "", "output": "Once upon a time."}
    file = tmp_path / "stories.jsonl"
    file.write_text(json.dumps(row) + "\n")
    refused = run(file)
    assert refused.exit_code == 1
    assert "dataset of another task" in refused.stdout
    assert "--any-task" in refused.stdout.replace("\n", " ")
    assert run(file, "--any-task").exit_code == 0


@pytest.mark.parametrize("name", [".", "missing"])
def test_nothing_to_check_is_a_data_error(tmp_path: Path, name: str) -> None:
    result = run(tmp_path / name)
    assert result.exit_code == 4
    assert "ethtune prepare" in result.stderr


def test_markup_and_control_characters_of_rows_stay_text(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text('{"instruction":"[red]\\u001b[31m","input":"","output":"[bold]x"}\n')
    result = run(file)
    assert "[bold]x" in result.stdout
    assert "\x1b" not in result.stdout
