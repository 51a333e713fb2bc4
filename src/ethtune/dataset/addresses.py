"""How prompts write addresses: as few digits as possible, and every one of them recoverable.

Small models spell an address digit by digit, some forty tokens each. So the sender is the word
``sender``, a token whose symbol is its own is that symbol, and any other address stands in full
once: where a text names it again, its first place reads ``#1=0x…`` and all later ones ``#1``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from functools import cached_property

from ethtune.core.described import Token

SENDER = "sender"
MAX = "max"
NATIVE_PLACEHOLDER = "0x" + "e" * 40  # what many contracts take for ether
NATIVE = Token(NATIVE_PLACEHOLDER, "ETH", 18, name_is_unique=True)

_SMALL = "0x" + "0" * 38  # begins zero and the ones that routers read as "you"
_SHORT = re.compile(r"0x[0-9a-f]{1,2}").fullmatch
# Written so that it begins with two plain letters: the regular expression engine leaps to these.
_LITERAL = re.compile(r"(0x(?<![0-9A-Za-z]0x)[0-9a-f]{40})(?![0-9A-Za-z*])")
_REFERENCE = re.compile(r"#(\d+)(?:=(0x[0-9a-f]{40}))?")


class AddressNames:
    """The short names of one transaction's addresses, and the way back."""

    def __init__(self, sender: str, tokens: Mapping[str, Token]) -> None:
        names = {NATIVE_PLACEHOLDER: NATIVE.symbol}
        for address, token in tokens.items():
            names[address] = token.asset
        names[sender] = SENDER
        self._sender = sender
        self._names = names

    @cached_property
    def _addresses(self) -> dict[str, str]:
        return {name: address for address, name in self._names.items()}

    def write(self, address: str) -> str:
        """The address' name, itself where it has none; the zero address and the like are short."""
        name = self._names.get(address)
        if name is not None:
            return name
        return f"0x{int(address, 16):x}" if address.startswith(_SMALL) else address

    def write_account(self, address: str) -> str:
        """The same for a recipient or spender, which intents never name by a token's symbol."""
        return SENDER if address == self._sender else address

    def read(self, name: str) -> str | None:
        """The address behind a name or literal; None for any other text."""
        if _LITERAL.fullmatch(name):
            return name
        if _SHORT(name):
            return "0x" + name[2:].rjust(40, "0")
        return self._addresses.get(name)


def number_repeats(text: str) -> str:
    """Give every address that stands in ``text`` twice or more a number at its first place."""
    parts = _LITERAL.split(text)
    addresses = parts[1::2]
    if len(set(addresses)) == len(addresses):
        return text
    counts = Counter(addresses)
    numbers: dict[str, int] = {}
    for place, address in enumerate(addresses):
        if address in numbers:
            parts[2 * place + 1] = f"#{numbers[address]}"
        elif counts[address] > 1:
            numbers[address] = len(numbers) + 1
            parts[2 * place + 1] = f"#{numbers[address]}={address}"
    return "".join(parts)


def expand_repeats(text: str) -> str:
    """Inverse of number_repeats. A number that was never given stays as it is."""
    if "#" not in text:
        return text
    addresses: dict[str, str] = {}

    def lengthen(match: re.Match[str]) -> str:
        if match[2]:
            addresses[match[1]] = match[2]
        return addresses.get(match[1], match[0])

    return _REFERENCE.sub(lengthen, text)
