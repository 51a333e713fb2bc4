"""YAML text in, its values with their places out.

Two levels only (section, key; values are scalars, or lists or mappings of scalars), so that nothing
nested, aliased or repeated can hide. Scalars follow YAML 1.2: 2e-4 is a number, no is a word, 010
is ten.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from ethtune.core.errors import ConfigError

_MAX_CHARACTERS = 1_000_000
_INTEGER = re.compile(r"[-+]?[0-9][0-9_]*").fullmatch
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?").fullmatch
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


@dataclass(frozen=True, slots=True)
class Entry:
    """One key of a layer, its value, and where it stands ("file.yaml:3:5", "--set")."""

    section: str
    key: str
    value: Any
    place: str
    excerpt: str


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says; ``faults`` are its structural mistakes, with places."""

    name: str
    entries: tuple[Entry, ...]
    faults: tuple[str, ...]


def parse_scalar(text: str) -> Any:
    """The value that ``text`` would have in a file: [a, b] is a list, {a: 1} keys and values."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return text
    if isinstance(node, yaml.MappingNode) and node.flow_style:
        return {
            str(key.value): _scalar(item)
            for key, item in node.value
            if isinstance(key, yaml.ScalarNode) and isinstance(item, yaml.ScalarNode)
        }
    if isinstance(node, yaml.SequenceNode):
        return [_scalar(item) for item in node.value if isinstance(item, yaml.ScalarNode)]
    return _scalar(node) if isinstance(node, yaml.ScalarNode) else text or None


def read_layer(text: str, *, name: str) -> Layer:
    """Read the whole text. Raises ConfigError when it is no YAML at all."""
    if len(text) > _MAX_CHARACTERS:
        raise ConfigError(f"{name}: {len(text):,} characters are no config file")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        problem = getattr(error, "problem", None) or "not YAML"
        raise ConfigError(f"{place}: {problem}") from None
    except RecursionError:
        raise ConfigError(f"{name}: nested too deeply to be a config file") from None
    if root is None or (isinstance(root, yaml.ScalarNode) and _scalar(root) is None):
        return Layer(name=name, entries=(), faults=())
    reader = _Reader(name, text.splitlines())
    entries = tuple(reader.entries(root))
    return Layer(name=name, entries=entries, faults=tuple(reader.faults))


def write_sections(sections: Mapping[str, Any]) -> str:
    """YAML that ``read_layer`` reads back as the same values."""
    return yaml.dump(sections, Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Reader:
    def __init__(self, name: str, lines: list[str]) -> None:
        self._name = name
        self._lines = lines
        self.faults: list[str] = []

    def entries(self, root: yaml.Node) -> Iterator[Entry]:
        for section_node, body in self._pairs(root, "the file"):
            section = str(section_node.value)
            if isinstance(body, yaml.ScalarNode) and _scalar(body) is None:
                continue  # "lora:" with nothing under it
            for key_node, value_node in self._pairs(body, f"section {section}"):
                yield Entry(
                    section=section,
                    key=str(key_node.value),
                    value=self._value(value_node),
                    place=self._place(key_node),
                    excerpt=self._excerpt(key_node),
                )

    def _pairs(self, node: yaml.Node, what: str) -> Iterator[tuple[yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self._fault(node, f"{what} must hold keys and values")
            return
        seen: set[str] = set()
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                self._fault(key_node, f"a list or a mapping is no key of {what}")
                continue
            key = str(key_node.value)
            if key in seen:
                self._fault(key_node, f'key "{key}" stands twice in {what}')
            seen.add(key)
            yield key_node, value_node

    def _value(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        if isinstance(node, yaml.SequenceNode):
            return [self._item(item) for item in node.value]
        return {str(key.value): self._value(item) for key, item in self._pairs(node, "this value")}

    def _item(self, node: yaml.Node) -> Any:
        if isinstance(node, yaml.ScalarNode):
            return _scalar(node)
        self._fault(node, "expected plain values here, nothing deeper")
        return None

    def _place(self, node: yaml.Node) -> str:
        if self._name.startswith("profile "):
            return self._name
        return f"{self._name}:{node.start_mark.line + 1}:{node.start_mark.column + 1}"

    def _excerpt(self, node: yaml.Node) -> str:
        line = node.start_mark.line
        return self._lines[line].strip() if line < len(self._lines) else ""

    def _fault(self, node: yaml.Node, message: str) -> None:
        self.faults.append(f"{self._place(node)}: {message}\n    {self._excerpt(node)}")


class _Dumper(yaml.SafeDumper):
    """Quotes every text that would be read back as something else."""


def _text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    is_safe = isinstance(_plain(text), str) and text.isprintable()
    style = None if is_safe else '"'  # the one style that escapes line breaks of every kind
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)


def _scalar(node: yaml.ScalarNode) -> Any:
    text = str(node.value)
    return text if node.style is not None else _plain(text)  # quoted or block: a string


def _plain(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INTEGER(text):
        return int(text.replace("_", ""))
    return float(text) if _NUMBER(text) else text
