"""What cannot work is refused at once, by name, with its exit code, and leaves nothing behind."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from hub_server import Hub

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


def test_more_long_rows_than_allowed(train):
    code, said = train("--set", "data.max_seq_length=600")
    assert code == 4
    assert re.search(
        r"error: \d+ of 104 training rows \([\d.]+ %\) are longer than 600 tokens and would be "
        r"left out; at most 1 % may be \(data.max_over_length_share\)\n"
        r"    0x[0-9a-f]{64}: [\d,]+ tokens\n",
        said,
    )
    assert re.search(
        r"try: --set data.max_seq_length=\d+ keeps 99 % of them, =\d+ all; or leave them out: "
        r"--set data.max_over_length_share=0.\d+\n",
        said,
    )


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
    assert "owner/name is not downloaded and HF_HUB_OFFLINE is set" in said
    assert "try: unset HF_HUB_OFFLINE" in said


def test_a_layer_that_the_model_has_not(train):
    code, said = train("--set", "lora.target_modules=[c_attn]")
    assert code == 3
    assert "it has no layer c_attn" in said
    assert "q_proj" in said


@pytest.fixture
def altered(tiny_model, place):
    """``altered(file, text)``: the tiny model without weights, one of its files another."""

    def write(name, text):
        folder = place / "altered"
        shutil.copytree(tiny_model, folder, ignore=shutil.ignore_patterns("*.safetensors"))
        (folder / name).write_text(text)
        return folder

    return write


def test_a_template_that_never_says_stop(train, altered):
    open_end = "{% for message in messages %}{{ message['content'] }}\n{% endfor %}"
    code, said = train(base_model=altered("chat_template.jinja", open_end))
    assert code == 3
    assert "ends an answer with no special token" in said
    assert "let chat_template.jinja there end an assistant's turn with {{ eos_token }}" in said


def test_a_template_that_shows_no_question(train, altered):
    answers_alone = (
        "{% for m in messages %}{% if m['role'] == 'assistant' %}{{ m['content'] }}<|im_end|>"
        "{% endif %}{% endfor %}"
    )
    code, said = train(base_model=altered("chat_template.jinja", answers_alone))
    assert (code, "the whole row would be learned" in said) == (4, True)


def test_contradictory_words_are_usage(refused):
    assert refused("train", "--num-epochs", "many")[0] == 2
    assert refused("train", "--learnin-rate", "1")[0] == 2
    assert refused("trian")[0] == 2


# -- the hub --------------------------------------------------------------------------------------


@pytest.fixture
def hub(monkeypatch, tmp_path_factory):
    """The hub that commands ask; the user has no login and nothing downloaded."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.setenv("HF_HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.endpoint)
    yield server
    server.close()


@pytest.mark.parametrize(
    ("says", "code", "evidence", "step"),
    [
        ((403, "GatedRepo"), 5, "owner/name is gated and there is no login", "accept its licence"),
        ((401, "RepoNotFound"), 3, "the hub has no owner/name, or shows it", "check the name"),
        ((404, "RevisionNotFound"), 3, "has owner/name, but no revision v9", "branch, a tag or a"),
    ],
    ids=["gated", "no such model", "no such revision"],
)  # fmt: skip
def test_a_model_that_the_hub_does_not_give(train, hub, says, code, evidence, step):
    hub.says = (*says, None)
    found, said = train("--set", "model.revision=v9", base_model="owner/name")
    assert found == code
    assert evidence in said
    assert step in said
    assert {path.partition("?")[0] for path, _ in hub.asked} == {
        "/api/models/owner/name/revision/v9"
    }


@pytest.mark.parametrize(
    ("access", "message", "evidence"),
    [
        ((403, "GatedRepo"), None, "gated and this login has not accepted it"),
        ((200, None), "Invalid credentials in Authorization header", "the token in HF_TOKEN"),
    ],
    ids=["not accepted", "not known"],
)
def test_a_login_that_does_not_open_the_model(train, hub, monkeypatch, access, message, evidence):
    monkeypatch.setenv("HF_TOKEN", "hf_canarycanarycanarycanary")
    hub.model, hub.access = {"id": "owner/name", "gated": "manual"}, access
    hub.says = (401, None, message) if message else hub.says
    code, said = train(base_model="owner/name")
    assert (code, evidence in said) == (5, True), said
    assert "hf auth login" in said
    assert "canary" not in said
    assert hub.asked[0][1] == "Bearer hf_canarycanarycanarycanary"


def test_a_hub_that_is_not_there(train, hub, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    code, said = train(base_model="owner/name")
    assert (code, "the hub cannot be reached: " in said) == (5, True)
    assert "download elsewhere and give the folder" in said


def test_a_download_that_the_disk_has_no_room_for(train, hub):
    weights = {"rfilename": "model.safetensors", "size": 10**18}
    hub.model = {"id": "owner/name", "siblings": [weights]}
    code, said = train(base_model="owner/name")
    assert code == 5
    assert "download 909494.7 TiB of " in said
    assert "export HF_HOME=/large/disk/huggingface" in said


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


def test_no_memory_for_the_run(train, altered, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv("ETHTUNE_CACHE", str(tmp_path))  # nothing is known from runs of other tests
    config = json.loads((tiny_model / "config.json").read_text())
    large = config | {"hidden_size": 2**16, "intermediate_size": 2**18, "num_hidden_layers": 64}
    folder = altered("config.json", json.dumps(large))
    code, said = train("--set", "quantization.load_in_4bit=false", base_model=folder)
    assert code == 5
    assert re.search(r"error: the run does not fit: it needs .* TiB to .* has .* GiB free", said)
    assert re.search(r"\n    --set quantization.load_in_4bit=true saves .* TiB; costs time", said)
    assert "--set optimization.check_memory=false tries it all the same" in said
    code, said = train("--set", "optimization.check_memory=false", base_model=folder)
    assert "does not fit" in said
    assert "cannot be loaded" in said, "it was tried"


def test_no_disk_for_checkpoints_of_such_a_rank(train):
    """Known from the model's shape alone."""
    code, said = train("--set", "lora.r=100000000000")
    assert code == 5
    assert "checkpoints " in said
    assert "choose another --output, or a smaller logging.save_total_limit" in said


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
