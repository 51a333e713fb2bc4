"""A screen is live while these libraries work: they must not write on it."""

import os
import subprocess
import sys

ASK = """
import ethtune.model.trainer, ethtune.model.generate
import logging, os, transformers
print(transformers.utils.logging.get_verbosity() == logging.ERROR)
print([name for name in ("trl", "peft", "accelerate", "bitsandbytes")
       if logging.getLogger(name).isEnabledFor(logging.WARNING)])
print(os.environ["HF_HUB_DISABLE_TELEMETRY"], os.environ["TOKENIZERS_PARALLELISM"])
print(os.environ.get("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD"))
"""


def test_libraries_are_silent_and_send_nothing_home():
    environment = os.environ | {"TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "1"}
    for name in ("TRANSFORMERS_VERBOSITY", "HF_HUB_DISABLE_TELEMETRY", "TOKENIZERS_PARALLELISM"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", ASK], env=environment, capture_output=True, text=True, check=False
    )
    assert done.stdout.splitlines() == ["True", "[]", "1 false", "None"]
    assert done.stderr == ""
