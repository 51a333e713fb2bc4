"""Learning-rate schedules: a name and its options in, what is wrong with them out.

Only schedules that are a function of the step: a resumed run finds its place in them again. Those
that follow the loss (``reduce_lr_on_plateau``, ``greedy``) are left out for that reason.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Literal

Schedule = Literal[
    "cosine", "linear", "constant", "constant_with_warmup", "cosine_with_restarts", "polynomial",
    "inverse_sqrt", "cosine_with_min_lr", "cosine_warmup_with_min_lr", "warmup_stable_decay",
]  # fmt: skip
Option = int | float | str

_FLOOR = frozenset({"min_lr", "min_lr_rate"})
_SHAPES = frozenset({"linear", "cosine", "1-sqrt"})
OPTIONS: Mapping[str, frozenset[str]] = {
    "cosine": frozenset({"num_cycles"}),
    "cosine_with_restarts": frozenset({"num_cycles"}),
    "polynomial": frozenset({"lr_end", "power"}),
    "inverse_sqrt": frozenset({"timescale"}),
    "cosine_with_min_lr": _FLOOR | {"num_cycles"},
    "cosine_warmup_with_min_lr": _FLOOR | {"num_cycles", "warmup_lr_rate"},
    "warmup_stable_decay": frozenset(
        {"num_decay_steps", "num_stable_steps", "warmup_type", "decay_type", "min_lr_ratio"}
        | {"num_cycles"}
    ),
}
"""What ``lr_scheduler_kwargs`` may hold, by schedule; the others take nothing."""


def schedule_faults(
    name: Schedule, options: Mapping[str, Option], *, learning_rate: float, warmup_steps: int
) -> Iterator[str]:
    """Sentences on what the training library would refuse later, or pass over."""
    yield from _unknown(name, options)
    yield from _wrong_values(options, learning_rate)
    floors = _FLOOR & options.keys()
    if OPTIONS.get(name, frozenset()) >= _FLOOR and len(floors) != 1:
        yield f"{name} needs one of min_lr and min_lr_rate, as {{min_lr_rate: 0.1}}"
    if name == "warmup_stable_decay" and "num_decay_steps" not in options:
        yield "warmup_stable_decay needs its last phase, as {num_decay_steps: 100}"
    if name == "constant" and warmup_steps:
        yield "constant has no warm-up: set warmup_steps to 0, or take constant_with_warmup"


def schedule_misfit(
    name: Schedule, options: Mapping[str, Option], *, warmup_steps: int, total_steps: int
) -> str | None:
    """What of the schedule is longer than the run; None where all of it has room."""
    if warmup_steps > total_steps:
        return f"the warm-up takes {warmup_steps} steps, the whole run {total_steps}"
    decay = int(options.get("num_decay_steps", 0)) if name == "warmup_stable_decay" else 0
    if warmup_steps + decay > total_steps:
        phases = f"warm-up and decay take {warmup_steps} + {decay} steps"
        return f"{phases}, the whole run {total_steps}"
    return None


def _unknown(name: str, options: Mapping[str, Option]) -> Iterator[str]:
    known = OPTIONS.get(name, frozenset())
    for option in options:
        if option not in known:
            near = difflib.get_close_matches(option, known, n=1)
            takes = f"it takes {', '.join(sorted(known)) or 'none'}"
            meant = f"did you mean {near[0]}?" if near else takes
            yield f'{name} has no option "{option}": {meant}'


def _wrong_values(options: Mapping[str, Option], learning_rate: float) -> Iterator[str]:
    for option, value in options.items():
        if option in ("warmup_type", "decay_type"):
            if value not in _SHAPES:
                yield f"{option} is {value}: it is one of {', '.join(sorted(_SHAPES))}"
        elif isinstance(value, str) or value < 0:
            yield f"{option} is {value}: it is a number of 0 or more"
        elif option.endswith("_steps") and not isinstance(value, int):
            yield f"{option} is {value}: steps are whole"
        elif option in ("min_lr", "lr_end") and value >= learning_rate:
            yield f"{option} is {value}, not below learning_rate, which is {learning_rate}"
        elif option.endswith(("_rate", "_ratio")) and value > 1:
            yield f"{option} is {value}: it is a share of the learning rate, 1 at most"
