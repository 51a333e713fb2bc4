"""A library that crashes, hangs, lies or prints: a finding, within the time limit, nothing else."""

import os
import sys
import time

import pytest

from ethtune.core.compose import compose
from ethtune.device.facts import gather_facts
from ethtune.device.probes import TIME_LIMITS_SECONDS
from ethtune.services.diagnosis import judge

TORCH = """
import types, sys
__version__ = "2.13.0"
version = types.SimpleNamespace(cuda=None, hip=None)
cuda = types.SimpleNamespace(is_available=lambda: False, device_count=lambda: 0)
"""
CRASH = "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)"
CONFIG = compose(profile="cpu").config
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")


@pytest.fixture
def with_stubs(tmp_path, monkeypatch):
    """Doctor's findings where packages of these sources stand before the real ones."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("ETHTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))

    def run(seconds=20.0, **sources):
        for name, source in sources.items():
            package = tmp_path / "stubs" / name
            package.mkdir(parents=True)
            (package / "__init__.py").write_text(source)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(
            [str(tmp_path / "stubs"), os.environ.get("PYTHONPATH", "")]))  # fmt: skip
        facts = gather_facts(CONFIG, limits={**TIME_LIMITS_SECONDS, "stack": seconds})
        return {item.id: item for item in judge(facts, CONFIG).findings}

    return run


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (CRASH, "torch: ended by SIGSEGV"),
        ("import os; os._exit(0)", "torch: the process ended in the middle"),
        ("import os; os._exit(3)", "torch: ended with exit code 3"),
        ("import sys; sys.exit('no licence')", "torch: no licence"),
        ("raise ImportError('libcusparse.so.12: undefined symbol')", "undefined symbol"),
        ("import time; time.sleep(600)", "torch: did not finish within 2 s"),
        ("while True: pass", "torch: did not finish within 2 s"),
    ],
    ids=["segfault", "exit 0", "exit 3", "sys.exit", "linker", "hang", "spin"],
)
def test_a_broken_torch_is_one_finding_and_no_hang(with_stubs, source, words):
    begin = time.monotonic()
    found = with_stubs(2.0 if "2 s" in words else 30.0, torch=source)
    assert time.monotonic() - begin < 35
    assert [item.id for item in found.values() if item.is_bad] == ["torch.cuda_build"]
    assert words in found["torch.cuda_build"].evidence
    assert "install --force-reinstall torch" in found["torch.cuda_build"].commands[0]
    assert found["python"].status == "ok", "the other checks are made"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (CRASH, "bitsandbytes: ended by SIGSEGV"),
        ("raise OSError('libbitsandbytes_cuda999.so: cannot open')", "cannot open"),
        ("import time; time.sleep(600)", "did not finish within 3 s"),
        ("print('{' * 100); print('[1, 2]'); print('{\"stage\": 7}'); " + CRASH, "SIGSEGV"),
    ],
    ids=["segfault", "linker", "hang", "garbage"],
)
def test_a_broken_bitsandbytes_leaves_torch_judged(with_stubs, source, words):
    found = with_stubs(3.0 if "3 s" in words else 30.0, torch=TORCH, bitsandbytes=source)
    assert found["torch.cuda_build"].status == "ok"
    assert [item.id for item in found.values() if item.is_bad] == ["bnb.native"]
    assert words in found["bnb.native"].evidence
    assert "bitsandbytes" in found["bnb.native"].commands[0]


def test_a_library_that_did_not_load_is_told_from_one_that_did(with_stubs):
    mock = "class ErrorHandlerMockBNBNativeLibrary: pass\nlib = ErrorHandlerMockBNBNativeLibrary()"
    source = (
        "import sys, types\n__version__ = '0.50.2'\n"
        "cextension = types.ModuleType('bitsandbytes.cextension')\n"
        f"exec({mock!r}, cextension.__dict__)\nsys.modules['bitsandbytes.cextension'] = cextension"
    )
    found = with_stubs(5.0, torch=TORCH, bitsandbytes=source)
    assert found["bnb.native"].status == "fail"
    assert "its library did not load" in found["bnb.native"].evidence
