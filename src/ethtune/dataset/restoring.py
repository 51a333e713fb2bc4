"""A prompt in, the calldata it was rendered from out: the proof that rendering loses nothing.

Needs what the prompt leaves to common knowledge: the sender's address, the tokens, and the
signatures of functions by name. Creations have no calldata to restore.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from eth_abi.abi import encode

from ethtune.core.abi import split_types
from ethtune.core.described import Token
from ethtune.dataset.addresses import AddressNames, expand_repeats
from ethtune.dataset.calls import call_head
from ethtune.dataset.values import Json, ValueReader
from ethtune.dataset.words import read_words

# name → (selector, canonical signature); the selector is "" where calls are encoded without one
Signatures = Mapping[str, Sequence[tuple[str, str]]]


def restore_calldata(
    text: str, *, sender: str, tokens: Mapping[str, Token], signatures: Signatures
) -> str:
    """Hex with 0x. Raises ValueError for a text that ``prompts.render`` did not write."""
    plain = json.loads(expand_repeats(text))
    call = plain.get("call")
    if call is None:
        return "0x"
    names = AddressNames(sender, tokens)
    selector = call.rpartition(" ")[2]
    if selector.startswith("0x") and "args" not in plain:
        return str(selector) + read_words(plain.get("words", []), names).hex()
    data = _Restorer(names, tokens, signatures).call([call, *plain.get("args", [])])
    return "0x" + (data + read_words(plain.get("tail", []), names)).hex()


class _Restorer:
    def __init__(
        self, names: AddressNames, tokens: Mapping[str, Token], signatures: Signatures
    ) -> None:
        self._signatures = signatures
        self._reader = ValueReader(names, tokens, self.call)

    def call(self, written: Sequence[Json]) -> bytes:
        """Bytes of ``[function, argument, …]`` under the first signature that they fit."""
        head, *arguments = written
        name = str(head).partition(" ")[0]
        for selector, canonical in self._signatures.get(name, ()):
            if arguments and head not in (call_head(name, selector), f"{name} {selector}"):
                continue
            try:
                types = split_types(canonical.partition("(")[2][:-1])
                values = list(self._values(types, arguments))
            except (ValueError, KeyError, TypeError):
                continue
            return bytes.fromhex(selector[2:]) + encode(types, values)
        raise ValueError(f"{head!r} with {len(arguments)} arguments fits no known signature")

    def _values(self, types: Sequence[str], arguments: Sequence[Json]) -> Iterator[Any]:
        """One value per type; a struct takes as many arguments as it has fields."""
        rest = iter(arguments)
        for abi_type in types:
            if abi_type.startswith("(") and abi_type.endswith(")"):
                fields = split_types(abi_type[1:-1])
                yield [self._reader.read(field, self._next(rest)) for field in fields]
            else:
                yield self._reader.read(abi_type, self._next(rest))
        if next(rest, None) is not None:
            raise ValueError("more arguments than the signature has")

    @staticmethod
    def _next(rest: Iterator[Json]) -> Json:
        try:
            return next(rest)
        except StopIteration:
            raise ValueError("fewer arguments than the signature has") from None
