"""ethtune validate-data: all findings at once, exit 1 on an error, a corrected copy when asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ethtune.cli.app import ErrorBoundary
from ethtune.cli.validate_data import validate_data
from ethtune.core.intent import parse_intent
from ethtune.dataset.rules import rules
from ethtune.services.preparation import PrepareOptions, prepare
from ethtune.services.sampling import make_sample_data

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
            intent = json.loads(row["output"]) | {"sent": [{"asset": "ETH", "amount": "31337"}]}
            row["output"] = parse_intent(json.dumps(intent)).to_json()
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
    assert any(line.startswith("E203 ") for line in result.stdout.splitlines())
    assert "--fix DIR" in result.stderr.replace("\n", " ")


def test_the_report_is_there_as_json(spoiled: Path) -> None:
    result = run(spoiled, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["valid"] is False
    errors = {item["code"] for item in report["findings"] if item["severity"] == "error"}
    assert errors == {"E101", "E203", "E301", "E302"}
    assert all(item["fix"] for item in report["findings"])
    (invented,) = (item for item in report["findings"] if item["code"] == "E203")
    assert invented["file"].endswith("train.jsonl")
    assert (invented["line"], invented["value"]) == (1, "amount 31337 ETH")
    assert report["num_errors"] == 4
    assert report["lengths"]["unit"] == "characters"
    assert report["actions"]["train"]


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


def test_lengths_are_counted_with_the_tokenizer_of_a_base_model(
    prepared: Path, tiny_model: Path
) -> None:
    result = run(prepared, "--base-model", tiny_model, "--max-seq-length", 600)
    assert result.exit_code == 1
    assert "E401 longer than max_seq_length" in result.stdout
    plain = run(prepared, "--base-model", tiny_model, "--max-seq-length", 600, "--json")
    report = json.loads(plain.stdout)
    lengths = report["lengths"]
    assert lengths["unit"] == "tokens"
    assert lengths["prompt"]["p50"] < lengths["total"]["p50"] < lengths["total"]["max"]
    histogram = lengths["total"]["histogram"]
    assert sum(row["rows"] for row in histogram) == sum(report["rows"].values())
    num_too_long = sum(item["code"] == "E401" for item in report["findings"])
    assert any("limit 600; cut there it" in item["message"] for item in report["findings"])
    assert lengths["over_max_seq_length"] == lengths["would_lose_end_token"] == num_too_long > 0
    assert run(prepared, "--base-model", tiny_model, "--max-seq-length", 9000).exit_code == 0


@pytest.mark.parametrize(("name", "code"), [("no/such/model", 3), ("nobody/nothing", 5)])
def test_a_base_model_that_is_not_there_is_a_clear_error(
    prepared: Path, name: str, code: int
) -> None:
    result = run(prepared, "--base-model", name)
    assert result.exit_code == code
    assert name in result.stderr


def test_warnings_count_when_strict(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    row = '{"instruction":"a","input":"b","output":"\\"c\\"","note":1}\r\n'
    file.write_bytes(row.encode())
    assert run(file, "--any-task").exit_code == 0
    assert run(file, "--any-task", "--strict").exit_code == 1
    fixed = tmp_path / "fixed"
    result = run(file, "--any-task", "--fix", fixed)
    assert "carriage returns removed" in result.stderr.replace("\n", " ")
    assert (fixed / "train.jsonl").read_bytes() == row.replace("\r", "").encode()


def test_a_corrected_copy_repairs_what_is_certain_and_says_where(tmp_path: Path) -> None:
    seen = '{"to":"DAI","value":"1.5"}'
    outputs = [
        '{"action": "deposit", "sent": [{"asset": "ETH", "amount": "01.50"}]}',
        '{"action":"deposit","sent":[{"asset":"ETH","amount":1.5}]}',
        '{"action":"deposit","sent":[{"asset":"ETH","amount":"9.9"}]}',
        '{"action":"deposit","outcome":"unknown"}',
    ]
    file = tmp_path / "train.jsonl"
    with file.open("w") as stream:
        for number, output in enumerate(outputs):
            text = seen.replace("DAI", f"T{number}")
            stream.write(json.dumps({"instruction": "a", "input": text, "output": output}) + "\n")
    result = run(file, "--fix", tmp_path / "fixed", "--json")
    correction = json.loads(result.stdout)["correction"]
    assert correction["dropped"] == {"train": 2}
    assert correction["repairs"] == {"output in canonical form": [f"{file}:1"]}
    fixed = tmp_path / "fixed" / "train.jsonl"
    rows = [json.loads(row) for row in fixed.read_text().splitlines()]
    assert [row["output"] for row in rows] == [
        '{"action":"deposit","outcome":"unknown","sent":[{"asset":"ETH","amount":"1.5"}]}',
        outputs[3],
    ]
    assert run(tmp_path / "fixed", "--json").exit_code == 0


def test_sarif_names_rules_and_places_relative_to_the_folder(
    spoiled: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(spoiled.parent)
    run(spoiled.name, "--sarif", tmp_path / "log.sarif")
    log = json.loads((tmp_path / "log.sarif").read_text())
    assert set(log) == {"version", "$schema", "runs"}
    assert log["version"] == "2.1.0"
    (sarif,) = log["runs"]
    assert set(sarif) == {"tool", "originalUriBaseIds", "columnKind", "results"}
    driver = sarif["tool"]["driver"]
    assert driver["name"] == "ethtune"
    assert [rule["id"] for rule in driver["rules"]] == list(rules())
    for rule in driver["rules"]:
        assert rule["shortDescription"]["text"]
        assert rule["help"]["text"]
        assert rule["defaultConfiguration"]["level"] in {"error", "warning"}
    places = set()
    for result in sarif["results"]:
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
        assert result["level"] in {"error", "warning"}
        (location,) = result["locations"]
        artifact = location["physicalLocation"]["artifactLocation"]
        assert sarif["originalUriBaseIds"][artifact["uriBaseId"]]["uri"].endswith("/")
        assert not artifact["uri"].startswith(("/", "file:", ".."))
        region = location["physicalLocation"].get("region", {"startLine": 1})
        places.add((result["ruleId"], artifact["uri"], region["startLine"]))
    assert ("E203", "spoiled/train.jsonl", 1) in places
    assert ("E101", "spoiled/train.jsonl", 2) in places
    monkeypatch.chdir("/")
    run(spoiled, "--sarif", tmp_path / "log.sarif")
    monkeypatch.chdir(tmp_path / "spoiled")
    run(spoiled, "--sarif", tmp_path / "elsewhere.sarif")
    log = json.loads((tmp_path / "elsewhere.sarif").read_text())
    uris = {
        result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
        for result in log["runs"][0]["results"]
    }
    assert uris <= {"train.jsonl", "validation.jsonl", "test.jsonl", "."}


def test_a_sarif_file_that_cannot_be_written_is_said(spoiled: Path, tmp_path: Path) -> None:
    result = run(spoiled, "--sarif", tmp_path / "missing" / "log.sarif")
    assert result.exit_code == 5
    assert "log.sarif" in result.stderr


def test_a_finding_is_explained() -> None:
    result = run("--explain", "e203")
    assert result.exit_code == 0
    for words in ("output says what the input does not hold", "invent", "Remedy"):
        assert words in result.stdout
    unknown = run("--explain", "E999")
    assert unknown.exit_code == 2
    assert "E203" in unknown.stderr
    assert run().exit_code == 2


def test_many_findings_are_grouped(tmp_path: Path) -> None:
    file = tmp_path / "train.jsonl"
    file.write_text("{broken\n" * 3000)
    result = run(file)
    assert len(result.stdout.splitlines()) < 20
    assert "(3,000)" in result.stdout
    assert "and 2,997 more" in result.stdout
    assert len(json.loads(run(file, "--json").stdout)["findings"]) == 3001


def test_rows_of_other_trainers_are_checked_as_what_they_are(tmp_path: Path) -> None:
    talk = {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    for split in ("train", "validation", "test"):
        rows = [talk] if split != "test" else [talk, {"messages": talk["messages"][:1]}]
        (tmp_path / f"{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = run(tmp_path)
    assert result.exit_code == 1
    for code in ("W110", "E302", "E103"):
        assert code in result.stdout
    (tmp_path / "validation.jsonl").unlink()
    (tmp_path / "test.jsonl").unlink()
    sound = run(tmp_path)
    assert sound.exit_code == 0
    assert "no errors" in sound.stdout
    assert "ethtune train --dataset" not in sound.stderr


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
