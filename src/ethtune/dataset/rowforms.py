"""A JSON object in, a training row of whatever form out, or why it is none.

    instruction   {"instruction": …, "input": …, "output": …}          what ethtune trains on
    text          {"text": …}                                          nothing but text to continue
    chat          {"messages": [{"role": …, "content": …}, …]}, or
                  {"conversations": [{"from": …, "value": …}, …]}

Of every form the same is wanted: the turns before the answer, and the answer.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from ethtune.dataset.findings import Fault, cut, quoted
from ethtune.dataset.reading import EMPTY_OUTPUT, ROW_KEYS, row_fault

Form = Literal["instruction", "text", "chat"]
Turn = tuple[str, str]  # role and content

_ROLES = {
    "system": "system", "developer": "system",
    "user": "user", "human": "user",
    "assistant": "assistant", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant",
    "function_call": "assistant",
    "tool": "tool", "function": "tool", "observation": "tool",
}  # fmt: skip
_CHAT_KEYS = {"messages": ("role", "content"), "conversations": ("from", "value")}
_KNOWN_KEYS: dict[Form, frozenset[str]] = {
    "instruction": frozenset({*ROW_KEYS, "id", "meta"}),
    "text": frozenset({"text", "id", "meta"}),
    "chat": frozenset({*_CHAT_KEYS, "id", "meta", "tools", "system"}),
}


@dataclass(frozen=True, slots=True)
class Row:
    """``prompt`` are the turns before ``answer``; a text has none. ``plain`` is the whole row."""

    form: Form
    prompt: tuple[Turn, ...]
    answer: str
    plain: dict[str, Any] = field(default_factory=dict)

    @property
    def texts(self) -> list[str]:
        """Everything in it that a tokenizer will read."""
        return [*(content for _, content in self.prompt), self.answer]

    @property
    def unknown_keys(self) -> list[str]:
        """Keys that have no meaning in a row of this form."""
        return [key for key in self.plain if key not in _KNOWN_KEYS[self.form]]


def form_of(plain: dict[str, Any]) -> Form:
    """The form that a row has or, by the keys that are there, was meant to have."""
    if any(key in plain for key in ("instruction", "input", "output")):
        return "instruction"
    if any(key in plain for key in _CHAT_KEYS):
        return "chat"
    return "text" if "text" in plain else "instruction"


def read_row(plain: Any) -> Row | Fault:
    """The row, or the first thing that keeps it from being one."""
    if not isinstance(plain, dict):
        name = type(plain).__name__
        return Fault("E102", f"expected a JSON object, found {name}", quoted(plain))
    form = form_of(plain)
    if form == "instruction":
        return _instruction(plain)
    return _text(plain) if form == "text" else _chat(plain)


def _instruction(plain: dict[str, Any]) -> Row | Fault:
    fault = row_fault(plain)
    if fault:
        return Fault("E103" if fault == EMPTY_OUTPUT else "E102", fault, quoted(plain))
    prompt = f"{plain['instruction']}\n{plain['input']}"
    return Row("instruction", (("user", prompt),), plain["output"], plain)


def _text(plain: dict[str, Any]) -> Row | Fault:
    text = plain["text"]
    if not isinstance(text, str):
        return Fault("E102", f"text is {quoted(text)}, expected a text", quoted(text))
    if not text.strip():
        return Fault("E103", "text is empty, nothing to learn", quoted(text))
    return Row("text", (), text, plain)


def _chat(plain: dict[str, Any]) -> Row | Fault:
    key = next(key for key in _CHAT_KEYS if key in plain)
    if not isinstance(plain[key], list):
        return Fault("E102", f"{key} is {quoted(plain[key])}, expected a list", quoted(plain[key]))
    if not plain[key]:
        return Fault("E103", f"{key} is empty, nothing to learn", "[]")
    turns: list[Turn] = []
    for number, item in enumerate(plain[key], start=1):
        turn = _turn(item, *_CHAT_KEYS[key])
        if turn is None:
            return Fault("E102", f"turn {number} is {quoted(item)}", quoted(item))
        turns.append(turn)
    return _disorder(turns) or Row("chat", tuple(turns[:-1]), turns[-1][1], plain)


def _turn(item: object, role_key: str, content_key: str) -> Turn | None:
    """Role and content; a call of a tool stands for content that is not there."""
    if not isinstance(item, dict) or not isinstance(item.get(role_key), str):
        return None
    content = item.get(content_key)
    if content is None and item.get("tool_calls"):
        content = json.dumps(item["tool_calls"])
    if isinstance(content, list):
        parts = [part.get("text") for part in content if isinstance(part, dict)]
        content = "".join(part for part in parts if isinstance(part, str)) or None
    role = str(item[role_key])
    return (_ROLES.get(role.lower(), role), content) if isinstance(content, str) else None


def _disorder(turns: list[Turn]) -> Fault | None:
    """What keeps a conversation from ending in an answer to what was asked."""
    roles = [role for role, _ in turns]
    for number, role in enumerate(roles, start=1):
        if role not in _ROLES.values():
            return Fault("E105", f"turn {number} has the role {quoted(role)}", cut(role))
    if "system" in roles[1:]:
        text = f"turn {roles.index('system', 1) + 1} is the system's, expected first of all"
        return Fault("E105", text, "system")
    if "assistant" not in roles:
        return Fault("E103", "no turn of the assistant, nothing to learn", " ".join(roles))
    if roles[-1] != "assistant":
        return Fault("E105", f"ends with the turn of {roles[-1]}", roles[-1])
    if (roles[1:] if roles[0] == "system" else roles)[0] != "user":
        return Fault("E105", "the assistant speaks first", " ".join(roles[:3]))
    return _repetition(roles) or _silence(turns)


def _repetition(roles: list[str]) -> Fault | None:
    for number, (one, other) in enumerate(pairwise(roles), start=2):
        if one == other and one != "tool":
            return Fault("E105", f"turns {number - 1} and {number} are both of {one}", one)
    return None


def _silence(turns: list[Turn]) -> Fault | None:
    for number, (role, content) in enumerate(turns, start=1):
        if not content.strip() and role == "assistant":
            return Fault("E103", f"turn {number}, the assistant's, is empty", content)
        if not content.strip() and role == "user":
            return Fault("E105", f"turn {number}, the user's, is empty", content)
    return None
