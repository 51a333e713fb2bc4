"""Draws doctor.svg from a real run of doctor, but for the card, which is made up.

    HF_HUB_OFFLINE=1 python docs/pictures/doctor.py

The tests' driver library answers for a 12 GB card whose power is capped. Everything else is this
machine's: where torch is a build for CPUs, as on a machine that never had a card, doctor says so.
"""

from __future__ import annotations

import ctypes
import io
import os
import subprocess
import tempfile
from pathlib import Path

import pynvml
from rich.console import Console
from screen import save_screen

from ethtune.core.compose import compose
from ethtune.services.diagnosis import diagnose
from ethtune.ui import doctor

DRIVER = Path(__file__).parents[2] / "tests" / "native" / "fake_nvml.c"
CARD = """\
driver=570.86
cuda=12080
name=NVIDIA GeForce RTX 3060
total=12288
used=600
temp=48
util=3
power=17000
limit=110000
default=170000
cc=86
reasons=0x1
width=16
maxwidth=16
mode=0
process=err:6
"""
MODEL = "smollm2-135m"
WIDTH = 112


def main() -> None:
    """Run doctor, keep what it prints."""
    console = Console(
        file=io.StringIO(), record=True, width=WIDTH, force_terminal=True, highlight=False,
        color_system="truecolor",
    )  # fmt: skip
    chosen = {"model.base_model": (MODEL, "picture")}
    config = compose(profile="12gb", overrides=chosen).config
    doctor.stdout = console
    with tempfile.TemporaryDirectory() as folder:
        use_card(Path(folder))
        doctor.show_doctor(diagnose(config))
    title = f"ethtune doctor --profile 12gb --base-model {MODEL}"
    save_screen(console, Path(__file__).with_name("doctor.svg"), title)


def use_card(folder: Path) -> None:
    """Let NVML's binding speak to the made-up driver."""
    library, script = folder / "libnvidia-ml.so.1", folder / "card.txt"
    build = ("cc", "-shared", "-fPIC", "-o", str(library), str(DRIVER))
    subprocess.run(build, check=True)  # noqa: S603  # our own source
    script.write_text(CARD)
    os.environ["FAKE_NVML_SCRIPT"] = str(script)
    pynvml.nvmlLib = ctypes.CDLL(str(library))


if __name__ == "__main__":
    main()
