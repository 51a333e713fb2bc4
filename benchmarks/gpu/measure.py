"""One case in this process: a line of JSON on stdin in, a line of JSON on stdout out.

``python measure.py warm`` imports what takes longest before it asks for its case, so that the next
process can start while this one measures; it touches no GPU before it has a case. ``cold`` imports
nothing first.
"""

from __future__ import annotations

import contextlib
import gc
import importlib.util
import json
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

MARK = "RESULT "
_HERE = Path(__file__).resolve().parent
_TINY_LENGTH = 256


def main() -> None:
    """Wait for a case, measure it, say what came out."""
    sys.path[:0] = [str(_HERE), str(_HERE.parent / "train")]
    if sys.argv[1] == "warm":
        import datasets  # noqa: F401
        import transformers.modeling_utils  # noqa: F401  # and with it torch
    case = json.loads(sys.stdin.readline())
    told = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no result
    try:
        found = measure(case)
    except Exception as error:  # noqa: BLE001  # a case may fail in any way; the next one runs
        traceback.print_exc()
        found = {"status": "failed", "reason": f"{type(error).__name__}: {error}"[:400]}
    told.write(MARK + json.dumps(found) + "\n")
    told.flush()
    os._exit(0)  # a library's threads have nothing left to say


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Figures of a case, or why there are none."""
    missing = [name for name in case["needs"] if importlib.util.find_spec(name) is None]
    if missing:
        return {"status": "skipped", "reason": f"not installed: {', '.join(missing)}"}
    os.environ["HF_HUB_OFFLINE"] = "1"
    if case["contender"] == "unsloth":
        import unsloth  # noqa: F401  # before all others
    import torch
    from rows import write_model, write_rows

    import ethtune.model  # noqa: F401  # quietens libraries

    if case["contender"] != "ethtune":  # the allocator's setting is a choice of ethtune's
        os.environ.pop("PYTORCH_ALLOC_CONF", None)
    device = torch.device("cpu" if case["is_tiny"] else "cuda")
    if device.type == "cpu" and case["kind"] == "memory":
        return {"status": "skipped", "reason": "a CPU has no memory of its own to run out of"}
    with tempfile.TemporaryDirectory() as scratch, _card(case, device) as card:
        folder = Path(scratch)
        os.environ["ETHTUNE_CACHE"] = str(folder / "cache")  # nobody's calibration
        case = _settled(case)
        write_model(folder / "model", case["model"], is_tiny=case["is_tiny"])
        length, tokens = _amount(case)
        write_rows(folder / "data", num_tokens=tokens, longest=length)
        found = _KINDS[case["kind"]](case, folder, device)
        return {"status": "done", "card": card, **found}


def _settled(case: dict[str, Any]) -> dict[str, Any]:
    """The profile's own model where the case is about a profile; small sizes where it is tiny."""
    from ethtune.core.compose import compose

    if case["profile"] and not case["profile"].startswith("guide") and case["kind"] == "train":
        case = case | {"model": compose(profile=case["profile"]).config.model.base_model}
    if case["is_tiny"]:
        small = {"data.max_seq_length": _TINY_LENGTH, "training.gradient_accumulation_steps": 1}
        small |= {"optimization.optim": "adamw_torch", "lora.target_modules": "all-linear"}
        case = case | {"settings": case["settings"] | small, "steps": min(case["steps"], 2)}
    return case


def _amount(case: dict[str, Any]) -> tuple[int, int]:
    """Tokens of a sequence, and of as many as the case's steps take."""
    from contenders import composed_of

    config = composed_of(case, Path()).config
    length = config.data.max_seq_length
    return length, int((case["steps"] * config.effective_batch_size + 2) * length * 1.2)


def _used_bytes() -> int:
    from ethtune.device.nvml import readings

    return next((gpu.memory_used_bytes or 0 for gpu in readings()), 0)


@contextlib.contextmanager
def _card(case: dict[str, Any], device: Any) -> Iterator[dict[str, Any] | None]:
    """Take no more of the GPU than the case's card has; tell what the GPU is."""
    if device.type == "cpu":
        yield None
        return
    import torch

    from ethtune.device.gpus import find_gpu

    before = _used_bytes()
    torch.zeros(1, device=device)
    context = max(_used_bytes() - before - torch.cuda.memory_reserved(), 0)
    total = torch.cuda.get_device_properties(0).total_memory
    cap = find_gpu(case["card"]).usable_bytes if case["card"] else None
    if case["cap_gib"]:
        cap = int(case["cap_gib"] * 1024**3)
    if cap is not None and cap < total:
        torch.cuda.set_per_process_memory_fraction((cap - context) / total)
    yield {"name": torch.cuda.get_device_name(0), "context_bytes": context, "cap_bytes": cap}


def _trained(case: dict[str, Any], folder: Path, device: Any) -> dict[str, Any]:
    """Time and memory of steps, beside what was predicted."""
    from contenders import CONTENDERS
    from recorder import watch

    record = watch(case["name"], 1, folder / "record.json")
    told = CONTENDERS[case["contender"]](case, folder, device)
    first, last = record.marks[1], record.marks[-1]
    steps, seconds = len(record.marks) - 2, last.wall_seconds - first.wall_seconds
    return {
        "steps": steps,
        "step_seconds": seconds / steps,
        "tokens_per_second": (last.useful_tokens - first.useful_tokens) / seconds,
        "computed_share": (last.computed_tokens - first.computed_tokens)
        / (last.useful_tokens - first.useful_tokens),
        "rss_bytes": record.peak_bytes,
        **_gpu_memory(device),
        **told,
    }


def _gpu_memory(device: Any) -> dict[str, Any]:
    if device.type == "cpu":
        return {}
    import torch

    figures = {
        "allocated_bytes": torch.cuda.max_memory_allocated(),
        "reserved_bytes": torch.cuda.max_memory_reserved(),
        "nvml_process_bytes": None,
    }
    with contextlib.suppress(Exception):  # NVML may not see processes from inside a container
        import pynvml

        pynvml.nvmlInit()
        handle = pynvml.nvmlDeviceGetHandleByIndex(0)
        for process in pynvml.nvmlDeviceGetComputeRunningProcesses(handle):
            if process.pid == os.getpid():
                figures["nvml_process_bytes"] = process.usedGpuMemory
    return figures


def _equal(case: dict[str, Any], folder: Path, device: Any) -> dict[str, Any]:
    """Logits of rows in one sequence against those of each alone, for every attention there is."""
    import torch
    from weights import random_model

    kinds = ["eager", "sdpa"]
    if device.type == "cuda" and importlib.util.find_spec("flash_attn"):
        kinds.append("flash_attention_2")
    drawn = torch.Generator().manual_seed(1)
    rows = [torch.randint(2, 250, (length,), generator=drawn) for length in (37, 5, 90, 64)]
    found = {}
    for kind in kinds:
        dtype = torch.bfloat16 if kind == "flash_attention_2" else torch.float32
        model = random_model(
            folder / "model", dtype=dtype, attention=kind, device=device, wanted=None
        ).eval()
        place = [row.to(device)[None] for row in rows]
        positions = torch.cat([torch.arange(len(row)) for row in rows]).to(device)[None]
        flat = torch.cat(place, dim=1)
        with torch.no_grad():
            alone = torch.cat([model(row).logits for row in place], dim=1).float()
            packed = model(flat, position_ids=positions).logits.float()
            mixed = model(flat).logits.float()  # the control: rows that see each other
        found[kind] = {
            "difference": float((packed - alone).abs().max()),
            "if_rows_saw_each_other": float((mixed - alone).abs().max()),
        }
        del model
        gc.collect()
    return {"attention": found}


def _resumed(case: dict[str, Any], folder: Path, device: Any) -> dict[str, Any]:
    """The adapter of a straight run against that of the same run resumed from its middle."""
    import hashlib

    from contenders import composed_of, exchange_weights

    from ethtune.services.training import ResumeRequest, resume, train

    half = case["steps"] // 2
    exchange_weights(device)
    saving = {"logging.save_strategy": "steps", "logging.save_steps": half}
    composed = composed_of(case, folder, **saving)
    run = train(composed, command="benchmark").run
    adapter = run / "adapter_model.safetensors"
    straight = hashlib.sha256(adapter.read_bytes()).hexdigest()
    request = ResumeRequest(run, {}, checkpoint=run / f"checkpoint-{half}")
    resume(request, command="benchmark")
    return {"is_same": hashlib.sha256(adapter.read_bytes()).hexdigest() == straight}


_KINDS: dict[str, Callable[[dict[str, Any], Path, Any], dict[str, Any]]] = {
    "train": _trained,
    "memory": _trained,
    "equal": _equal,
    "resume": _resumed,
}

if __name__ == "__main__":
    main()
