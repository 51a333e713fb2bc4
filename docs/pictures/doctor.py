"""Draws doctor.svg from a real run on this machine: ``python docs/pictures/doctor.py``."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from ethtune.core.compose import compose
from ethtune.services.diagnosis import diagnose
from ethtune.ui import doctor

# gated and large: on a machine without login and GPU there is something to see
MODEL = "llama-2-7b"
WIDTH = 92


def main() -> None:
    """Run doctor, keep what it prints."""
    console = Console(record=True, width=WIDTH, force_terminal=True, highlight=False)
    config = compose(overrides={"model.base_model": (MODEL, "picture")}).config
    doctor.stdout = console
    doctor.show_doctor(diagnose(config))
    target = Path(__file__).with_name("doctor.svg")
    console.save_svg(str(target), title=f"ethtune doctor --base-model {MODEL}")


main()
