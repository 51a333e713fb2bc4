"""A driver library that says what a test tells it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "native" / "fake_nvml.c"
RTX_3060 = {
    "driver": "570.86",
    "cuda": "12080",
    "name": "NVIDIA GeForce RTX 3060",
    "total": "12288",
    "used": "1024",
    "temp": "61",
    "util": "98",
    "power": "168000",
    "limit": "170000",
    "cc": "86",
    "reasons": "0x4",
}


def _build(folder: Path, *options: str) -> Path:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux to build the fake driver library")
    library = folder / "libnvidia-ml.so.1"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), *options]
    subprocess.run(command, check=True)
    return folder


@pytest.fixture(autouse=True)
def _may_go_online(monkeypatch):
    """These checks only read whether the user forbade it: the suite's own word is none."""
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def fake_driver(tmp_path_factory) -> Path:
    return _build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(scope="session")
def old_driver(tmp_path_factory) -> Path:
    return _build(tmp_path_factory.mktemp("old-nvml"), "-DOLD_DRIVER")


@pytest.fixture
def with_driver(tmp_path):
    """Run Python source under a scripted driver; the JSON it prints comes back."""

    def run(driver: Path, source: str, **script: str) -> object:
        file = tmp_path / "script.txt"
        lines = {**RTX_3060, **script}
        file.write_text(
            "".join(f"{key.replace('__', '.')}={value}\n" for key, value in lines.items())
        )
        environment = {**os.environ, "LD_LIBRARY_PATH": str(driver), "FAKE_NVML_SCRIPT": str(file)}
        done = subprocess.run(
            [sys.executable, "-c", source],
            env=environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
