"""Which prompts are so alike that one in training would give away another in the test.

Two keys of a row. Its *template* is the called contract, the selector and the input with every
other address, amount and number blanked out: near-duplicates share it. Its *counterparties* are
the addresses that take part, the sender included. Templates that very many rows share, plain
transfers above all, are told apart by counterparties (``splits``): the same payment twice by the
same people is a duplicate, two payments between strangers are not.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from hashlib import blake2b

from ethtune.dataset.addresses import expand_repeats

_ADDRESS = re.compile(r"0x[0-9a-f]{40}(?![0-9a-f])")
_NUMBER = re.compile(r"(?<![0-9A-Za-z])(?:0x[0-9a-f]+\*?|-?\d+(?:\.\d+)?)(?![0-9A-Za-z])")
_DIGEST_BYTES = 12


@dataclass(frozen=True, slots=True)
class Likeness:
    """Digests that are equal where template, counterparties, or the whole input are."""

    template: bytes
    counterparties: bytes
    text: bytes


def likeness(input_text: str, *, sender: str) -> Likeness:
    """The keys of a rendered prompt; ``sender`` is the one address that it does not hold."""
    text = expand_repeats(input_text)
    people = sorted({sender, *_ADDRESS.findall(text)})
    return Likeness(_digest(template(text)), _digest(" ".join(people)), _digest(input_text))


def template(expanded_text: str) -> str:
    """The input without its particulars: contract, function, shape of arguments, events."""
    head = json.loads(expanded_text)
    shape = _NUMBER.sub("N", _ADDRESS.sub("A", expanded_text))
    return f"{head.get('to')} {head.get('call')} {shape}" if head.get("call") else shape


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()
