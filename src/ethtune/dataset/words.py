"""Calldata of unknown layout in, a short list of texts out, and back without loss.

Arguments come as words of 32 bytes; each becomes the shortest text that gives its bytes back:

    123          a number up to 13 bytes, ``-5`` its two's complement, ``max`` all bits set
    0x1f98…      an address (20 bytes) or more digits: leading zeros are left out
    0xa9059cbb*  trailing zeros are left out: text, selectors and other left-aligned data
    [head, …]    a length and that many bytes, when they are a selector and words: a call in a call
    +0x01ff      bytes behind the last whole word
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeAlias

from ethtune.dataset.addresses import MAX, AddressNames

Words: TypeAlias = "list[str | Words]"

WORD_BYTES = 32
SELECTOR_BYTES = 4
_CALL_PADDING = WORD_BYTES - SELECTOR_BYTES
_SMALL_BITS = 104  # wider than any usual amount, narrower than all but vanity addresses
_SMALL = 1 << _SMALL_BITS
_ALL = 1 << 256
_DEPTH_MAX = 8  # of calls within calls
_NUMBER = re.compile(r"-?\d+").fullmatch


def write_words(data: bytes, names: AddressNames, *, depth: int = 0) -> Words:
    """Texts of ``data``, which starts on a word border."""
    words: Words = []
    position = 0
    whole = len(data) - len(data) % WORD_BYTES
    while position < whole:
        start = position + WORD_BYTES
        number = int.from_bytes(data[position:start], "big")
        end = start + number + _CALL_PADDING
        if (
            number % WORD_BYTES == SELECTOR_BYTES
            and depth < _DEPTH_MAX
            and end <= whole
            and not any(data[start + number : end])
        ):
            words.append(write_blob(data[start : start + number], names, depth=depth + 1))
            position = end
        else:
            words.append(_write_word(number, names))
            position = start
    if whole < len(data):
        words.append("+0x" + data[whole:].hex())
    return words


def write_blob(data: bytes, names: AddressNames, *, depth: int = 0) -> Words:
    """A list whose first text is what precedes the words, a selector or nothing."""
    head = len(data) % WORD_BYTES
    return ["0x" + data[:head].hex(), *write_words(data[head:], names, depth=depth)]


def read_words(words: Sequence[str | Words], names: AddressNames) -> bytes:
    """Inverse of write_words. Raises ValueError for a text that write_words does not write."""
    return b"".join(
        _read_word(word, names) if isinstance(word, str) else _read_nested(word, names)
        for word in words
    )


def read_blob(words: Sequence[str | Words], names: AddressNames) -> bytes:
    """Inverse of write_blob."""
    return bytes.fromhex(str(words[0])[2:]) + read_words(words[1:], names)


def _write_word(number: int, names: AddressNames) -> str:
    if number < _SMALL:
        return str(number)
    if number == _ALL - 1:
        return MAX
    if number > _ALL - _SMALL:
        return str(number - _ALL)
    if number < 1 << 160:
        return names.write(f"0x{number:040x}")
    digits = f"{number:064x}"
    left_aligned = digits.rstrip("0")
    if len(left_aligned) < len(digits.lstrip("0")):
        return f"0x{left_aligned}{'0' * (len(left_aligned) % 2)}*"
    return f"0x{number:x}"


def _read_word(text: str, names: AddressNames) -> bytes:
    if text == MAX:
        return b"\xff" * WORD_BYTES
    if _NUMBER(text):
        return (int(text) % _ALL).to_bytes(WORD_BYTES, "big")
    if text.startswith("+0x"):
        return bytes.fromhex(text[3:])
    if text.endswith("*"):
        return bytes.fromhex(text[2:-1]).ljust(WORD_BYTES, b"\x00")
    return int(names.read(text) or text, 16).to_bytes(WORD_BYTES, "big")


def _read_nested(words: Words, names: AddressNames) -> bytes:
    body = read_blob(words, names)
    padding = bytes(-len(body) % WORD_BYTES)
    return len(body).to_bytes(WORD_BYTES, "big") + body + padding
