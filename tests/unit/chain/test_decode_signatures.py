"""The tables in assets/chain: every hash recomputed, every slug on the one list."""

from __future__ import annotations

import re

import pytest
from eth_hash.auto import keccak

from ethtune.chain.protocols import contracts, protocols
from ethtune.chain.signatures import (
    commands,
    events,
    functions,
    parse_signature,
    read_asset,
)
from ethtune.chain.tokens import built_in_tokens
from ethtune.core.intent import ACTIONS


def test_every_selector_is_the_hash_of_its_signature():
    for selector, signature in functions().items():
        assert "0x" + keccak(signature.canonical.encode())[:4].hex() == selector, signature.name


def test_every_topic_is_the_hash_of_its_signature():
    for (topic0, _), signature in events().items():
        assert "0x" + keccak(signature.canonical.encode()).hex() == topic0, signature.name


@pytest.mark.parametrize("table", ["functions.csv", "events.csv", "contracts.csv", "tokens.csv"])
def test_no_key_stands_twice(table):
    rows = read_asset(table)
    keys = [(row[0], row[1].count(" indexed ")) for row in rows]
    assert len(set(keys)) == len(rows)


def test_argument_names_are_unique_after_structs_are_opened():
    for signature in (*functions().values(), *events().values(), *commands().values()):
        names = [item.name for parameter in signature.parameters for item in parameter.opened]
        assert len(set(names)) == len(names), signature.canonical


def test_tables_name_known_actions_and_protocols():
    for signature in (*functions().values(), *events().values()):
        assert signature.action is None or signature.action in ACTIONS, signature.text
        assert signature.protocol is None or signature.protocol in protocols(), signature.text


def test_events_of_one_topic_are_told_apart_by_their_first_argument():
    told = {}
    for (topic0, _), event in events().items():
        meaning = event.action, event.protocol
        key = topic0, event.parameters[0].opened[0].name
        assert told.setdefault(key, meaning) == meaning, event.text


def test_struct_arrays_and_indexed_parameters_are_read():
    signature = parse_signature("f((address a,(bool b,bytes c)[] d) e,(uint8 g)[2] h,string i)")
    assert signature.canonical == "f((address,(bool,bytes)[]),(uint8)[2],string)"
    fields = signature.parameters[0].opened
    assert [(field.name, field.type) for field in fields] == [
        ("a", "address"), ("d", "(bool,bytes)[]"),
    ]  # fmt: skip
    assert [member.name for member in fields[1].members] == ["b", "c"]


def test_contracts_name_known_protocols_and_whole_addresses():
    for contract in contracts().values():
        assert contract.protocol in protocols()
        assert re.fullmatch(r"0x[0-9a-f]{40}", contract.address)


def test_protocol_slugs_are_sorted_slugs():
    assert list(protocols()) == sorted(protocols())
    assert all(re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", slug) for slug in protocols())


def test_built_in_symbols_are_unique_whatever_their_case():
    symbols = [token.symbol.lower() for token in built_in_tokens().values()]
    assert len(set(symbols)) == len(symbols)
    assert "eth" not in symbols
