"""What every part of a training is told: its folder, its config, and whom to tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ethtune.core.config import Config
from ethtune.core.events import Emit
from ethtune.core.runfolder import RunFolder
from ethtune.core.signals import StopSignals


@dataclass(frozen=True, slots=True)
class RunContext:
    """``emit`` is where events go, ``signals`` what may ask for a stop.

    ``card`` makes README.md of the finished adapter, given the SHA-256 of its weights.
    """

    run: RunFolder
    config: Config
    emit: Emit
    signals: StopSignals
    card: Callable[[str], str]
