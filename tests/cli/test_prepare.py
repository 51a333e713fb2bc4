"""ethtune prepare: every record accounted for, the same bytes again, nothing half written."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from ethtune.cli.app import ErrorBoundary
from ethtune.cli.prepare import prepare
from ethtune.core.intent import parse_intent
from ethtune.dataset.grounding import ungrounded
from ethtune.services.sampling import make_sample_data

ALICE, BOB = "0x" + "a1" * 20, "0x" + "b2" * 20

app = typer.Typer(cls=ErrorBoundary)
app.callback()(lambda: None)
app.command("prepare")(prepare)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["prepare", *map(str, arguments)])


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample") / "raw"
    make_sample_data(folder, transactions=300, seed=3)
    return folder


def transfer(number: int, **changes: object) -> str:
    row = {
        "hash": f"0x{number:064x}", "block_number": 15_000_000 + number, "from": ALICE, "to": BOB,
        "value": str(number * 10**15), "input": "0x", "status": 1, "logs": [],
    }  # fmt: skip
    return json.dumps(row | changes)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def rows(folder: Path, split: str) -> list[dict]:
    return [json.loads(line) for line in (folder / f"{split}.jsonl").read_text().splitlines()]


def test_an_export_becomes_three_splits_with_card_and_manifest(export, tmp_path) -> None:
    output = tmp_path / "data"
    result = run("--input", export, "--output", output)
    assert result.exit_code == 0, result.output
    assert "transfer" in result.stdout
    assert f"ethtune validate-data {output}" in result.stderr.replace("\n", "")
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["read"] == 300
    left_out = sum(manifest["rejected"].values()) + manifest["duplicates"] + manifest["limited"]
    assert manifest["read"] == manifest["kept"] + left_out
    everything = [row for split in ("train", "validation", "test") for row in rows(output, split)]
    assert len(everything) == manifest["kept"] == len({row["id"] for row in everything})
    for row in everything:
        assert ungrounded(parse_intent(row["output"]), row["input"]) == []
        assert json.loads(row["input"]).keys().isdisjoint({"action", "protocol", "outcome"})
    for file in manifest["files"]:
        content = (output / file["name"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == file["sha256"]
    actions = Counter(json.loads(row["output"])["action"] for row in rows(output, "train"))
    assert manifest["splits"]["train"]["actions"] == dict(actions)
    assert f"| transfer | {actions['transfer']:,} |" in (output / "README.md").read_text()


def test_the_same_seed_gives_the_same_bytes(export, tmp_path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        arguments = ("--seed", seed, "--split-by", "random", "--max-per-class", 9)
        result = run("--input", export, "--output", tmp_path / name, *arguments)
        assert result.exit_code == 0, result.output
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a")["train.jsonl"] != digest(tmp_path / "c")["train.jsonl"]


def test_classes_are_limited_and_the_rest_is_counted(export, tmp_path) -> None:
    result = run("--input", export, "--output", tmp_path / "d", "--max-per-class", 5, "--json")
    report = json.loads(result.stdout)
    counts = Counter()
    for split in report["splits"].values():
        counts.update(split["actions"])
    assert max(counts.values()) == 5
    assert report["limited"] > 0


def test_before_signing_there_are_no_logs_and_no_outcome(export, tmp_path) -> None:
    output = tmp_path / "data"
    run("--input", export, "--output", output, "--view", "signing")
    for row in rows(output, "train"):
        assert json.loads(row["input"]).keys().isdisjoint({"status", "logs", "internal"})
        assert json.loads(row["output"])["outcome"] == "unknown"
        assert row["meta"]["view"] == "signing"


def test_repeated_and_broken_rows_are_counted_with_their_reason(tmp_path) -> None:
    lines = [transfer(number) for number in range(1, 13)]
    lines += [lines[0], transfer(99, value=str(10**15)), transfer(98, value="1e18"), "{broken"]
    output = tmp_path / "data"
    result = run("--input", write(tmp_path / "x.jsonl", *lines), "--output", output, "--json")
    report = json.loads(result.stdout)
    assert (report["read"], report["kept"], report["duplicates"]) == (16, 12, 2)
    lines = (output / "rejected.jsonl").read_text().splitlines()
    rejected = [json.loads(line) for line in lines]
    assert len(rejected) == sum(report["rejected"].values()) == 2
    assert any(":15" in row["where"] and "1e18" in row["reason"] for row in rejected)
    assert result.exit_code == 0


def test_own_labels_win_and_ungrounded_ones_are_refused(tmp_path) -> None:
    source = write(tmp_path / "x.jsonl", *(transfer(number) for number in range(1, 13)))
    mine = {
        "action": "deposit",
        "outcome": "success",
        "sent": [{"asset": "ETH", "amount": "0.001"}],
    }
    wrong = mine | {"sent": [{"asset": "ETH", "amount": "7"}]}
    labels = write(
        tmp_path / "labels.jsonl",
        json.dumps({"hash": f"0x{1:064X}", "intent": mine}).replace("0X", "0x"),
        json.dumps({"hash": f"0x{2:064x}", "intent": json.dumps(wrong)}),
    )
    output = tmp_path / "data"
    result = run("--input", source, "--output", output, "--labels", labels, "--json")
    report = json.loads(result.stdout)
    assert report["labels"] == {"rules": 10, "user": 1}
    assert report["rejected"] == {"not in the input: amount": 1}
    everything = [row for split in ("train", "validation", "test") for row in rows(output, split)]
    labelled = next(row for row in everything if row["id"] == f"0x{1:064x}")
    assert json.loads(labelled["output"])["action"] == "deposit"


def test_a_bad_label_stops_with_its_place(tmp_path) -> None:
    source = write(tmp_path / "x.jsonl", transfer(1))
    labels = write(tmp_path / "l.jsonl", '{"hash":"0x1","intent":{"action":"dance"}}')
    result = run("--input", source, "--output", tmp_path / "data", "--labels", labels)
    assert result.exit_code == 4
    assert "l.jsonl:1" in result.stderr
    assert "dance" in result.stderr
    assert not (tmp_path / "data").exists()


def test_the_users_tokens_are_known(tmp_path) -> None:
    token = "0x" + "c3" * 20
    data = "0xa9059cbb" + BOB[2:].rjust(64, "0") + f"{25 * 10**7:064x}"
    lines = [transfer(n, to=token, input=data, value="0") for n in range(1, 12)]
    tokens = write(tmp_path / "t.csv", "address,symbol,decimals", f"{token},MINE,8")
    output = tmp_path / "data"
    run("-i", write(tmp_path / "x.jsonl", *lines), "-o", output, "--tokens", tokens)
    assert json.loads(rows(output, "train")[0]["input"])["args"] == [BOB, "2.5 MINE"]


def test_too_few_rows_are_written_but_the_answer_is_no(tmp_path) -> None:
    source = write(tmp_path / "x.jsonl", transfer(1), transfer(2))
    result = run("--input", source, "--output", tmp_path / "data")
    assert result.exit_code == 1
    assert "only 2 usable rows" in result.stderr
    assert (tmp_path / "data" / "manifest.json").is_file()


def test_a_dataset_is_replaced_only_when_asked(export, tmp_path) -> None:
    output = tmp_path / "data"
    assert run("--input", export, "--output", output, "--limit", 50).exit_code == 0
    before = digest(output)
    refused = run("--input", export, "--output", output)
    assert (refused.exit_code, digest(output)) == (2, before)
    assert "--overwrite" in refused.stderr
    assert run("--input", export, "--output", output, "--overwrite").exit_code == 0
    assert digest(output) != before
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_a_folder_that_is_no_dataset_is_never_replaced(export, tmp_path) -> None:
    write(tmp_path / "thesis.txt", "years of work")
    result = run("--input", export, "--output", tmp_path, "--overwrite")
    assert result.exit_code == 2
    assert (tmp_path / "thesis.txt").read_text() == "years of work\n"


@pytest.mark.parametrize("shares", [("0", "1", "0"), ("1", "-1", "0")])
def test_shares_must_make_sense(export, tmp_path, shares) -> None:
    result = run("--input", export, "--output", tmp_path / "data", "--split", *shares)
    assert result.exit_code == 2
    assert "--split" in result.stderr


def test_input_that_is_missing_is_a_data_error(tmp_path) -> None:
    result = run("--input", tmp_path / "nothing.csv", "--output", tmp_path / "data")
    assert result.exit_code == 4
    assert "nothing.csv" in result.stderr
    assert not (tmp_path / "data").exists()
