"""What ails a run: its state and what stands around it in, diagnoses with evidence and advice out.

Pure: a diagnosis holds for what is given, whoever asks and however often. Given the diagnoses
``before``, one that stood needs clearly better figures to go than it needed worse ones to come, so
that none flickers.
"""

from __future__ import annotations

from collections.abc import Iterable

from ethtune.core.curverules import CURVE_RULES
from ethtune.core.diagnosis import Case, Diagnosis, Surroundings
from ethtune.core.events import Level
from ethtune.core.machinerules import MACHINE_RULES
from ethtune.core.runstate import RunState

_LEVELS: tuple[Level, ...] = ("error", "warning", "info")  # the gravest first
_RULES = MACHINE_RULES | CURVE_RULES


def diagnose(
    state: RunState, around: Surroundings, before: Iterable[Diagnosis] = ()
) -> tuple[Diagnosis, ...]:
    """All that holds, the gravest first."""
    standing = {diagnosis.kind for diagnosis in before}
    found = [rule(Case(state, around, kind in standing)) for kind, rule in _RULES.items()]
    return tuple(sorted(filter(None, found), key=lambda each: _LEVELS.index(each.level)))
