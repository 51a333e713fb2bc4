"""A faulty line in, the same row without the fault out, where its meaning is certain to stay.

Repaired are the spelling of amounts ("01.50", 3, "1e3": exact numbers all) and of addresses with
a right checksum, and the order and spacing of an intent's keys. A JSON float is left alone: digits
may be lost already. Byte order marks and line ends go by themselves when lines are copied.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from ethtune.core.intent import InvalidIntent, intent_from_dict
from ethtune.dataset.checksums import wrong_checksums

REPAIRABLE = frozenset({"E202", "E207", "W214"})

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]{1,2})?").fullmatch
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}").fullmatch
_DIGITS_MAX = 80  # more than any 256-bit number has


def repaired(content: bytes) -> bytes | None:
    """The line with its output in canonical form; None where that is not certain to mean the same.

    ``content`` is an instruction row whose output was meant as an intent.
    """
    try:
        row = json.loads(content)
        plain = json.loads(row["output"], object_pairs_hook=_unrepeated)
        row["output"] = intent_from_dict(_normal(plain)).to_json()
        return json.dumps(row, separators=(",", ":"), ensure_ascii=False).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _normal(plain: dict[str, Any]) -> dict[str, Any]:
    """The intent with every amount and address as canonical intents spell them."""
    normal = {key: _address(value) for key, value in plain.items()}
    for key in ("sent", "received", "approved"):
        if key in plain:
            normal[key] = [
                {name: _address(_amount(name, value)) for name, value in movement.items()}
                for movement in plain[key]
            ]
    return normal


def _amount(name: str, value: Any) -> Any:
    if name not in ("amount", "token_id") or type(value) not in (str, int):
        return value
    spelled = str(value)
    if not _NUMBER(spelled) or len(spelled) > _DIGITS_MAX:
        return value
    plain = f"{Decimal(spelled):f}"
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _address(value: Any) -> Any:
    if isinstance(value, str) and _ADDRESS(value) and not any(wrong_checksums(value)):
        return value.lower()
    return value


def _unrepeated(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        raise InvalidIntent("a key stands twice")
    return plain
