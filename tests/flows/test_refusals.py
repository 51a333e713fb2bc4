"""What cannot work is refused at once, by name, with its exit code, and leaves nothing behind."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from ethtune.services import preflight


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder that the user is in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes | None]:
    return {
        str(item.relative_to(folder)): item.read_bytes() if item.is_file() else None
        for item in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refused(ethtune, place):
    """``refused(*words)``: the command; it must have changed nothing in the folder."""

    def run(*words):
        before = contents(place)
        result = ethtune(*words)
        assert contents(place) == before
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        return result.exit_code, result.stderr

    return run


@pytest.fixture
def train(refused, tiny_model, dataset):
    """``train(dataset=…)``: the words of a training, others than given in place."""

    def run(*words, **flags):
        given = {"dataset": dataset, "base-model": tiny_model, "output": "run"}
        given |= {flag.replace("_", "-"): value for flag, value in flags.items()}
        return refused("train", *words, *(w for k, v in given.items() for w in (f"--{k}", v)))

    return run


@pytest.fixture
def rows(place, dataset):
    """``rows(text)``: a dataset folder whose train.jsonl is ``text``."""

    def write(text):
        folder = place / "rows"
        folder.mkdir()
        (folder / "train.jsonl").write_text(text, encoding="utf-8")
        return folder

    return write


GOOD = json.dumps({"instruction": "Read it.", "input": "{}", "output": '{"action":"swap"}'}) + "\n"


# -- data ----------------------------------------------------------------------------------------


def test_no_dataset_folder(train):
    code, said = train(dataset="nowhere")
    assert code == 4
    assert "nowhere" in said
    assert "ethtune prepare" in said


def test_no_dataset_named(refused, tiny_model):
    code, said = refused("train", "--base-model", tiny_model, "--output", "run")
    assert code == 3
    assert "no dataset is named" in said
    assert "--dataset FOLDER" in said


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_no_rows(train, rows, text):
    code, said = train(dataset=rows(text))
    assert code == 4
    assert "train.jsonl has no rows" in said


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("{not json\n", "not JSON"),
        ("[1, 2]\n", "expected a JSON object, found list"),
        ('{"text": "a finished text"}\n', "no key \"instruction\"; the row has ['text']"),
        ('{"messages": []}\n', "no key \"instruction\"; the row has ['messages']"),
        ('{"instruction": "a", "input": "b", "output": ""}\n', "output is empty"),
        ('{"instruction": "a", "input": "b", "output": 3}\n', "output is 3, expected a text"),
    ],
)
def test_a_bad_row_is_named_by_file_and_line(train, rows, line, fault):
    folder = rows(GOOD + line + GOOD)
    code, said = train(dataset=folder)
    assert code == 4
    assert f"{folder / 'train.jsonl'}:2: " in said
    assert fault in said
    assert "ethtune validate-data" in said


def test_bytes_that_are_no_text(train, rows):
    folder = rows(GOOD)
    (folder / "train.jsonl").write_bytes(GOOD.encode() + b'{"instruction": "\xff\xfe"}\n')
    code, said = train(dataset=folder)
    assert (code, "train.jsonl:2: not JSON" in said) == (4, True)


def test_a_bad_row_of_the_validation_split(train, rows):
    folder = rows(GOOD)
    (folder / "validation.jsonl").write_text("{}\n")
    code, said = train(dataset=folder)
    assert (code, "validation.jsonl:1: " in said) == (4, True)


def test_no_row_fits(train):
    code, said = train("--set", "data.max_seq_length=8")
    assert code == 4
    assert "none of the 104 training rows fits in 8 tokens" in said
    assert "raise data.max_seq_length" in said


def test_exports_are_no_dataset(train, dataset):
    code, said = train(dataset=dataset.parent / "raw")
    assert (code, "ethtune prepare" in said) == (4, True)


def test_a_table_without_calldata_is_no_export(refused, place):
    (place / "t.csv").write_text("hash,from,to,value\n0x1,0x2,0x3,4\n")
    code, said = refused("prepare", "--input", "t.csv", "--output", "data")
    assert code == 4
    assert "t.csv" in said
    assert "input" in said


@pytest.mark.parametrize(("name", "text"), [("none.csv", None), ("empty.csv", "")])
def test_nothing_to_prepare(refused, place, name, text):
    if text is not None:
        (place / name).write_text(text)
    code, said = refused("prepare", "--input", name, "--output", "data")
    assert (code, name in said) == (4, True)


# -- config --------------------------------------------------------------------------------------


def test_a_misspelt_key(train, place):
    (place / "c.yaml").write_text("training:\n  learning_rat: 1e-4\n")
    code, said = train("--config", "c.yaml")
    assert code == 3
    assert 'c.yaml:2:3: unknown key "learning_rat"' in said
    assert "did you mean learning_rate?" in said
    assert "    learning_rat: 1e-4" in said


def test_an_unknown_profile(train):
    code, said = train("--profile", "13gb")
    assert code == 3
    assert 'no profile "13gb"' in said
    assert "profiles: 8gb, 12gb" in said


def test_a_flag_and_a_set_that_disagree(train):
    code, said = train("--learning-rate", "1e-4", "--set", "training.learning_rate=1e-3")
    assert (code, "training.learning_rate is given twice" in said) == (3, True)


def test_a_base_model_that_is_not_there(train):
    code, said = train(base_model="./nowhere")
    assert code == 3
    assert "no such folder" in said
    assert "--base-model smollm2-135m works offline" in said


def test_a_base_model_that_the_hub_would_have(train):
    code, said = train(base_model="owner/name")
    assert code == 5
    assert "base model owner/name (hub) cannot be loaded" in said


def test_a_layer_that_the_model_has_not(train):
    """Known only once the weights are there: what was begun is taken away again."""
    code, said = train("--set", "lora.target_modules=[c_attn]")
    assert code == 3
    assert "has no linear layer c_attn" in said
    assert "q_proj" in said


def test_contradictory_words_are_usage(refused):
    assert refused("train", "--num-epochs", "many")[0] == 2
    assert refused("train", "--learnin-rate", "1")[0] == 2
    assert refused("trian")[0] == 2


# -- machine and run folder ----------------------------------------------------------------------


@pytest.mark.parametrize("content", ["file.txt", "manifest.json"])
def test_an_output_in_use(train, place, content):
    (place / "run").mkdir()
    (place / "run" / content).write_text("{}")
    code, said = train()
    assert code == 6
    assert "already" in said
    assert "choose another --output" in said


def test_an_output_that_is_a_file_or_below_one(train, place):
    (place / "run").write_text("")
    assert train()[0] == 6
    code, said = train(output="run/deeper")
    assert (code, "run/deeper" in said) == (5, True)


def test_an_empty_output_folder_is_welcome_and_left_as_it_was(train, place):
    (place / "run").mkdir()
    assert train(dataset="nowhere")[0] == 4


def test_a_tracker_that_is_not_installed(train, monkeypatch):
    monkeypatch.setattr("ethtune.services.preflight.find_spec", lambda name: None)
    code, said = train("--set", "logging.report_to=[wandb, mlflow]")
    assert code == 5
    assert "logging.report_to names wandb, mlflow, which is not installed" in said
    assert "pip install wandb mlflow" in said


def test_no_disk(train, monkeypatch):
    usage = SimpleNamespace(total=10**12, used=10**12, free=3_000_000)
    monkeypatch.setattr(preflight.shutil, "disk_usage", lambda _: usage)
    code, said = train()
    assert code == 5
    assert "has only 3 MB free" in said
    assert "free disk space" in said


def test_no_disk_for_the_checkpoints_of_this_adapter(train, monkeypatch, place):
    """Room for the smallest run, not for this one: known once the adapter is there."""
    real, free = shutil.disk_usage, iter([10**9, 1_000_000])

    def usage(path):
        return real(path)._replace(free=next(free))

    monkeypatch.setattr(shutil, "disk_usage", usage)
    code, said = train()
    assert code == 5
    assert "the run's checkpoints need up to" in said
    assert "save_total_limit" in said
