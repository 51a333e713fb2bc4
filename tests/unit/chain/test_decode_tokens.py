"""The token registry: the address is the key, symbols are earned."""

from __future__ import annotations

import gzip
import json

import pytest

from ethtune.chain.tokens import TokenRegistry, read_tokens
from ethtune.core.described import Token
from ethtune.core.errors import DataError

USDC = "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"
A, B = "0x" + "a" * 40, "0x" + "b" * 40


def test_built_in_token_is_written_by_symbol_and_scaled():
    token = TokenRegistry().get(USDC)
    assert (token.asset, token.amount(1_500_000)) == ("USDC", "1.5")


@pytest.mark.parametrize("symbol", ["USDC", "usdc", "ETH", "eth"])
def test_user_token_never_takes_a_reserved_symbol(symbol):
    registry = TokenRegistry([Token(A, symbol, 2)])
    assert registry.get(A).asset == A
    assert registry.get(A).amount(150) == "1.5"
    assert registry.get(USDC).asset == "USDC"


def test_user_list_cannot_change_a_built_in_token():
    assert TokenRegistry([Token(USDC, "SCAM", 0)]).get(USDC).symbol == "USDC"


def test_shared_symbol_belongs_to_nobody():
    registry = TokenRegistry([Token(A, "FOO", 18), Token(B, "foo", 18)])
    assert [registry.get(address).asset for address in (A, B)] == [A, B]


def test_unknown_decimals_leave_amounts_raw():
    assert TokenRegistry([Token(A, "FOO", None)]).get(A).amount(150) == "150"


def test_built_in_tokens_are_of_mainnet():
    assert TokenRegistry(chain_id=10).get(USDC) is None


def test_jsonl_and_etl_csv_are_read(tmp_path):
    rows = tmp_path / "tokens.jsonl.gz"
    with gzip.open(rows, "wt") as file:
        file.write(json.dumps({"address": A.upper().replace("0X", "0x"), "symbol": "FOO"}) + "\n")
    table = tmp_path / "tokens.csv"
    table.write_text(f"address,symbol,name,decimals,total_supply,block_number\n{B},BAR,Bar,8,,\n")
    registry = TokenRegistry.with_files([rows, table])
    assert registry.get(A) == Token(A, "FOO", None, "erc20", True)
    assert registry.get(B) == Token(B, "BAR", 8, "erc20", True)


@pytest.mark.parametrize("symbol", ["", "two words", 'quo"te', "É", "x" * 25, "0xabc", None, 7])
def test_unusable_symbol_makes_an_unknown_token(tmp_path, symbol):
    path = tmp_path / "tokens.jsonl"
    path.write_text(json.dumps({"address": A, "symbol": symbol, "decimals": 18}) + "\n")
    assert list(read_tokens(path)) == []


@pytest.mark.parametrize("decimals", ["", "-1", "1.5", 78, 10**30, None, True])
def test_unusable_decimals_are_unknown(tmp_path, decimals):
    path = tmp_path / "tokens.jsonl"
    path.write_text(json.dumps({"address": A, "symbol": "FOO", "decimals": decimals}) + "\n")
    assert [token.decimals for token in read_tokens(path)] == [None]


@pytest.mark.parametrize("line", ["{}", "no json", '{"address": "0x12", "symbol": "FOO"}'])
def test_row_without_address_is_named_with_its_line(tmp_path, line):
    path = tmp_path / "tokens.jsonl"
    path.write_text(json.dumps({"address": A, "symbol": "FOO"}) + "\n" + line + "\n")
    with pytest.raises(DataError, match=r"tokens\.jsonl:2: (address is|cannot be read)"):
        list(read_tokens(path))


def test_file_that_is_no_text_is_a_data_error(tmp_path):
    path = tmp_path / "tokens.csv"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="cannot be read as a token list"):
        list(read_tokens(path))
