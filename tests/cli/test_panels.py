"""Help of a command with many options lists them in groups."""

from __future__ import annotations

import typer
from typer.testing import CliRunner

from ethtune.cli.commands import register


def test_help_of_prepare_groups_its_options() -> None:
    app = typer.Typer(rich_markup_mode=None)
    register(app)
    text = CliRunner().invoke(app, ["prepare", "--help"]).stdout
    _, *groups = text.split("\n\n")[-5:]
    assert [group.split()[0] for group in groups] == ["Input:", "Output:", "Balance:", "Options:"]
    names = ("--labels", "--split-by", "--augment", "--json")
    assert [name in group for name, group in zip(names, groups, strict=True)] == [True] * 4
