"""What a checkpoint of 160 MB costs beyond writing its bytes.

    python benchmarks/reliability/save_time.py [--saves 6] [--folder FOLDER] [--output FILE.json]

The state is that of a LoRA with 13.6 million parameters: float32 weights and two moments. ``save``
is what ``ethtune train`` tells of each checkpoint: to look for numbers that are none, to copy,
write, sync, hash, label, rename and to remove the oldest. ``write`` is the same files written and
synced one by one, in the same folder, right afterwards. The load of the machine is told beside.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from tiny import ethtune, prepare, save_model, train_words

SHAPE = {"hidden_size": 512, "num_hidden_layers": 13}
SETTINGS = (
    "lora.r=128",
    "lora.target_modules=all-linear",
    "optimization.optim=adamw_torch",
    "quantization.load_in_4bit=false",
    "data.max_seq_length=1024",
    "logging.save_steps=1",
    "logging.save_total_limit=2",
)
VERSIONS = ("ethtune", "torch", "transformers", "peft", "safetensors")


def main() -> int:
    """Train, save, write the same again, tell both."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--saves", type=int, default=6)
    parser.add_argument("--folder", type=Path, help="where to write; a temporary one when not said")
    parser.add_argument("--output", type=Path, help="JSON file of the results")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
        _, data = prepare(Path(folder))
        model, run = Path(folder) / "larger", Path(folder) / "run"
        save_model(model, **SHAPE)
        steps = f"training.max_steps={arguments.saves}"
        ethtune(*train_words(model, data, *SETTINGS, steps), "--output", run)
        saves = saved(run)
        writes = [written(newest(run), Path(folder) / "again") for _ in saves]
    document = {
        "versions": {name: metadata.version(name) for name in VERSIONS},
        "load_average": os.getloadavg()[0],
        "cores": os.cpu_count(),
        "size_bytes": saves[-1][0],
        "save_seconds": [seconds for _, seconds in saves],
        "write_seconds": writes,
        "beyond_seconds": statistics.median(s for _, s in saves) - statistics.median(writes),
    }
    text = json.dumps(document, indent=1)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")
    return 0


def saved(run: Path) -> list[tuple[int, float]]:
    """Bytes and seconds of each checkpoint, by the run's own log."""
    events = map(json.loads, (run / "events.jsonl").read_text(encoding="utf-8").splitlines())
    told = (event for event in events if event["kind"] == "checkpoint_saved")
    return [(event["size_bytes"], event["seconds"]) for event in told]


def newest(run: Path) -> Path:
    """The last checkpoint of ``run``."""
    return max(run.glob("checkpoint-*"), key=lambda item: int(item.name.rpartition("-")[2]))


def written(source: Path, target: Path) -> float:
    """Seconds to write and sync the content of ``source``'s files, and no more than that."""
    contents = {item.name: item.read_bytes() for item in source.iterdir()}
    target.mkdir()
    started = time.perf_counter()
    for name, content in contents.items():
        with (target / name).open("wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
    seconds = time.perf_counter() - started
    shutil.rmtree(target)
    return seconds


if __name__ == "__main__":
    sys.exit(main())
