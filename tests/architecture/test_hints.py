"""Every command that a message tells a user to type is one that ethtune takes."""

from __future__ import annotations

import re
from pathlib import Path

import typer

from ethtune.cli import commands
from ethtune.cli.app import app

SOURCE = Path(__file__).resolve().parents[2] / "src" / "ethtune"
TOLD = re.compile(r"ethtune ([a-z]+(?:-[a-z]+)*)((?: [^\"'`;:,()]*)?)")
FLAG = re.compile(r"(?<!\w)--[a-z][a-z-]+")


def taken():
    commands.register(app)
    group = typer.main.get_command(app)
    return {
        name: {flag for each in command.params for flag in [*each.opts, *each.secondary_opts]}
        for name, command in group.commands.items()
        if not hasattr(command, "commands")
    }


def test_flags_that_are_told_exist():
    known, wrong = taken(), []
    for path in sorted(SOURCE.rglob("*.py")):
        for command, rest in TOLD.findall(path.read_text(encoding="utf-8")):
            if command in known:
                unknown = set(FLAG.findall(rest)) - known[command] - {"--help"}
                wrong += [f"{path.name}: ethtune {command} {flag}" for flag in unknown]
    assert wrong == []
