"""A row of intents in, what is wrong between its output and its input."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ethtune.core.intent import Intent
from ethtune.dataset.findings import Fault, cut, quoted
from ethtune.dataset.grounding import ungrounded
from ethtune.dataset.labels import NumberText, number_faults, read_label

_LABEL_KEYS = frozenset({"action", "protocol", "outcome", "intent", "label", "decoded_action"})
_TELLING_CHARACTERS = 12  # shorter outputs may stand in an input by chance
_HASH = re.compile(r"0x[0-9a-fA-F]{64}").fullmatch
_SEEN_AFTERWARDS = ("status", "logs", "internal")  # what no wallet has before signing
_MISSING_SHOWN = 3


def label_faults(
    plain: Mapping[str, Any], decimals: Mapping[str, int]
) -> tuple[Intent | None, list[Fault]]:
    """The intent of an instruction row, and everything found about it."""
    identity = plain.get("id")
    faults = []
    if identity is not None and not (isinstance(identity, str) and _HASH(identity)):
        faults.append(Fault("W210", f"id is {quoted(identity)}", quoted(identity)))
    intent, spelling = read_label(plain["output"])
    faults += spelling
    if intent is not None:
        faults += _leaks(plain)
        # a number that cannot be need not be looked for
        faults += [*number_faults(intent, decimals)] or _contradictions(plain, intent)
    return intent, faults


def _leaks(plain: Mapping[str, Any]) -> Iterator[Fault]:
    output, text = plain["output"].strip(), f"{plain['instruction']}\n{plain['input']}"
    is_there = output in text or json.dumps(output)[1:-1] in text
    if len(output) >= _TELLING_CHARACTERS and is_there:
        yield Fault("E205", f"both hold {quoted(output)}", cut(output))


def _contradictions(plain: Mapping[str, Any], intent: Intent) -> Iterator[Fault]:
    """What the label says and the input does not; nothing can be said of an input of other form."""
    floats: list[str] = []

    def note(spelled: str) -> NumberText:
        floats.append(spelled)
        return NumberText(spelled)

    try:
        seen = json.loads(plain["input"], parse_float=note)
        keys = sorted(_LABEL_KEYS & set(_keys(seen)))
        missing = ungrounded(intent, plain["input"])
    except (ValueError, TypeError, AttributeError, ArithmeticError, RecursionError):
        yield Fault("W206", f"input is {quoted(plain['input'])}", cut(plain["input"]))
        return
    for key in keys:
        yield Fault("E204", f'input has the key "{key}"', key)
    if missing:
        named = ", ".join(missing[:_MISSING_SHOWN])
        yield Fault("E203", f"the input does not hold {named}", named)
    if floats:
        yield Fault("W215", f"input has the number {cut(floats[0])}", cut(floats[0]))
    yield from _other_view(plain, intent, seen)


def _other_view(
    plain: Mapping[str, Any], intent: Intent, seen: Mapping[str, Any]
) -> Iterator[Fault]:
    view = (plain.get("meta") or {}).get("view")
    later = [key for key in _SEEN_AFTERWARDS if key in seen]
    if view == "signing" and later:
        text = f'meta.view is "signing" but the input has "{later[0]}"'
        yield Fault("E213", text, later[0])
    elif intent.outcome == "unknown" and "status" in seen:
        text = f'outcome is "unknown" but the input has status {quoted(seen["status"])}'
        yield Fault("W216", text, "outcome")


def _keys(plain: Any) -> Iterator[str]:
    """Keys of objects at any depth."""
    waiting = [plain]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield from item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
