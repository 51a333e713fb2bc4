"""Every file event of a training as the moment of a crash, judged by ckpt-chaos.

    pip install ckpt-chaos
    python benchmarks/reliability/chaos.py [--what ethtune stock] [--modes MODE...]
        [--points N] [--jobs N] [--work FOLDER] [--output FILE.json]

before     the process ends right before the event
torn       the file is cut to half its size, then the process ends
unsynced   what was written and not synced is undone, then the process ends

ethtune    ``ethtune train``, three of four checkpoints kept: a removal is crashed into too
stock      transformers' Trainer with LoRA, resumed as its documentation has it

After each crash the run goes on (``go_on.py``). The judge asks for an exit code of 0, the newest
checkpoint that was complete, and a final adapter equal to that of a run that nothing happened to.
Anything else, LOST_WORK too, is a failure; one of ethtune's ends this program with exit code 1.

Without ``--points`` every event is crashed at. With it a mode's events are cut into that many
parts and one of each is taken: a removal, a commit, the publishing of the result, a file of
weights, else the one in the middle.

A full sweep takes long, so a mode can be run by itself: ``--output`` keeps what the file says of
the other modes. ``--work`` keeps what was crashed, ``FOLDER/ethtune-before`` and so on; what has
its folder there already is not run again but judged, as far as it came.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any

from ckpt_chaos import byo
from ckpt_chaos.runner import Row, rejudge
from tiny import ENVIRONMENT, ETHTUNE, prepare, train_words

HERE = Path(__file__).resolve().parent
MODES = ("before", "torn", "unsynced")
DECISIVE = (
    "os.rename checkpoint-",
    "os.rename .staging",
    "os.rename adapter_model",
    "safetensors.save_file",
)
STEP = r"(?:Resuming at step|is at step) (\d+)"
EVERYTHING = 100_000
VERSIONS = ("ethtune", "ckpt-chaos", "torch", "transformers", "peft", "safetensors")
SETTINGS = ("training.max_steps=4", "logging.save_steps=1", "logging.save_total_limit=3")
FileEvent = tuple[int, str, str, bool]
"""Number, call, name of the file, and whether it can be torn."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is crashed, what goes on afterwards, and the file that must come out the same."""

    train: list[str]
    resume: list[str]
    result: str


def main() -> int:
    """Judge each subject and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--what", nargs="+", choices=["ethtune", "stock"], default=["ethtune"])
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    parser.add_argument("--points", type=int, default=EVERYTHING, help="crash points a mode")
    parser.add_argument("--jobs", type=int, default=2, help="crash points at a time")
    parser.add_argument("--work", type=Path, help="folder in which the crashed runs are kept")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    arguments = parser.parse_args()
    has_failed = False
    with tempfile.TemporaryDirectory() as folder:
        work = (arguments.work or Path(folder)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        model, data = prepare(work)
        for name in arguments.what:
            place = work / "-".join((name, *arguments.modes))
            if not place.exists():
                judge(subject(name, model, data), place, arguments)
            found = results_of(place)
            print(f"{name}: {json.dumps(found, indent=1)}", flush=True)
            if arguments.output:
                write_into(arguments.output, name, found)
            has_failed |= name == "ethtune" and not all(map(has_passed, found.values()))
    return int(has_failed)


def subject(name: str, model: Path, data: Path) -> Subject:
    """The commands, with ``{out}`` for the run folder."""
    if name == "stock":
        line = [sys.executable, str(HERE / "stock.py"), str(model), str(data), "{out}"]
        return Subject(line, line, "{out}/result/adapter_model.safetensors")
    train = [*ETHTUNE, *train_words(model, data, *SETTINGS), "--output", "{out}"]
    resume = [sys.executable, str(HERE / "go_on.py"), "{out}", *train]
    return Subject(train, resume, "{out}/adapter_model.safetensors")


def judge(what: Subject, work: Path, arguments: argparse.Namespace) -> None:
    """What ``ckpt-chaos run`` does; it says itself how far it is. Only its points are ours."""
    os.environ.update(ENVIRONMENT)
    byo._select = partial(chosen, arguments.points)
    byo.run_byo(
        what.train,
        what.resume,
        work,
        jobs=arguments.jobs,
        result_file=what.result,
        step_regex=STEP,
        modes=tuple(arguments.modes),
        checkpoint_glob="{out}/checkpoint-*",
    )


def chosen(
    points: int, events: list[FileEvent], _: int, modes: tuple[str, ...]
) -> list[tuple[int, str]]:
    """Which event is crashed at, and in which mode."""
    crashes: list[tuple[int, str]] = []
    for mode in modes:
        pool = [event for event in events if mode != "torn" or event[3]]
        count = min(points, len(pool))
        cuts = [len(pool) * part // count for part in range(count + 1)]
        crashes += [(weightiest(pool[start:end])[0], mode) for start, end in pairwise(cuts)]
    return crashes


def weightiest(part: list[FileEvent]) -> FileEvent:
    """Where a mistake would cost most."""
    for start in DECISIVE:
        for event in part:
            if f"{event[1]} {event[2]}".startswith(start):
                return event
    return part[len(part) // 2]


def results_of(work: Path) -> dict[str, dict[str, Any]]:
    """What was found, by mode."""
    rows, said = rejudge(work), {}
    for each in work.glob("pt_*/result.json"):
        record = json.loads(each.read_text(encoding="utf-8"))
        said[record["label"]] = record.get("resume_tail", "")
    events = len((work / "reference" / "events.log.rank0").read_text().splitlines())
    crashes = {mode: [row for row in rows if row.label.endswith(f" [{mode}]")] for mode in MODES}
    return {
        mode: {"events": events} | counts(found, said) for mode, found in crashes.items() if found
    }


def counts(crashes: list[Row], said: dict[str, str]) -> dict[str, Any]:
    """Of one mode, with every point that failed and the last that was said on going on."""
    calls = [row.label.partition(" ")[2].replace(":", " ", 1) for row in crashes]
    at = {start: sum(call.startswith(start) for call in calls) for start in DECISIVE}
    return {
        "points": len(crashes),
        "crashed": sum(row.crashed for row in crashes),
        "decisive": {start: count for start, count in at.items() if count},
        "newest_complete_steps": sorted({row.outcome.newest_complete_step for row in crashes}),
        "verdicts": dict(Counter(row.verdict for row in crashes)),
        "failures": [
            {"verdict": row.verdict, "point": row.label, "said": last_words(said[row.label])}
            for row in crashes
            if row.verdict != "PASS"
        ],
    }


def last_words(text: str) -> str:
    """The last line, without the folders that names stand in."""
    return re.sub(r"/\S*/", "", (text.strip().splitlines() or [""])[-1])


def has_passed(found: dict[str, Any]) -> bool:
    """Something was crashed at, and all of it was made good."""
    return found["points"] > 0 and not found["failures"]


def write_into(output: Path, name: str, found: dict[str, dict[str, Any]]) -> None:
    """Into the file, beside what it says of other subjects and modes."""
    document = json.loads(output.read_text(encoding="utf-8")) if output.is_file() else {}
    document["versions"] = {each: metadata.version(each) for each in VERSIONS}
    runs = document.setdefault("runs", {})
    runs[name] = runs.get(name, {}) | found
    output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
