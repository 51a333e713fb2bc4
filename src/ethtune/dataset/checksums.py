"""An address in, whether the case of its letters is the checksum of EIP-55 or contradicts it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from eth_hash.auto import keccak

_ADDRESS = re.compile(r"(?<![0-9A-Za-z])0x[0-9a-fA-F]{40}(?![0-9A-Za-z])")


def wrong_checksums(text: str) -> Iterator[str]:
    """Addresses in ``text`` that carry a checksum which is not theirs; one of one case has none."""
    for address in _ADDRESS.findall(text):
        letters = address[2:]
        if letters not in (letters.lower(), letters.upper()) and address != checksummed(address):
            yield address


def checksummed(address: str) -> str:
    """The spelling with the checksum: a letter is a capital where the hash's digit is 8 or more."""
    digits = address[2:].lower()
    marks = keccak(digits.encode()).hex()
    return "0x" + "".join(
        digit.upper() if mark >= "8" else digit
        for digit, mark in zip(digits, marks, strict=False)  # the hash has more digits
    )
