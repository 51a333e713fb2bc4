"""Every file event of a training as the moment of a crash, judged by ckpt-chaos.

    pip install ckpt-chaos
    python benchmarks/reliability/chaos.py [--what ethtune stock] [--modes MODE...]
        [--points N] [--jobs N] [--output FILE.json]

before     the process ends right before the event
torn       the file is cut to half its size, then the process ends
unsynced   what was written and not synced is undone, then the process ends

ethtune    ``ethtune train``, three of four checkpoints kept: a removal is crashed into too
stock      transformers' Trainer with LoRA, resumed as its documentation has it

After each crash the run goes on (``go_on.py``). The judge asks for an exit code of 0, the newest
checkpoint that was complete, and a final adapter equal to that of a run that nothing happened to.
Anything else, LOST_WORK too, is a failure; one of ethtune's ends this program with exit code 1.
Without ``--points`` every event is crashed at, in every mode.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from tiny import ENVIRONMENT, ETHTUNE, prepare, train_words

HERE = Path(__file__).resolve().parent
MODES = ("before", "torn", "unsynced")
FAILURES = "HARD_FAIL,SILENT_DIVERGENCE,LOST_WORK,CONTROL_FAIL"
STEP = r"(?:Resuming at step|is at step) (\d+)"
EVERYTHING = 100_000
VERSIONS = ("ethtune", "ckpt-chaos", "torch", "transformers", "peft", "safetensors")
SETTINGS = ("training.max_steps=4", "logging.save_steps=1", "logging.save_total_limit=3")


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
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    arguments = parser.parse_args()
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        model, data = prepare(Path(folder))
        for name in arguments.what:
            work = Path(folder) / f"work-{name}"
            judge(subject(name, model, data), work, arguments)
            results[name] = result_of(work)
    document = {"versions": {name: metadata.version(name) for name in VERSIONS}, "runs": results}
    if arguments.output:
        arguments.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: result["verdicts"] for name, result in results.items()}, indent=1))
    ours = results.get("ethtune")
    return int(ours is not None and (bool(ours["failures"]) or not ours["points"]))


def subject(name: str, model: Path, data: Path) -> Subject:
    """The commands, with ``{out}`` for the run folder."""
    if name == "stock":
        line = [sys.executable, str(HERE / "stock.py"), str(model), str(data), "{out}"]
        return Subject(line, line, "{out}/result/adapter_model.safetensors")
    train = [*ETHTUNE, *train_words(model, data, *SETTINGS), "--output", "{out}"]
    resume = [sys.executable, str(HERE / "go_on.py"), "{out}", *train]
    return Subject(train, resume, "{out}/adapter_model.safetensors")


def judge(what: Subject, work: Path, arguments: argparse.Namespace) -> None:
    """One run of ckpt-chaos; it says itself how far it is."""
    started = time.perf_counter()
    words = [
        *(sys.executable, "-m", "ckpt_chaos", "run", "--work", str(work)),
        *("--modes", ",".join(arguments.modes)),
        *("--max-points", str(len(arguments.modes) * arguments.points)),
        *("--jobs", str(arguments.jobs), "--fail-on", FAILURES),
        *("--checkpoint-glob", "{out}/checkpoint-*", "--step-regex", STEP),
        *("--result-file", what.result, "--resume-cmd", shlex.join(what.resume)),
        *("--", *what.train),
    ]
    subprocess.run(words, env=ENVIRONMENT, check=False)
    print(f"{time.perf_counter() - started:.0f} s")


def result_of(work: Path) -> dict[str, Any]:
    """Counts by mode and verdict, and every point that failed."""
    from ckpt_chaos.runner import rejudge

    rows = rejudge(work)
    crashes = [row for row in rows if row.label.endswith("]")]
    verdicts: dict[str, Counter[str]] = {mode: Counter() for mode in MODES}
    for row in crashes:
        verdicts[row.label.rpartition("[")[2].rstrip("]")][row.verdict] += 1
    return {
        "points": len(crashes),
        "crashed": sum(row.crashed for row in crashes),
        "newest_complete_steps": sorted({row.outcome.newest_complete_step for row in crashes}),
        "verdicts": {mode: dict(counts) for mode, counts in verdicts.items() if counts},
        "failures": [f"{row.verdict}: {row.label}" for row in rows if row.verdict != "PASS"],
    }


if __name__ == "__main__":
    sys.exit(main())
