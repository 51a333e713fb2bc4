"""docs/reliability.md lists every fault and names tests that exist; its promises are the code's."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from ethtune.core.config import Config
from ethtune.services.continuation import FACTS, FREE, IMPOSSIBLE

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NUM_FAULTS = 38


def test_every_fault_has_a_row_and_a_test_or_a_reason():
    rows = [line.strip("| ").split(" | ") for line in TEXT.splitlines()]
    rows = [row for row in rows if row[0].isdigit()]
    assert [int(row[0]) for row in rows] == list(range(1, NUM_FAULTS + 1))
    assert all(row[-1].strip("| ") for row in rows)


def test_every_test_that_is_named_exists():
    named = set(re.findall(r"`(test_\w+)`", TEXT))
    files = (ROOT / "tests").rglob("test_*.py")
    defined = {
        node.name
        for file in files
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert len(named) > NUM_FAULTS
    assert named - defined == set()


def keys_of(paragraph: str) -> set[str]:
    (text,) = re.findall(rf"(?ms)^{paragraph}(.*?)\n\n", TEXT)
    return set(re.findall(r"`((?:\w+\.)?\w+)`", text))


def test_what_may_change_is_what_the_code_lets_change():
    assert keys_of("With `--set` alone") == set(FREE)
    assert keys_of("With `--allow-change KEY`") >= {*FACTS, "versions"}
    one_value = {"lora.task_type"}
    assert keys_of("Never") == set(IMPOSSIBLE) - one_value
    assert one_value <= {f"lora.{key}" for key in type(Config().lora).model_fields}
