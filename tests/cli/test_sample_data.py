"""ethtune sample-data writes a whole export or nothing, and the same one for the same seed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from ethtune.cli.app import ErrorBoundary
from ethtune.cli.sample_data import sample_data

FILES = ["logs.csv", "receipts.csv", "token_transfers.csv", "tokens.csv", "transactions.csv"]

app = typer.Typer(cls=ErrorBoundary)
app.callback()(lambda: None)
app.command("sample-data")(sample_data)


def run(*arguments: object):
    return CliRunner().invoke(app, ["sample-data", *map(str, arguments)])


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def test_writes_the_five_files_of_an_export(tmp_path: Path) -> None:
    result = run("--output", tmp_path / "raw", "--transactions", 50, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert sorted(report["files"]) == sorted(p.name for p in (tmp_path / "raw").iterdir()) == FILES
    assert (report["seed"], report["transactions"], sum(report["kinds"].values())) == (7, 50, 50)
    assert len((tmp_path / "raw" / "transactions.csv").read_text().splitlines()) == 51


def test_the_screen_counts_kinds_and_names_the_next_command(tmp_path: Path) -> None:
    result = run("--output", tmp_path / "raw", "--transactions", 50)
    assert "eth_transfer" in result.stdout
    assert "ethtune prepare --input" in result.stderr


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        assert run("--output", tmp_path / name, "--transactions", 40, "--seed", seed).exit_code == 0
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


def test_the_bytes_of_seed_seven_are_the_same_on_every_platform(tmp_path: Path) -> None:
    run("--output", tmp_path / "raw", "--transactions", 200)
    written = b"".join(path.read_bytes() for path in sorted((tmp_path / "raw").iterdir()))
    assert hashlib.sha256(written).hexdigest()[:16] == "37dacd63a3fcec13"


def test_a_folder_that_holds_something_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep me")
    result = run("--output", tmp_path)
    assert result.exit_code == 6
    assert "not empty" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("arguments", [[], ["--output", "x", "--transactions", "0"]])
def test_usage_errors(arguments: list[str]) -> None:
    assert run(*arguments).exit_code == 2
