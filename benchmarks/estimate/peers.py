"""What fitcheck-llm and accelerate say of the same cases: cases in, predicted bytes out.

Both run in a Python of their own, given on the command line, and are no dependency. They get the
dimensions, not a model id, so no hub is asked: fitcheck's own ``estimate`` on its ``ModelConfig``;
accelerate's own ``estimate_training_usage``, which ``accelerate estimate-memory`` calls with the
bytes of all parameters, at its lowest precision with a training figure, 16 bit. Mixtures are left
out for fitcheck, which refuses them.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from cases import Case

# tool -> kind of figure -> number of the case -> bytes
Peers = dict[str, dict[str, dict[int, float]]]

_CHILD = """
import json, sys
from accelerate.commands.estimate import estimate_training_usage
from fitcheck.config_parser import ModelConfig
from fitcheck.estimator import TrainingConfig, estimate
from fitcheck.gpu_db import GPU_DB

out = {"fitcheck-llm": {"allocated": {}, "process": {}}, "accelerate": {"process": {}}}
for number, case in enumerate(json.load(sys.stdin)):
    usage = estimate_training_usage(case["parameters"] * 4, "float16")
    out["accelerate"]["process"][number] = max(usage.values())
    if case["experts"]:
        continue
    report = estimate(ModelConfig(**case["model"]), TrainingConfig(**case["training"]),
                      GPU_DB[case["gpu"]])
    out["fitcheck-llm"]["process"][number] = report.total_mib * 2**20
    out["fitcheck-llm"]["allocated"][number] = (report.total_mib - report.overhead_mib) * 2**20
print(json.dumps(out))
"""


def predict(python: Path, cases: Sequence[Case]) -> Peers:
    """Run both on all cases."""
    plain = json.dumps([_as_plain(case) for case in cases])
    done = subprocess.run(  # the Python that the user named
        [str(python), "-c", _CHILD], input=plain, capture_output=True, text=True, check=True
    )
    said = json.loads(done.stdout)
    return {
        tool: {
            kind: {int(number): size for number, size in figures.items()}
            for kind, figures in kinds.items()
        }
        for tool, kinds in said.items()
    }


def _as_plain(case: Case) -> dict[str, object]:
    shape, work = case.shape, case.work
    return {
        "parameters": shape.num_parameters,
        "experts": shape.num_experts,
        "gpu": "t4" if "T4" in case.gpu else "a100-80",
        "model": {
            "name": case.row["model"],
            "num_params": shape.num_parameters,
            "hidden_size": shape.hidden_size,
            "num_layers": shape.num_layers,
            "num_attention_heads": shape.num_heads,
            "num_kv_heads": shape.num_kv_heads,
            "intermediate_size": shape.intermediate_size,
            "vocab_size": shape.vocab_size,
            "head_dim": shape.head_dim,
            "tie_word_embeddings": shape.tie_embeddings,
        },
        "training": {
            "precision": "fp16" if "T4" in case.gpu else "bf16",
            "quantization": "nf4" if work.is_quantized else "none",
            "double_quant": work.double_quant and work.is_quantized,
            "batch_size": work.micro_batch,
            "seq_len": work.seq_length,
            "lora_rank": work.rank,
            "lora_targets": list(work.target_modules),
            "grad_checkpoint": work.checkpointing,
            "flash_attn": work.attention != "eager",
        },
    }
