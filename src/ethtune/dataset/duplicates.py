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

_ADDRESS = re.compile(r"(0x[0-9a-f]{40})(?![0-9a-f])")
# Looks back from its first character, so that the engine leaps to these.
_NUMBER = re.compile(
    r"[-\d](?<![0-9A-Za-z].)(?:(?<=0)x[0-9a-f]+\*?|\d*(?<!-)(?:\.\d+)?)(?![0-9A-Za-z])"
)
_CALLED = re.compile(r'\{"to":"([^"\\]*)",(?:"value":"[^"]*",)?"call":"([^"\\]*)"').match
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
    between = _ADDRESS.split(text)
    people = sorted({sender, *between[1::2]})
    shape = _shape(text, "A".join(between[::2]))
    return Likeness(_digest(shape), _digest(" ".join(people)), _digest(input_text))


def template(expanded_text: str) -> str:
    """The input without its particulars: contract, function, shape of arguments, events."""
    return _shape(expanded_text, _ADDRESS.sub("A", expanded_text))


def _shape(text: str, anonymous: str) -> str:
    """``anonymous`` is the text without its addresses."""
    shape = _NUMBER.sub("N", anonymous)
    called = _CALLED(text)  # most are as we write them
    if called:
        return f"{called[1]} {called[2]} {shape}"
    plain = json.loads(text)
    return f"{plain.get('to')} {plain['call']} {shape}" if plain.get("call") else shape


def _digest(text: str) -> bytes:
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()
