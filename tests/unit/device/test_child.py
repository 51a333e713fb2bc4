"""Whatever happens to the child becomes a result."""

import sys

import pytest

from ethtune.device.child import run_probe


def test_json_lines_come_back_and_noise_is_dropped():
    result = run_probe(
        "print('noise'); print('{\"a\": 1}'); print('{not json')", timeout_seconds=20
    )
    assert result.lines == ({"a": 1},)
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
    assert run_probe("import json; print(json.dumps({}))", timeout_seconds=20).problem is None


def test_environment_reaches_the_child():
    source = "import os, json; print(json.dumps({'x': os.environ['PROBE_X']}))"
    assert run_probe(source, timeout_seconds=20, environment={"PROBE_X": "1"}).lines == (
        {"x": "1"},
    )
