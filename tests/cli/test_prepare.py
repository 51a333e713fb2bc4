"""ethtune prepare: every record accounted for, the same bytes again, nothing half written."""

from __future__ import annotations

import gzip
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
from ethtune.services import workers
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


def accounted(manifest: dict) -> int:
    left_out = (*manifest["rejected"].values(), *manifest["limited"].values())
    return manifest["kept"] + manifest["duplicates"] + sum(left_out)


def test_an_export_becomes_three_splits_with_card_and_manifest(export, tmp_path) -> None:
    output = tmp_path / "data"
    result = run("--input", export, "--output", output)
    assert result.exit_code == 0, result.output
    assert "transfer" in result.stdout
    assert f"ethtune validate-data {output}" in result.stderr.replace("\n", "")
    manifest = json.loads((output / "manifest.json").read_text())
    assert manifest["read"] == 300
    assert manifest["read"] == accounted(manifest)
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
    assert list(report["limited"]) == ["more rows of one class than --max-per-class"]
    assert report["read"] == accounted(report)


def test_one_contract_does_not_take_a_class_over(tmp_path) -> None:
    popular, other = "0x" + "c3" * 20, "0x" + "d4" * 20
    lines = [
        transfer(n, **{"from": f"0x{n:040x}", "to": popular if n <= 900 else other,
                       "value": "0", "input": f"0x1234abcd{n:064x}"})
        for n in range(1, 1201)
    ]  # fmt: skip
    source = write(tmp_path / "x.jsonl", *lines)
    report = json.loads(run("-i", source, "-o", tmp_path / "d", "--json").stdout)
    assert report["limited"] == {"one contract's share of its class": 1100}
    result = run("-i", source, "-o", tmp_path / "e", "--max-contract-share", 1, "--json")
    assert json.loads(result.stdout)["kept"] == 1200


def test_a_bot_that_repeats_itself_is_limited(tmp_path) -> None:
    source = write(tmp_path / "x.jsonl", *(transfer(number) for number in range(1, 100)))
    report = json.loads(run("-i", source, "-o", tmp_path / "d", "--json").stdout)
    assert report["kept"] == 20
    assert sum(report["limited"].values()) == 79
    result = run("-i", source, "-o", tmp_path / "e", "--max-alike", 50, "--json")
    assert json.loads(result.stdout)["kept"] == 50


def test_small_classes_are_left_out_and_named(export, tmp_path) -> None:
    result = run("-i", export, "-o", tmp_path / "d", "--min-per-class", 20, "--json")
    report = json.loads(result.stdout)
    counts = Counter()
    for split in report["splits"].values():
        counts.update(split["actions"])
    assert min(counts.values()) >= 20
    assert report["read"] == accounted(report)
    assert "fewer than --min-per-class: left out" in result.stderr


def test_augmented_rows_are_for_training_and_grounded(export, tmp_path) -> None:
    output = tmp_path / "data"
    arguments = ("--augment", 1, "--min-per-class", 12, "--json")
    report = json.loads(run("-i", export, "-o", output, *arguments).stdout)
    train = rows(output, "train")
    origins = {row["id"]: row for row in train if "of" not in row["meta"]}
    augmented = [row for row in train if "of" in row["meta"]]
    assert len(augmented) == sum(report["augmented"].values()) > 0.8 * len(origins)
    assert len({row["id"] for row in train}) == len({row["input"] for row in train}) == len(train)
    for row in augmented:
        origin = origins[row["meta"]["of"]]
        assert row["meta"]["augmented"]
        for key in ("action", "protocol"):
            assert row["meta"][key] == origin["meta"][key]
        assert ungrounded(parse_intent(row["output"]), row["input"]) == []
    assert {name for row in augmented for name in row["meta"]["augmented"]} >= {
        "addresses", "amounts",
    }  # fmt: skip
    for split in ("validation", "test"):
        assert all("of" not in row["meta"] for row in rows(output, split))
    assert report["read"] == accounted(report)


def test_the_users_labels_are_renamed_when_their_rows_are_augmented(tmp_path) -> None:
    payee = "0x51c0d3e9a1f24b6d8795b2fa8c60e3d4f7a98b12"
    source = write(tmp_path / "x.jsonl", *(transfer(n, to=payee) for n in range(1, 13)))
    mine = {"action": "deposit", "outcome": "success", "recipient": payee}
    label = json.dumps({"hash": f"0x{1:064x}", "intent": mine})
    labels = write(tmp_path / "labels.jsonl", label)
    output = tmp_path / "data"
    run("-i", source, "-o", output, "--labels", labels, "--augment", 3, "--split", 1, 0, 0)
    (origin, *copies) = [
        row for row in rows(output, "train") if row["meta"]["label_source"] == "user"
    ]
    assert copies
    for row in copies:
        assert row["meta"]["augmented"] == ["addresses"]
        recipient = json.loads(row["output"])["recipient"]
        assert recipient == json.loads(row["input"])["to"] != payee
        assert row["output"].replace(recipient, payee) == origin["output"]


@pytest.mark.parametrize("extra", [(), ("--augment", 0.5, "--split-by", "random")])
def test_any_number_of_workers_writes_the_same_bytes(export, tmp_path, monkeypatch, extra) -> None:
    monkeypatch.setattr(workers, "ALONE_ITEMS", 31)
    monkeypatch.setattr(workers, "CHUNK_ITEMS", 17)
    for count in (1, 2, 3):
        result = run("-i", export, "-o", tmp_path / str(count), "--workers", count, *extra)
        assert result.exit_code == 0, result.output
    one, two, three = (digest(tmp_path / name) for name in "123")
    assert one == two == three


def test_real_rows_are_the_same_with_workers(real_data, tmp_path) -> None:
    source = real_data / "mainnet_receipts.jsonl.gz"
    for count in (1, 2):
        run("-i", source, "-o", tmp_path / str(count), "--workers", count, "--limit", 2500)
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


def test_lengths_on_the_card_are_tokens_where_a_model_is_named(
    export, tmp_path, tiny_model
) -> None:
    for name, arguments in (("plain", ()), ("tokens", ("--base-model", tiny_model))):
        result = run("-i", export, "-o", tmp_path / name, "--limit", 40, *arguments)
        assert result.exit_code == 0, result.output
    plain, tokens = digest(tmp_path / "plain"), digest(tmp_path / "tokens")
    assert plain["train.jsonl"] == tokens["train.jsonl"]
    lengths = json.loads((tmp_path / "tokens" / "manifest.json").read_text())["lengths"]
    longest = max(len(row["input"]) for row in rows(tmp_path / "tokens", "train"))
    assert lengths["splits"]["train"]["max"] > longest  # one token a byte, and the template's
    assert "| tokens | p50 |" in (tmp_path / "tokens" / "README.md").read_text()


def test_a_pattern_names_every_file_it_matches(tmp_path) -> None:
    for name, numbers in (("a1.jsonl", range(1, 9)), ("a2.jsonl", range(9, 17)), ("b.jsonl", [])):
        write(tmp_path / name, *map(transfer, numbers))
    result = run("-i", tmp_path / "a*.jsonl", "-o", tmp_path / "data", "--json")
    report = json.loads(result.stdout)
    assert report["kept"] == 16
    assert [source["name"] for source in report["sources"]] == ["a1.jsonl", "a2.jsonl"]


def test_a_file_that_breaks_off_is_a_warning(tmp_path) -> None:
    content = gzip.compress("\n".join(map(transfer, range(1, 200))).encode())
    (tmp_path / "x.jsonl.gz").write_bytes(content[: len(content) // 2])
    result = run("-i", tmp_path / "x.jsonl.gz", "-o", tmp_path / "data")
    assert "x.jsonl.gz" in result.stderr
    assert (tmp_path / "data" / "rejected.jsonl").read_text().count("\n") == 1


def test_nothing_is_left_behind_when_stopped(export, tmp_path, monkeypatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ethtune.services.preparation.write_splits", stop)
    result = run("--input", export, "--output", tmp_path / "data")
    assert result.exit_code == 130
    assert list(tmp_path.iterdir()) == []


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


def test_labels_that_name_no_transaction_are_reported(tmp_path) -> None:
    source = write(tmp_path / "x.jsonl", *(transfer(number) for number in range(1, 13)))
    mine = {"action": "unknown", "outcome": "success"}
    lines = [json.dumps({"hash": f"0x{n:064x}", "intent": mine}) for n in (1, 1, 77, 78)]
    labels = write(tmp_path / "labels.jsonl", *lines)
    result = run("-i", source, "-o", tmp_path / "d", "--labels", labels, "--json")
    report = json.loads(result.stdout)
    assert report["own_labels"] == {"given": 3, "used": 1, "repeated": 1}
    assert "2 of your labels name no transaction" in result.stderr
    assert f"{77:064x}" in result.stderr.replace("\n", "")


@pytest.mark.parametrize(
    "protocol", ['"=cmd()"', '"\\ud800"', '"a\\u0000b"', "[" * 99_999, '{"a":1}']
)
def test_labels_of_any_kind_are_refused_with_their_place(tmp_path, protocol) -> None:
    source = write(tmp_path / "x.jsonl", transfer(1))
    intent = f'{{"action":"transfer","protocol":{protocol}}}'
    labels = write(tmp_path / "l.jsonl", f'{{"hash":"0x1","intent":{intent}}}')
    result = run("--input", source, "--output", tmp_path / "data", "--labels", labels)
    assert result.exit_code == 4, result.output
    assert "l.jsonl:1" in result.stderr


def test_half_a_character_in_a_label_costs_that_row_alone(tmp_path) -> None:
    source = write(tmp_path / "x.jsonl", *(transfer(number) for number in range(1, 13)))
    mine = '{"action":"transfer","via":["\\ud800"],"outcome":"success"}'
    labels = write(tmp_path / "l.jsonl", f'{{"hash":"0x{1:064x}","intent":{mine}}}')
    result = run("-i", source, "-o", tmp_path / "data", "--labels", labels)
    assert result.exit_code == 4
    assert "l.jsonl:1" in result.stderr


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


@pytest.mark.parametrize(
    "flags",
    [
        ("--max-contract-share", 0),
        ("--max-contract-share", 1.5),
        ("--augment", -1),
        ("--augment", 21),
        ("--augment", "nan"),
        ("--max-per-class", 5, "--min-per-class", 6),
        ("--workers", 0),
    ],
)
def test_flags_that_make_no_sense_are_refused(export, tmp_path, flags) -> None:
    result = run("--input", export, "--output", tmp_path / "data", *flags)
    assert result.exit_code == 2
    assert flags[0] in result.stderr
    assert not (tmp_path / "data").exists()


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
