"""Memory, speed and promises on a GPU, in a few minutes: cases in, JSON lines and tables out.

    python benchmarks/gpu/bench.py --output results.jsonl [--minutes 8] [--only WORD...]
    python benchmarks/gpu/bench.py --device cpu --tiny --output results.jsonl
    python benchmarks/gpu/report.py results.jsonl

Nothing is downloaded: models have random weights of their true shapes, made on the GPU. Each case
has a process of its own with a time limit, and its result is written as soon as it is there. The
first line says on what machine. Cases that are left when the time is up are named as dropped, the
least important ones. Started again with the same file, only what is missing is run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from cases import Case, cases
from measure import MARK

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
VERSIONS = (
    "torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "triton", "flash-attn",
    "liger-kernel", "unsloth",
)  # fmt: skip
LEAST_SECONDS = 15  # a case that has less left is not begun
_DONE = ("done", "skipped")
Result = dict[str, Any]
_TINY_PATIENCE = 6  # a CPU that does other things too needs its time for the imports alone


def main() -> int:
    """Run what is missing and time allows; 1 when a case failed."""
    arguments = _arguments()
    end = time.monotonic() + arguments.minutes * 60
    known = _known(arguments.output)
    found = dict(known)
    chosen = [case for case in cases() if _is_wanted(case, arguments.only)]
    left = [case for case in chosen if known.get(case.name, {}).get("status") not in _DONE]
    with arguments.output.open("a", encoding="utf-8") as lines:
        if not known:
            _write(lines, {"machine": machine()})
        for case, result in results(left, end, is_tiny=arguments.tiny):
            found[case.name] = result
            _write(lines, {"case": case.as_dict(), **result})
            print(f"{case.name:<28} {_told(result)}", flush=True)
    subprocess.run([sys.executable, str(HERE / "report.py"), str(arguments.output)], check=False)
    return int(any(result["status"] not in (*_DONE, "dropped") for result in found.values()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--output", type=Path, required=True, help="file of JSON lines")
    parser.add_argument("--minutes", type=float, default=7.5, help="after which nothing is begun")
    parser.add_argument("--only", nargs="+", default=[], help="cases whose name has such a word")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--tiny", action="store_true", help="shapes of a toy; all that a CPU does")
    arguments = parser.parse_args()
    if (arguments.device == "cpu") is not arguments.tiny:
        parser.error("--device cpu and --tiny belong together")
    return arguments


def _is_wanted(case: Case, words: list[str]) -> bool:
    return not words or any(word in case.name for word in words)


def _known(path: Path) -> dict[str, dict[str, Any]]:
    """Newest results by case, of a file that an earlier call left."""
    if not path.is_file():
        return {}
    rows = map(json.loads, path.read_text("utf-8").splitlines())
    return {row["case"]["name"]: row for row in rows if "case" in row}


def _write(lines: TextIO, row: dict[str, Any]) -> None:
    lines.write(json.dumps(row) + "\n")
    lines.flush()


def _told(result: dict[str, Any]) -> str:
    speed = result.get("tokens_per_second")
    figures = f", {speed:,.0f} tokens/s" if speed else ""
    reason = f": {result['reason']}" if result.get("reason") else ""
    return f"{result.get('wall_seconds', 0):5.0f} s  {result['status']}{figures}{reason}"


def results(
    left: list[Case], end: float, *, is_tiny: bool
) -> Iterator[tuple[Case, dict[str, Any]]]:
    """Each case with what came out, in order; the next process starts while one measures."""
    spare: _Child | None = None
    for index, case in enumerate(left):
        remaining = end - time.monotonic()
        if remaining < LEAST_SECONDS:
            yield case, {"status": "dropped", "reason": "no time left"}
            continue
        if _is_cold(case):  # its libraries have to be imported before those that they change
            child = _Child("cold")
        else:
            child, spare = spare or _Child("warm"), None
        started = time.monotonic()
        child.begin(case.as_dict() | {"is_tiny": is_tiny})
        if spare is None and not all(map(_is_cold, left[index + 1 :])):
            spare = _Child("warm")
        limit = case.seconds * (_TINY_PATIENCE if is_tiny else 1)
        result = child.result(min(limit, remaining))
        yield case, result | {"wall_seconds": round(time.monotonic() - started, 1)}
    if spare is not None:
        spare.close()


def _is_cold(case: Case) -> bool:
    return case.contender == "unsloth"


class _Child:
    """A process of ``measure.py``, waiting for its case."""

    def __init__(self, start: str) -> None:
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115
        path = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "measure.py"), start],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, path))},
        )

    def begin(self, case: dict[str, Any]) -> None:
        """Hand over the case."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()

    def result(self, seconds: float) -> dict[str, Any]:
        """What it says within ``seconds``; it is gone afterwards."""
        try:
            said, _ = self._process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.close()
            return {"status": "failed", "reason": f"not done after {seconds:.0f} s"}
        line = next((line for line in said.splitlines() if line.startswith(MARK)), None)
        if line is None:
            code = self._process.returncode
            return {"status": "failed", "reason": f"exit code {code}", "log": self._tail()}
        found: dict[str, Any] = json.loads(line.removeprefix(MARK))
        return found | ({"log": self._tail()} if found["status"] == "failed" else {})

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()

    def _tail(self) -> str:
        self._log.seek(0)
        return self._log.read()[-2000:]


def machine() -> dict[str, Any]:
    """GPU, driver and versions, asked without importing torch."""
    from ethtune.device.nvml import readings

    return {
        "gpus": [{"name": gpu.name, "bytes": gpu.memory_total_bytes} for gpu in readings()],
        "driver": _driver(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "versions": {name: _version(name) for name in VERSIONS},
    }


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _driver() -> str | None:
    try:
        asked = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
        said = subprocess.run(asked, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return said.stdout.strip().splitlines()[0]


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))
    sys.exit(main())
