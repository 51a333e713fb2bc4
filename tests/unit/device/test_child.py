"""Whatever happens to the child becomes a result."""

import sys

import pytest

from ethtune.device.child import run_probe

END = """print('{"stage": "end"}')"""


def test_json_lines_come_back_and_noise_is_dropped():
    result = run_probe(
        f"print('noise'); print('{{\"a\": 1}}'); print('{{not json'); {END}", timeout_seconds=20
    )
    assert result.lines[0] == {"a": 1}
    assert result.problem is None


def test_a_traceback_is_its_last_line():
    result = run_probe(
        "print('{\"begun\": 1}')\nraise ImportError('no such thing')", timeout_seconds=20
    )
    assert result.problem == "ImportError: no such thing"
    assert result.lines == ({"begun": 1},)


def test_an_exit_without_words_names_its_code():
    assert run_probe("raise SystemExit(7)", timeout_seconds=20).problem == "ended with exit code 7"


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_crash_names_its_signal():
    source = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
    assert run_probe(source, timeout_seconds=20).problem == "ended by SIGSEGV"


def test_a_hang_is_ended():
    result = run_probe("import time; time.sleep(60)", timeout_seconds=0.5)
    assert result.problem == "did not finish within 0.5 s"
    assert result.seconds < 10


def test_the_working_folder_does_not_shadow_packages(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise RuntimeError('shadowed')")
    monkeypatch.chdir(tmp_path)
    assert run_probe(f"import json; {END}", timeout_seconds=20).problem is None


def test_environment_reaches_the_child():
    source = "import os, json; print(json.dumps({'x': os.environ['PROBE_X']}))"
    result = run_probe(source, timeout_seconds=20, environment={"PROBE_X": "1"})
    assert result.lines == ({"x": "1"},)


def test_an_end_in_the_middle_without_an_error_is_a_problem():
    result = run_probe("import os; os._exit(0)", timeout_seconds=20)
    assert result.problem == "the process ended in the middle, without an error"


def test_output_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr("ethtune.device.child._OUTPUT_BYTES", 1 << 20)
    result = run_probe("while True: print('x' * 1000)", timeout_seconds=20)
    assert result.problem == "printed more than 1 MiB"


def test_arrays_nested_without_end_are_noise():
    source = "print('{\"a\": ' + '[' * 100000)"
    assert run_probe(source, timeout_seconds=20).lines == ()
