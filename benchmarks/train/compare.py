"""ethtune beside TRL and the fine-tuning guide's script: the same training, each in its process.

    python benchmarks/train/compare.py --work FOLDER [--real FOLDER-OF-EXPORTS] [--output FILE.json]
    python benchmarks/train/compare.py --work FOLDER --quick --tiny        (does it run at all?)
    python benchmarks/train/report.py FILE.json [--markdown]

Contenders in turns, in another order for each seed; then each choice of ethtune undone alone; then
what ethtune itself costs of a step. A result is written when its process ends: started again with
the same folder, only what is missing is run. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from task import Task, environment, make_task

HERE = Path(__file__).resolve().parent
CONTENDERS = ("ethtune", "trl-sft", "guide", "trl-packing")
ABLATIONS = (
    "ethtune", "unpacked", "padded", "full-logits", "upcast", "fp32", "checkpointing", "any-length",
    "bf16-adapters", "single-quant", "unquantized", "long-spin", "ethtune",
)  # fmt: skip
PARTS = ("contenders", "ablations", "overhead")
VERSIONS = (
    "ethtune", "torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "datasets",
)  # fmt: skip
GUIDE_STEPS = 2  # padded to the limit a step takes a minute: one to warm up, one to measure
PATIENCE_SECONDS = 1800


@dataclass(frozen=True, slots=True)
class Turn:
    """One process. ``max_steps`` -1: one pass over all rows."""

    part: str
    name: str
    seed: int
    max_steps: int
    repeat: int = 0

    @property
    def stem(self) -> str:
        """Of its files."""
        again = f"-{self.repeat}" if self.repeat else ""
        return f"{self.part}-{self.name}-{self.seed}{again}"


def main() -> int:
    """Run what is missing; 1 when a process failed."""
    arguments = _arguments()
    folder = arguments.work
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    task = make_task(
        folder,
        real=arguments.real,
        is_tiny=arguments.tiny,
        steps=2 if arguments.quick else arguments.steps,
        batch=arguments.batch,
    )
    results = folder / "results"
    results.mkdir(exist_ok=True)
    output = arguments.output or folder / "results.json"
    load = os.getloadavg()[0]
    failed = []
    for turn in turns(arguments):
        place = results / f"{turn.stem}.json"
        if not place.is_file() and not _run(turn, task, place, arguments.threads):
            failed.append(turn.stem)
        document = _document(task, results, load, arguments.threads)
        output.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    subprocess.run([sys.executable, str(HERE / "report.py"), str(output)], check=False)
    print(f"\n{output}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return int(bool(failed))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--work", type=Path, required=True, help="folder of all that is made")
    parser.add_argument("--real", type=Path, help="folder with mainnet_receipts.jsonl.gz")
    parser.add_argument("--output", type=Path, help="JSON file; default WORK/results.json")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--only", nargs="+", default=[], help="names of contenders or ablations")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=8, help="steps of a contender")
    parser.add_argument("--batch", type=int, default=4, help="rows of a step")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="one seed, two steps")
    parser.add_argument("--tiny", action="store_true", help="a random model of two layers")
    return parser.parse_args()


def turns(arguments: argparse.Namespace) -> Iterator[Turn]:
    """Every process, in order; an ablation has one seed, and its reference runs first and last."""
    few = 2 if arguments.quick else 5
    for seed in range(1, 1 + (1 if arguments.quick else arguments.seeds)):
        turned = seed % len(CONTENDERS)
        names = CONTENDERS[turned:] + CONTENDERS[:turned]
        for name in names if "contenders" in arguments.parts else ():
            if name in arguments.only or not arguments.only:
                yield Turn("contender", name, seed, GUIDE_STEPS if name == "guide" else -1)
    for index, name in enumerate(ABLATIONS if "ablations" in arguments.parts else ()):
        if name in arguments.only or not arguments.only:
            yield Turn("ablation", name, 1, few, repeat=int(name == "ethtune" and index > 0))
    if "overhead" in arguments.parts and "overhead" in (arguments.only or ["overhead"]):
        yield Turn("overhead", "overhead", 1, few)


def _run(turn: Turn, task: Task, place: Path, threads: int) -> bool:
    started = time.perf_counter()
    made = place.with_suffix(".part")
    script, log = HERE / "contenders.py", place.with_suffix(".log")
    words = [turn.name, task.folder, turn.seed, made, turn.max_steps]
    variables = environment(task.path, threads=threads)
    if turn.name == "long-spin":  # can only be had by a new process
        variables["GOMP_SPINCOUNT"] = "300000"
    shutil.rmtree(made.with_suffix(".run"), ignore_errors=True)
    with log.open("w", encoding="utf-8") as told:
        try:
            ended = subprocess.run(
                [sys.executable, str(script), *map(str, words)],
                env=variables, stdout=told, stderr=told, timeout=PATIENCE_SECONDS, check=False,
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            ended = -1
    is_done = ended == 0 and made.is_file()
    seconds = time.perf_counter() - started
    print(f"{turn.stem:<28} {seconds:6.0f} s {'' if is_done else f'FAILED, see {log}'}", flush=True)
    if is_done:
        made.replace(place)
    return is_done


def _document(task: Task, results: Path, load: float, threads: int) -> dict[str, Any]:
    runs = []
    for path in sorted(results.glob("*-*.json")):
        part = path.name.partition("-")[0]
        if path.name.endswith(".overhead.json"):
            continue
        runs.append({"part": part, **json.loads(path.read_text("utf-8"))})
    overhead = results / "overhead-overhead-1.overhead.json"
    return {
        "versions": {name: metadata.version(name) for name in VERSIONS},
        "python": platform.python_version(),
        "machine": {
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": threads,
            "load_at_start": load,
        },
        "task": asdict(task) | {"folder": None, "model": Path(task.model).name},
        "runs": runs,
        "overhead": json.loads(overhead.read_text("utf-8")) if overhead.is_file() else None,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


if __name__ == "__main__":
    sys.exit(main())
