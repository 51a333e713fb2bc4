"""The whole command line as users see it, against the text that was last agreed on.

Read from the signatures, not from Typer's own classes, which change from version to version.
"""

from __future__ import annotations

import enum
import inspect
import os
import types
import typing
from collections.abc import Iterator
from pathlib import Path

from typer.models import ArgumentInfo

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "cli_surface.txt"


def test_the_surface_is_the_agreed_one(ethtune):
    """ETHTUNE_WRITE_GOLDEN=1 agrees to what is there now; read the difference first."""
    text = "\n".join(_surface()) + "\n"
    if os.environ.get("ETHTUNE_WRITE_GOLDEN"):
        GOLDEN.write_text(text, encoding="utf-8")
    assert text == GOLDEN.read_text(encoding="utf-8")


def test_every_option_says_what_it_is_for(ethtune):
    said = [f"{name} {option}" for name, function in _commands() for option in _options(function)]
    assert [option for option in said if ": " not in option] == []
    assert all(inspect.getdoc(function) for _, function in _commands())


def _surface() -> Iterator[str]:
    for name, function in _commands():
        yield f"ethtune {name}"
        yield from (f"    {line}".rstrip() for line in inspect.getdoc(function).splitlines())
        yield from (f"  {option}" for option in _options(function))
        yield ""


def _commands():
    from ethtune.cli.app import app

    # other tests may have registered them again
    found = {command.name: command.callback for command in app.registered_commands}
    for group in app.registered_groups:
        inner = group.typer_instance.registered_commands
        found |= {f"{group.name} {command.name}": command.callback for command in inner}
    return found.items()


def _options(function) -> Iterator[str]:
    hints = typing.get_type_hints(function, include_extras=True)
    for name, parameter in inspect.signature(function).parameters.items():
        kind, info = hints[name].__origin__, hints[name].__metadata__[0]
        default = parameter.default
        if isinstance(info, ArgumentInfo):
            spelled = name.upper()
        else:
            first = info.default if isinstance(info.default, str) else f"--{name.replace('_', '-')}"
            spelled = ", ".join((first, *(info.param_decls or ())))
        words = [spelled, _kind(kind), *_limits(info)]
        if default is inspect.Parameter.empty:
            words.append("required")
        elif default not in (None, False):
            words.append(f"default {getattr(default, 'value', default)}")
        yield " ".join(words) + (f": {info.help}" if info.help else "")


def _limits(info) -> Iterator[str]:
    if getattr(info, "min", None) is not None:
        yield f"from {info.min}"
    if getattr(info, "max", None) is not None:
        yield f"to {info.max}"


def _kind(annotation) -> str:
    origin, inner = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (typing.Union, types.UnionType):
        return _kind(next(part for part in inner if part is not type(None)))
    if origin is typing.Literal:
        return "|".join(map(str, inner))
    if origin is list:
        return f"{_kind(inner[0])} repeatable"
    if origin is tuple:
        return " ".join(map(_kind, inner))
    if issubclass(annotation, enum.Enum):
        return "|".join(item.value for item in annotation)
    names = {bool: "flag", int: "integer", float: "number", str: "text", Path: "path"}
    return names[annotation]
