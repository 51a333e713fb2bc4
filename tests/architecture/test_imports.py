"""Who imports what, and when: layers always, heavy libraries only once they are needed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ethtune.cli import app as cli_app

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch", "transformers", "datasets", "peft", "bitsandbytes", "trl", "accelerate", "pyarrow",
    "tokenizers", "pandas", "matplotlib", "httpx2",
)  # fmt: skip
COMMANDS = (
    "doctor", "sample-data", "prepare", "validate-data", "estimate", "train", "resume", "monitor",
    "evaluate", "predict", "fetch", "profiles", "profiles list", "profiles show", "profiles copy",
    "profiles explain",
)  # fmt: skip

# one process asks for every help text, then says what was imported on the way
ASK = """
import json, sys
from ethtune.cli.app import main
loaded = {}
for command in sys.argv[1:]:
    sys.argv = ["ethtune", *command.split(), "--help"]
    try:
        main()
    except SystemExit as end:
        loaded[command] = [end.code, sorted(sys.modules)]
print("\\n@" + json.dumps(loaded))
"""


def help_of(*commands: str) -> dict[str, tuple[int, set[str]]]:
    """Exit code and loaded modules after each command's help, in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, *commands], capture_output=True, text=True, check=True
    )
    loaded = json.loads(done.stdout.rpartition("\n@")[2])
    return {command: (code, set(modules)) for command, (code, modules) in loaded.items()}


def test_help_imports_nothing_heavy():
    shown = help_of(*COMMANDS)
    assert set(shown) == set(COMMANDS)
    for command, (code, modules) in shown.items():
        assert code == 0, command
        assert not modules & set(HEAVY), command


def test_the_first_help_needs_neither_pydantic_nor_our_services():
    ((code, modules),) = help_of("").values()
    assert code == 0
    assert not modules & {"pydantic", "yaml", *HEAVY}
    assert not [name for name in modules if name.startswith(("ethtune.services", "ethtune.model"))]


def test_the_table_of_commands_is_complete(ethtune):
    groups = cli_app.app.registered_groups
    inner = {f"{g.name} {c.name}" for g in groups for c in g.typer_instance.registered_commands}
    commands = {command.name for command in cli_app.app.registered_commands}
    assert commands | {group.name for group in groups} | inner == set(COMMANDS)


@pytest.mark.parametrize("command", ["sample-data --transactions 12 --output raw"])
def test_what_trains_nothing_imports_no_torch(tmp_path, command):
    code = ASK.replace('"--help"]', "]")
    done = subprocess.run(
        [sys.executable, "-c", code, command],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    _, modules = json.loads(done.stdout.rpartition("\n@")[2])[command]
    assert not set(modules) & set(HEAVY)


def test_layers_hold():
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(ROOT / "pyproject.toml"), no_cache=True) == 0
