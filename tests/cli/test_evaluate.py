import json
import shutil

import pytest
import typer
from fake_run import INTENTS, answer_from, example, write_run
from typer.testing import CliRunner

from ethtune.cli.app import ErrorBoundary
from ethtune.cli.evaluate import evaluate
from ethtune.cli.predict import predict
from ethtune.core.intent import Intent

app = typer.Typer(cls=ErrorBoundary)
app.command()(evaluate)
app.command()(predict)


def ethtune(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def run(tmp_path):
    return write_run(tmp_path)


@pytest.fixture
def three_right(monkeypatch):
    table = {example(n, i).prompt: i.to_json() for n, i in enumerate(INTENTS)}
    table[example(1, INTENTS[1]).prompt] = Intent("swap", "weth", "success").to_json()
    return answer_from(monkeypatch, table)


def test_json_report_holds_figures_of_tuned_base_and_baseline(run, three_right):
    result = ethtune("evaluate", run, "--base", "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert list(report["models"]) == ["tuned", "base", "majority"]
    exact = {name: each["shares"]["exact_match"] for name, each in report["models"].items()}
    assert (exact["tuned"]["right"], exact["tuned"]["total"]) == (3, 4)
    assert (exact["base"]["right"], exact["majority"]["right"]) == (0, 0)
    assert report["models"]["base"]["shares"]["valid_json"]["right"] == 0
    assert report["models"]["majority"]["shares"]["action_accuracy"]["right"] == 2
    assert report["paired_exact_match"] == {
        "only_first_right": 3,
        "only_second_right": 0,
        "p_value": 0.25,
    }
    assert [each["adapter"] for each in three_right] == [run, None]


def test_the_screen_names_the_mistake_and_the_report(run, three_right):
    result = ethtune("evaluate", run)
    assert result.exit_code == 0, result.output
    assert "75.0 (30–95)" in result.stdout
    assert "wrap read as swap: 1" in result.stdout
    assert f"wrong: 0x{1:064x}" in result.stdout
    assert "report.md" in result.stdout


def test_report_folder_is_complete(run, three_right):
    ethtune("evaluate", run, "--base")
    folder = run / "evaluation" / "test"
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["num_rows"] == 4
    text = (folder / "report.md").read_text(encoding="utf-8")
    assert "| exact match | 4 | 75.0 % (30.1 to 95.4) | 0.0 % (0.0 to 49.0) |" in text
    lines = (folder / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["wrong"] for row in rows] == [[], ["action", "sent"], [], []]
    assert rows[0]["expected"] == INTENTS[0].as_dict()
    assert (folder / "predictions_base.jsonl").read_text(encoding="utf-8").count("not JSON") == 4


def test_output_and_no_save_decide_where_the_report_goes(run, three_right, tmp_path):
    ethtune("evaluate", run, "--no-save")
    assert not (run / "evaluation").exists()
    ethtune("evaluate", run, "--output", tmp_path / "elsewhere")
    assert (tmp_path / "elsewhere" / "report.json").is_file()
    assert not (run / "evaluation").exists()


@pytest.mark.parametrize(("percent", "exit_code"), [(75, 0), (75.1, 1)])
def test_fail_under_answers_with_the_exit_code(run, three_right, percent, exit_code):
    result = ethtune("evaluate", run, "--no-save", "--fail-under", percent)
    assert result.exit_code == exit_code, result.output


def test_limit_spreads_over_the_split(run, three_right):
    result = ethtune("evaluate", run, "--limit", 2)
    assert result.exit_code == 0, result.output
    lines = (run / "evaluation/test/predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in lines] == [f"0x{0:064x}", f"0x{2:064x}"]


def test_rows_without_an_intent_are_left_out_and_counted(run, three_right):
    with (run.parent / "data" / "test.jsonl").open("a", encoding="utf-8") as handle:
        handle.write('{"id":"0x9","instruction":"a","input":"b","output":"a swap"}\n')
    result = ethtune("evaluate", run, "--json")
    assert json.loads(result.stdout)["num_skipped"] == 1
    assert "1 rows are left out" in result.stderr


def test_without_a_finished_adapter_the_newest_complete_checkpoint_is_used(run, three_right):
    (run / "adapter_model.safetensors").unlink()
    for step in (5, 10, 20):
        (run / f"checkpoint-{step}").mkdir()
    for step in (5, 10):
        label = {"v": 2, "run": None, "step": step, "files": {}}
        (run / f"checkpoint-{step}" / "COMPLETE.json").write_text(json.dumps(label))
    result = ethtune("evaluate", run, "--json")
    assert json.loads(result.stdout)["step"] == 10
    assert "checkpoint of step 10" in result.stderr
    named = ethtune("evaluate", run / "checkpoint-5", "--json")
    assert json.loads(named.stdout)["step"] == 5
    assert (run / "evaluation" / "test-checkpoint-5" / "report.md").is_file()
    damaged = ethtune("evaluate", run / "checkpoint-20")
    assert (damaged.exit_code, "COMPLETE.json" in damaged.stderr) == (6, True)


def test_errors_say_what_is_missing(run, tmp_path):
    no_run = ethtune("evaluate", tmp_path / "nowhere")
    assert (no_run.exit_code, "no run at" in no_run.stderr) == (6, True)
    no_data = ethtune("evaluate", run, "--dataset", tmp_path / "nowhere")
    assert (no_data.exit_code, "nowhere" in no_data.stderr) == (4, True)
    shutil.rmtree(run.parent / "data")
    moved = ethtune("evaluate", run)
    assert moved.exit_code == 4
    (run / "adapter_model.safetensors").unlink()
    no_adapter = ethtune("evaluate", run)
    assert (no_adapter.exit_code, "has no adapter" in no_adapter.stderr) == (6, True)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("run", "--split", "testing"),
        ("run", "--limit", "0"),
        ("run", "--fail-under", "101"),
        ("run", "--no-save", "--output", "x"),
    ],
)
def test_wrong_usage_is_exit_code_2(arguments):
    assert ethtune("evaluate", *arguments).exit_code == 2
