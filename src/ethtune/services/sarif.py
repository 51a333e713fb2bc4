"""A validation report in, a SARIF 2.1.0 log out: what editors and code hosts show beside lines."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ethtune import __version__
from ethtune.core.atomic import write_text
from ethtune.dataset.findings import Finding
from ethtune.dataset.rules import rules
from ethtune.services.jsonstream import HERE, json_chunks
from ethtune.services.validation import ValidationReport

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_ROOT = "SRCROOT"


def write_sarif(report: ValidationReport, file: Path) -> None:
    """The log as a file. Raises MachineError where it cannot be written."""
    root = _root(report.path)
    places = {code: index for index, code in enumerate(rules())}
    results = (_result(finding, places[finding.code], root) for finding in report.findings)
    write_text(file, json_chunks(_log(root), results))


def _root(path: Path) -> Path:
    """What files are named relative to: the current folder or, outside it, the dataset."""
    dataset = Path(os.path.abspath(path))
    if dataset.is_relative_to(Path.cwd()):
        return Path.cwd()
    return dataset.parent if dataset.is_file() else dataset


def _log(root: Path) -> dict[str, Any]:
    run = {
        "tool": {"driver": {"name": "ethtune", "version": __version__, "rules": _rules()}},
        "originalUriBaseIds": {_ROOT: {"uri": root.as_uri() + "/"}},
        "columnKind": "unicodeCodePoints",
        "results": HERE,
    }
    return {"version": "2.1.0", "$schema": _SCHEMA, "runs": [run]}


def _rules() -> list[dict[str, Any]]:
    return [
        {
            "id": rule.code,
            "shortDescription": {"text": rule.title},
            "fullDescription": {"text": rule.what},
            "help": {"text": rule.fix, "markdown": rule.page},
            "defaultConfiguration": {"level": _level(rule.code)},
        }
        for rule in rules().values()
    ]


def _result(finding: Finding, rule_index: int, root: Path) -> dict[str, Any]:
    location: dict[str, Any] = {
        "artifactLocation": {"uri": _uri(finding.file, root), "uriBaseId": _ROOT}
    }
    if finding.line is not None:
        location["region"] = {"startLine": finding.line}
    return {
        "ruleId": finding.code,
        "ruleIndex": rule_index,
        "level": _level(finding.code),
        "message": {"text": finding.message},
        "locations": [{"physicalLocation": location}],
        "properties": {"value": finding.value},
    }


@cache
def _uri(file: str, root: Path) -> str:
    return quote(Path(os.path.relpath(file, root)).as_posix())


def _level(code: str) -> str:
    return "error" if code.startswith("E") else "warning"
