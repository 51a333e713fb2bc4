"""The documents say what the code does: keys, codes, actions, examples, commands and paths."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from ethtune.cli import commands
from ethtune.core import errors
from ethtune.core.config import Config
from ethtune.core.intent import ACTIONS, parse_intent
from ethtune.dataset.grounding import ungrounded
from ethtune.dataset.rules import rules
from ethtune.device.shapes import ModelShape

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("configs/*.md"),
        *ROOT.glob("src/ethtune/assets/rules/*.md"),
    ]
)
CREATED = {"chain/intents/NAME.py", "cli/NAME.py"}  # by readers
_LIMITS = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
_WORDS = {
    "string": "text",
    "boolean": "`true`, `false`",
    "null": "`null`",
    "object": "keys and values",
}


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def configuration_rows() -> Iterator[tuple[str, str, str]]:
    """For every key of Config: "section.key", its values and its default, as the document says."""
    definitions = Config.model_json_schema()["$defs"]
    for section, outer in Config.model_fields.items():
        for key, schema in definitions[outer.annotation.__name__]["properties"].items():
            default = yaml.safe_dump(schema["default"], default_flow_style=True, width=1000)
            yield f"{section}.{key}", allowed(schema), f"`{default.splitlines()[0]}`"


def allowed(schema: dict[str, Any]) -> str:
    """The values of a key in words, from its JSON schema."""
    if "anyOf" in schema:
        return ", ".join(allowed(option) for option in schema["anyOf"])
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{value}`" for value in schema.get("enum", [schema.get("const")]))
    if schema["type"] == "array":
        return f"list of {allowed(schema['items'])}"
    limits = [f"{sign} {schema[name]:,}" for name, sign in _LIMITS.items() if name in schema]
    return " ".join([_WORDS.get(schema["type"], schema["type"]), ", ".join(limits)]).strip()


def table_rows(text: str) -> Iterator[list[str]]:
    for line in text.splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def test_configuration_names_every_key_with_its_values_and_default():
    section, written = "", []
    for line in text_of("docs/configuration.md").splitlines():
        if line.startswith("## "):
            section = line[3:]
        elif line.startswith("| `"):
            key, values, default, meaning = next(table_rows(line))
            assert meaning, line
            written.append((f"{section}.{key.strip('`')}", values, default))
    assert written == list(configuration_rows())


def exit_codes() -> dict[str, str]:
    """Class to code of every error, as tables write it; Interrupted has one per signal."""
    found = {"Interrupted": "129, 130, 143"}
    for name, item in vars(errors).items():
        if isinstance(item, type) and issubclass(item, errors.EthtuneError):
            found.setdefault(name, str(item.exit_code))
    return found


@pytest.mark.parametrize("name", ["docs/errors.md", "ARCHITECTURE.md"])
def test_exit_code_tables_list_every_class(name):
    rows = [row for row in table_rows(text_of(name)) if re.fullmatch(r"`\w+`", row[1])]
    written = {row[1].strip("`"): row[0] for row in rows if row[0][0].isdigit()}
    assert written == exit_codes()


def test_every_finding_of_validate_data_is_listed():
    cell = re.compile(r"\[(\w+)\]\(\.\./src/ethtune/assets/rules/(\w+)\.md\)").fullmatch
    rows = [row for row in table_rows(text_of("docs/rules.md")) if cell(row[0])]
    codes = [cell(row[0]).groups() for row in rows]
    assert all(code == page for code, page in codes)
    listed = {code: row[1] for (code, _), row in zip(codes, rows, strict=True)}
    assert listed == {code: rule.title for code, rule in rules().items()}


def test_every_action_has_an_example_and_every_example_is_canonical():
    text = text_of("docs/intents.md")
    blocks = re.findall(r"```json\n(.*?)\n```", text, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    intents = [parse_intent(line) for line in lines]
    assert [intent.to_json() for intent in intents] == lines
    assert {intent.action for intent in intents} == set(ACTIONS)


def test_the_example_prompt_bears_its_intent_out():
    text = text_of("docs/intents.md")
    prompt = next(line for line in text.splitlines() if line.startswith('{"to":"#1='))
    answer = text.partition(prompt)[2].partition("```json\n")[2].partition("\n")[0]
    assert ungrounded(parse_intent(answer), prompt) == []


def command_lines(text: str) -> Iterator[str]:
    """Every ethtune command that a document shows: indented, fenced or in backticks."""
    for fence in re.findall(r"(?ms)^```\w*\n(.*?)^```", text):
        yield from re.findall(r"(?m)^(?:\$ )?(ethtune .+)$", fence)
    yield from re.findall(r"(?m)^    (ethtune .+)$", text)
    for span in re.findall(r"`(ethtune [^`]+)`", text):
        yield " ".join(span.split())


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_commands_exist_with_their_options(document):
    app = typer.Typer()
    commands.register(app)
    known = typer.main.get_group(app).commands
    for line in command_lines(document.read_text(encoding="utf-8")):
        name, *words = line.split()[1:]
        if name.startswith("-") or name.isupper():
            continue  # ethtune --help, ethtune COMMAND
        assert name in known, line
        command = known[name]
        if inner := getattr(command, "commands", None):
            assert words[0] in inner, line
            command = inner[words[0]]
        options = {spelling for item in command.params for spelling in item.opts} | {"--help"}
        given = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert given <= options, line


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_paths_and_links_lead_somewhere(document):
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (document.parent / target).exists(), target
    for path in re.findall(r"`((?:[\w.]+/)+[\w.-]+\.(?:py|csv|json|yaml|md))`", text):
        homes = (ROOT, ROOT / "src" / "ethtune")
        assert path in CREATED or any((home / path).exists() for home in homes), path


def test_json_of_the_contributing_guide_has_the_catalogs_keys():
    blocks = re.findall(r"```json\n(.*?),\n```", text_of("CONTRIBUTING.md"), flags=re.DOTALL)
    entry = next(json.loads(block) for block in blocks if '"alias"' in block)
    text = text_of("src/ethtune/assets/models/catalog.json")
    known = json.loads(text)["models"][0]
    assert list(entry) == list(known)
    assert list(entry["shape"]) == list(known["shape"])
    assert ModelShape(**entry["shape"]).num_parameters == entry["num_parameters"]
