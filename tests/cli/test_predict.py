import json

import pytest
import typer
from fake_run import INTENTS, answer_from, example, write_run
from typer.testing import CliRunner

from ethtune.chain.describe import describe
from ethtune.chain.tokens import TokenRegistry
from ethtune.cli.app import ErrorBoundary
from ethtune.cli.evaluate import evaluate
from ethtune.cli.predict import predict
from ethtune.core.example import Example
from ethtune.core.intent import Intent, Movement
from ethtune.core.transaction import Transaction
from ethtune.dataset.prompts import INSTRUCTION, render

app = typer.Typer(cls=ErrorBoundary)
app.command()(evaluate)
app.command()(predict)

USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
RECIPIENT = "0x" + "7" * 40
TRANSFER = {
    "hash": "0x" + "1" * 64,
    "from": "0x" + "2" * 40,
    "to": USDC,
    "value": "0",
    "input": "0xa9059cbb" + RECIPIENT[2:].rjust(64, "0") + f"{1_500_000:064x}",
    "gas_used": 50_000,
    "effective_gas_price": 10_000_000_000,
}
READ = Intent("transfer", "erc20", "unknown", sent=(Movement("USDC", "1.5"),), recipient=RECIPIENT)


def ethtune(*arguments, stdin=None):
    return CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)


def rows(result):
    return [json.loads(line) for line in result.stdout.splitlines()]


def prompt_of(row):
    transaction = Transaction(
        hash=row["hash"], sender=row["from"], to=row["to"], value_wei=0, calldata=row["input"]
    )
    text = render(describe(transaction, TokenRegistry()))
    return Example(row["hash"], INSTRUCTION, text, "{}").prompt


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path)


@pytest.fixture
def export(tmp_path):
    path = tmp_path / "transactions.jsonl"
    path.write_text(json.dumps(TRANSFER) + "\n", encoding="utf-8")
    return path


def test_facts_that_need_no_model_are_joined(run, export, monkeypatch):
    answer_from(monkeypatch, {prompt_of(TRANSFER): READ.to_json()})
    result = ethtune("predict", run, "--input", export)
    assert result.exit_code == 0, result.output
    (row,) = rows(result)
    assert row["sent"] == [
        {
            "asset": "USDC",
            "amount": "1.5",
            "address": USDC,
            "decimals": 6,
            "raw_amount": "1500000",
        }
    ]
    assert (row["hash"], row["actor"], row["recipient"]) == (
        TRANSFER["hash"],
        TRANSFER["from"],
        RECIPIENT,
    )
    assert row["fee_eth"] == "0.0005"
    assert (row["valid"], row["grounded"]) == (True, True)


def test_an_amount_that_the_transaction_does_not_hold_is_marked(run, export, monkeypatch):
    invented = Intent("transfer", "erc20", "unknown", sent=(Movement("USDC", "98.76"),))
    answer_from(monkeypatch, {}, otherwise=invented.to_json())
    (row,) = rows(ethtune("predict", run, "--input", export))
    assert (row["valid"], row["grounded"]) == (True, False)
    assert any("98.76" in item for item in row["ungrounded"])


def test_stdin_reads_like_a_file(run, export, monkeypatch):
    answer_from(monkeypatch, {}, otherwise=READ.to_json())
    result = ethtune("predict", run, "--input", "-", stdin=export.read_text(encoding="utf-8"))
    assert [row["hash"] for row in rows(result)] == [TRANSFER["hash"]]


def test_prepared_rows_answer_in_their_order(run, monkeypatch):
    answer_from(monkeypatch, {example(n, i).prompt: i.to_json() for n, i in enumerate(INTENTS)})
    data = run.parent / "data" / "test.jsonl"
    result = ethtune("predict", run, "--input", data, "--batch-size", 1, "--limit", 3)
    assert [row["action"] for row in rows(result)] == ["transfer", "wrap", "approve"]
    assert "3 transactions, 3 answers are intents" in result.stderr


def test_an_answer_that_is_no_intent_keeps_its_text_and_fails_only_alone(run, monkeypatch):
    first = example(0, INTENTS[0])
    answer_from(monkeypatch, {first.prompt: first.output})
    data = run.parent / "data" / "test.jsonl"
    some = ethtune("predict", run, "--input", data)
    assert some.exit_code == 0
    assert [row["valid"] for row in rows(some)] == [True, False, False, False]
    assert rows(some)[1]["text"] == "I cannot tell."
    assert "not JSON" in rows(some)[1]["error"]
    answer_from(monkeypatch, {})
    assert ethtune("predict", run, "--input", data).exit_code == 1


def test_rows_with_prompts_of_another_making_are_answered_all_the_same(run, tmp_path, monkeypatch):
    answer_from(monkeypatch, {}, otherwise=READ.to_json())
    foreign = tmp_path / "guide.jsonl"
    foreign.write_text('{"instruction":"Decode","input":"Hash: 0x1","output":"{}"}\n')
    (row,) = rows(ethtune("predict", run, "--input", foreign))
    assert row["valid"] is True
    assert "grounded" not in row


def test_unreadable_rows_are_told_and_the_rest_answered(run, export, monkeypatch):
    answer_from(monkeypatch, {}, otherwise=READ.to_json())
    with export.open("a", encoding="utf-8") as handle:
        handle.write('{"hash": "0x12"}\nnot json\n')
    result = ethtune("predict", run, "--input", export)
    assert len(rows(result)) == 1
    assert f"{export}:2" in result.stderr
    assert f"{export}:3" in result.stderr


def test_errors_say_what_is_missing(run, export, tmp_path, monkeypatch):
    answer_from(monkeypatch, {})
    assert ethtune("predict", run).exit_code == 2
    assert ethtune("predict", tmp_path / "nowhere", "--input", export).exit_code == 6
    assert ethtune("predict", run, "--input", tmp_path / "nowhere").exit_code == 4
    (tmp_path / "empty.jsonl").touch()
    assert ethtune("predict", run, "--input", tmp_path / "empty.jsonl").exit_code == 4
