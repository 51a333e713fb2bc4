"""Small files that say what they are."""

from __future__ import annotations

import ast
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "ethtune"
FILES = {str(file.relative_to(SOURCE)): file.read_text("utf-8") for file in SOURCE.rglob("*.py")}
VAGUE = {"utils", "util", "helpers", "helper", "manager", "misc", "common"}
LINES_MAX = 300
FUNCTION_LINES_MAX = 60


def test_files_are_short():
    assert FILES
    assert {name for name, text in FILES.items() if text.count("\n") > LINES_MAX} == set()


def test_functions_are_short():
    """Of a command counts what it does: its options stand in its signature."""
    long = {
        f"{name}:{node.name}"
        for name, text in FILES.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.end_lineno - (node.body[0] if name.startswith("cli/") else node).lineno
        >= FUNCTION_LINES_MAX
    }
    assert long == set()


def test_every_module_says_what_it_is():
    assert {name for name, text in FILES.items() if not ast.get_docstring(ast.parse(text))} == set()


def test_names_say_what_is_in_a_file():
    assert {name for name in FILES if VAGUE & set(Path(name).stem.split("_"))} == set()


def test_nothing_is_left_to_do():
    left = ("TODO", "FIXME", "XXX")
    assert {name for name, text in FILES.items() if any(word in text for word in left)} == set()
