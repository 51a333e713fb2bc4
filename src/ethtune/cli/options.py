"""Options that several commands share, spelled once."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from ethtune.core.errors import ConfigError
from ethtune.core.redaction import redact

JsonFlag = Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout.")]
ConfigFile = Annotated[
    Path | None, typer.Option("--config", "-c", help="YAML file with the run's settings.")
]
Profile = Annotated[
    str | None,
    typer.Option("--profile", "-p", help="Built-in settings: 8gb to 80gb, cpu; profiles list."),
]
Assignments = Annotated[
    list[str] | None,
    typer.Option("--set", help="section.key=value over the config; repeatable."),
]
RpcUrl = Annotated[
    str | None,
    typer.Option(
        envvar="ETHTUNE_RPC_URL",
        help="JSON-RPC endpoint; rather in ETHTUNE_RPC_URL, for others can see arguments.",
    ),
]


def overrides(
    assignments: list[str] | None, flags: dict[str, tuple[str, Any]] | None = None
) -> dict[str, tuple[Any, str]]:
    """Flags and ``--set`` as overrides for ``compose``: "section.key" to (value, origin).

    ``flags`` maps a flag to ("section.key", value); values of None were not given.
    Raises ConfigError when a flag and ``--set`` name the same key with different values.
    """
    from ethtune.core.compose import parse_assignment

    chosen: dict[str, tuple[Any, str]] = {
        key: (value, flag) for flag, (key, value) in (flags or {}).items() if value is not None
    }
    for text in assignments or []:
        key, value = parse_assignment(text)
        if key in chosen and chosen[key] != (value, f"--set {key}"):
            raise ConfigError(f"{key} is given twice: by {chosen[key][1]} and by --set {text}")
        chosen[key] = (value, f"--set {key}")
    return chosen


def command_line() -> str:
    """What the user typed, for the run's record, without secrets."""
    return redact(shlex.join(["ethtune", *sys.argv[1:]]))
