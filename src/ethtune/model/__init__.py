"""The only importer of torch, transformers, peft, bitsandbytes and trl.

Importing any module of this package first makes those libraries quiet: no telemetry, no progress
bars of their own, no advice on optional packages. Nothing else may print while a screen is live.
"""

from __future__ import annotations

import logging
import os
import warnings

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
# transformers sets its logger's level when it is imported: below is too early for it
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
# OpenMP threads that spin for milliseconds at each barrier make a training 10 to 20 times slower as
# soon as another program wants a core; a short spin costs nothing on an idle machine
os.environ.setdefault("GOMP_SPINCOUNT", "20000")
# fewer gaps between blocks where rows differ in length; must be set before CUDA starts
os.environ.setdefault("PYTORCH_ALLOC_CONF", "expandable_segments:True")
# a process uses one GPU, of those that the user left visible the first, or the one that a launcher
# gave it, and sees no other: TRL refuses to see two
_local = os.environ.get("LOCAL_RANK", "0")
_visible = os.environ.get("CUDA_VISIBLE_DEVICES", _local).split(",")
_own = int(_local) if _local.isdecimal() and len(_visible) > 1 else 0
os.environ["CUDA_VISIBLE_DEVICES"] = _visible[_own] if _own < len(_visible) else ""
if "LOCAL_RANK" in os.environ:
    os.environ["LOCAL_RANK"] = "0"  # its place among those that it sees
# accelerate launch says so; training.fsdp and deepspeed heed it, and the library would do it anew
os.environ.pop("ACCELERATE_USE_FSDP", None)
os.environ.pop("ACCELERATE_USE_DEEPSPEED", None)
# a user's environment must not switch off the guard that torch.load has against pickles
os.environ.pop("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", None)

for _name in ("bitsandbytes", "trl", "peft", "accelerate", "torch.distributed"):
    logging.getLogger(_name).setLevel(logging.ERROR)
logging.getLogger("DeepSpeed").disabled = True  # it sets its own level, and speaks on stdout
warnings.filterwarnings("ignore", module=r"(torch|transformers|trl|peft|bitsandbytes|accelerate)\b")
