"""SIGKILL at random moments, resumed three times in a row: is the adapter the uninterrupted one's?

    python benchmarks/reliability/kills.py [--kills 24] [--seed 1] [--output FILE.json]

Each run is killed three times. A kill waits for a step drawn from those that are left, then for a
random share of the time that a step with its checkpoint takes, so that steps, saves and rotations
are all hit. A process that ended before its kill counts as none. Exit code 1 when any final adapter
differs by a bit.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

from tiny import ENVIRONMENT, ETHTUNE, prepare, train_words

STEPS, KILLS_IN_A_ROW = 30, 3
SETTINGS = (
    f"training.max_steps={STEPS}",
    "logging.save_steps=2",
    "logging.save_total_limit=2",
    "logging.eval_strategy=steps",
    "logging.eval_steps=5",
    "data.max_eval_samples=2",
    "quantization.load_in_4bit=true",
)
NOTHING_LEFT = 6  # of a run that was faster than its last kill
VERSIONS = ("ethtune", "torch", "transformers", "peft", "bitsandbytes")


def main() -> int:
    """Kill, compare, write down."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=24, help="how many must hit")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    runs: list[dict[str, Any]] = []
    num_kills = 0
    with tempfile.TemporaryDirectory() as folder:
        model, data = prepare(Path(folder))
        train = [*ETHTUNE, *train_words(model, data, *SETTINGS)]
        straight = Path(folder) / "straight"
        go(train, straight)
        while num_kills < arguments.kills:
            run = Path(folder) / f"run-{len(runs)}"
            kills = list(killed(run, train, chance))
            num_kills += len(kills)
            go([*ETHTUNE, "resume"], run, accepted=(0, NOTHING_LEFT))
            is_same = sha256(run) == sha256(straight)
            runs.append({"kills": kills, "same": is_same})
            print(f"{num_kills}: {'same' if is_same else 'DIFFERS'} {kills}", flush=True)
    document: dict[str, Any] = {
        "versions": {name: metadata.version(name) for name in VERSIONS},
        "seed": arguments.seed,
        "steps": STEPS,
        "kills": num_kills,
        "runs_with_the_same_adapter": sum(run["same"] for run in runs),
        "runs": runs,
    }
    if arguments.output:
        arguments.output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return int(not all(run["same"] for run in runs))


def killed(run: Path, train: list[str], chance: random.Random) -> Iterator[dict[str, int | None]]:
    """What each kill met: the step waited for, the last one logged, the newest checkpoint left."""
    done = 0
    for left in range(KILLS_IN_A_ROW, 0, -1):
        wanted = chance.randint(done + 1, done + max((STEPS - done) // left, 1))
        is_run = (run / "manifest.json").is_file()
        line = [*ETHTUNE, "resume", str(run)] if is_run else [*train, "--output", str(run)]
        offset = size_of(run / "events.jsonl")
        process = subprocess.Popen(line, env=ENVIRONMENT, stdout=-3, stderr=-3)
        while process.poll() is None and step_after(run, offset) < wanted:
            time.sleep(0.002)
        time.sleep(chance.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        if process.wait() != -signal.SIGKILL:
            continue
        saved = [int(item.name.rpartition("-")[2]) for item in run.glob("checkpoint-*[0-9]")]
        done = max(saved, default=0)
        yield {"step": wanted, "logged": step_after(run, offset), "checkpoint": done or None}


def step_after(run: Path, offset: int) -> int:
    """The last step that this process logged."""
    try:
        content = (run / "events.jsonl").read_bytes()[offset:]
    except FileNotFoundError:
        return 0
    rows = (json.loads(line) for line in content.split(b"\n")[:-1] if b'"kind":"step"' in line)
    return max((row["step"] for row in rows), default=0)


def size_of(path: Path) -> int:
    """In bytes; 0 when it is not there."""
    return path.stat().st_size if path.is_file() else 0


def go(words: list[str], run: Path, accepted: tuple[int, ...] = (0,)) -> None:
    """Run to the end."""
    line = [*words, str(run)] if words[-1] == "resume" else [*words, "--output", str(run)]
    ended = subprocess.run(line, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if ended.returncode not in accepted:
        raise SystemExit(f"exit code {ended.returncode}: {ended.stderr}")


def sha256(run: Path) -> str:
    """Of the adapter."""
    return hashlib.sha256((run / "adapter_model.safetensors").read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
