"""``ethtune profiles``: the built-in settings for each size of card, and why they are so."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ethtune.cli.options import JsonFlag

ProfileName = Annotated[
    str, typer.Argument(metavar="NAME", help="Such as 12gb, guide-12gb or cpu.")
]

profiles = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Built-in settings by size of card: list, show, copy, explain.",
)


@profiles.command("list")
def list_profiles(as_json: JsonFlag = False) -> None:
    """List all with model, batch, and the memory and speed predicted on a typical card."""
    from ethtune.services import profiles as service
    from ethtune.ui.profiles import show_list
    from ethtune.ui.terminal import show_json

    found = service.list_profiles()
    if as_json:
        show_json(found.as_dict())
    else:
        show_list(found)


@profiles.command("show")
def show_profile(name: ProfileName) -> None:
    """Print the YAML of one, comments and all."""
    from ethtune.core.profiles import profile_text

    typer.echo(profile_text(name), nl=False)


@profiles.command("copy")
def copy_profile(
    name: ProfileName,
    file: Annotated[
        Path | None, typer.Argument(help="File to create; default NAME.yaml here.")
    ] = None,
) -> None:
    """Write one to a file, as a start of your own; an existing file stays as it is."""
    from ethtune.services import profiles as service
    from ethtune.ui.terminal import say

    path = file or Path(f"{name}.yaml")
    service.copy_profile(name, path)
    say(f"wrote {path}; next: ethtune train --config {path} --dataset data")


@profiles.command("explain")
def explain_profile(name: ProfileName, as_json: JsonFlag = False) -> None:
    """Say why each value is as it is, and what the next smaller and larger profiles change."""
    from ethtune.services import profiles as service
    from ethtune.ui.profiles import show_explanation
    from ethtune.ui.terminal import show_json

    found = service.explain(name)
    if as_json:
        show_json(found.as_dict())
    else:
        show_explanation(found)
