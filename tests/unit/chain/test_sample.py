"""Sample traffic looks like mainnet: true addresses, true event order, sums that add up."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from fractions import Fraction
from pathlib import Path

import pytest
from eth_hash.auto import keccak

from ethtune.chain.sample.encoding import call, created_address
from ethtune.chain.sample.etl_files import write_etl_files
from ethtune.chain.sample.generate import FIRST_BLOCK, FIRST_TIMESTAMP, KINDS, generate
from ethtune.chain.sample.pools import (
    SUSHISWAP_FACTORY,
    UNISWAP_V2_FACTORY,
    PairPool,
    TickPool,
)
from ethtune.chain.sample.tokens import PICO, tokens
from ethtune.chain.sources import read_transactions
from ethtune.core.transaction import Transaction

APPROVAL = "0x" + keccak(b"Approval(address,address,uint256)").hex()
TRANSFER = "0x" + keccak(b"Transfer(address,address,uint256)").hex()
DEPOSIT = "0x" + keccak(b"Deposit(address,uint256)").hex()
WITHDRAWAL = "0x" + keccak(b"Withdrawal(address,uint256)").hex()
WETH = tokens()["WETH"].address
SAMPLES = list(generate(2000, 7))
SWAPS = [sample for sample in SAMPLES if "_v" in sample.kind or "sushi" in sample.kind]


@pytest.mark.parametrize(
    ("factory", "pair", "address"),
    [
        (UNISWAP_V2_FACTORY, ("USDC", "WETH"), "0xb4e16d0168e52d35cacd2c6185b44281ec28c9dc"),
        (SUSHISWAP_FACTORY, ("USDT", "WETH"), "0x06da0fd433c1a5d7a4faa01111c044910a184553"),
        (SUSHISWAP_FACTORY, ("SUSHI", "WETH"), "0x795065dcc9f64b5614c407a6efdc400da6221fb0"),
    ],
)
def test_pairs_stand_at_their_mainnet_addresses(factory, pair, address) -> None:
    first, second = (tokens()[symbol] for symbol in pair)
    assert PairPool.of(factory, (first, second), 10**9).address == address
    assert PairPool.of(factory, (second, first), 10**9).address == address


@pytest.mark.parametrize(
    ("pair", "fee", "address"),
    [
        (("USDC", "WETH"), 500, "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640"),
        (("DAI", "WETH"), 500, "0x60594a405d53811d3bc4766596efd80fd545a270"),
        (("PEPE", "WETH"), 3000, "0x11950d141ecb863f01007add7d1a342041227b58"),
    ],
)
def test_v3_pools_stand_at_their_mainnet_addresses(pair, fee, address) -> None:
    first, second = (tokens()[symbol] for symbol in pair)
    assert TickPool.of((first, second), fee, 10**9).address == address


def test_created_contracts_stand_where_create_puts_them() -> None:
    # The pair of sender and nonce that ethereum/tests and many a manual use.
    sender = "0x6ac7ea33f8831ea9dcc53393aaa88b25a785dbf0"
    assert created_address(sender, 0) == "0xcd234a471b72ba2f1ccf0a70fcaba648a5eecd8d"
    assert created_address(sender, 1) == "0x343c43a37d37dff08ae8c4a11544c718abb4fcf8"


@pytest.mark.parametrize(
    ("signature", "arguments", "selector"),
    [
        ("transfer(address,uint256)", (WETH, 1), "0xa9059cbb"),
        ("deposit()", (), "0xd0e30db0"),
        (
            "exactInputSingle((address,address,uint24,address,uint256,uint256,uint256,uint160))",
            ((WETH, WETH, 500, WETH, 1, 2, 3, 0),),
            "0x414bf389",
        ),
    ],
)
def test_calls_have_the_selectors_of_mainnet(signature, arguments, selector) -> None:
    assert call(signature, *arguments)[:10] == selector


def test_at_least_forty_tokens_with_distinct_symbols_and_addresses() -> None:
    table = tokens()
    assert len(table) >= 40
    assert len({token.address for token in table.values()}) == len(table)
    assert all(token.price_pico_usd > 0 for token in table.values())


def test_every_kind_occurs_and_the_common_ones_are_common() -> None:
    counts = Counter(sample.kind for sample in SAMPLES)
    assert set(counts) == set(KINDS)
    assert 0.15 < counts["eth_transfer"] / len(SAMPLES) < 0.28
    assert 0.17 < counts["erc20_transfer"] / len(SAMPLES) < 0.30


def test_hashes_are_distinct_and_blocks_follow_each_other() -> None:
    assert len({sample.transaction.hash for sample in SAMPLES}) == len(SAMPLES)
    gas, last_block = 0, FIRST_BLOCK
    for sample in SAMPLES:
        transaction = sample.transaction
        assert transaction.block_number - last_block in (0, 1)
        assert transaction.timestamp == FIRST_TIMESTAMP + 12 * (
            transaction.block_number - FIRST_BLOCK
        )
        gas = transaction.gas_used + (gas if transaction.block_number == last_block else 0)
        last_block = transaction.block_number
        assert sample.cumulative_gas_used == gas
        assert transaction.gas_used <= transaction.gas


def test_failed_transactions_have_no_logs_and_others_succeed() -> None:
    for sample in SAMPLES:
        assert sample.transaction.status == (0 if sample.kind == "failed" else 1)
        assert sample.kind != "failed" or sample.transaction.logs == ()


def flows(transaction: Transaction) -> dict[tuple[str, str], int]:
    """Net token amounts by account and token, as the logs tell."""
    net: dict[tuple[str, str], int] = defaultdict(int)
    for log in transaction.logs:
        amount = int(log.data, 16) if len(log.data) == 66 else 0
        accounts = ["0x" + topic[-40:] for topic in log.topics[1:]]
        if log.topics[0] == TRANSFER:
            net[accounts[0], log.address] -= amount
            net[accounts[1], log.address] += amount
        elif log.topics[0] == DEPOSIT:
            net[accounts[0], log.address] += amount
        elif log.topics[0] == WITHDRAWAL:
            net[accounts[0], log.address] -= amount
    return net


def test_nothing_stays_in_a_router() -> None:
    for sample in SWAPS:
        transaction = sample.transaction
        held = {
            token: amount
            for (account, token), amount in flows(transaction).items()
            if account == transaction.to and amount
        }
        assert held == {}, sample.kind


def test_swaps_cost_a_fee_and_little_more() -> None:
    by_address = {token.address: token for token in tokens().values()}
    for sample in SWAPS:
        transaction = sample.transaction
        worth = Fraction(0)
        turnover = Fraction(0)
        for (account, token), amount in flows(transaction).items():
            if account == transaction.sender and amount:
                known = by_address[token]
                usd = Fraction(amount * known.price_pico_usd, PICO * 10**known.decimals)
                worth, turnover = worth + usd, turnover + abs(usd)
        if "eth" not in sample.kind:  # ether itself is in no log
            assert abs(worth) < turnover / 8, sample.kind


def shape(transaction: Transaction) -> tuple:
    """Events with every account named by its first appearance; allowances left out."""
    names = {transaction.sender: "sender", transaction.to: "called"}

    def name(address: str) -> str:
        return names.setdefault(address, f"account {len(names)}")

    def names_of(topics: tuple[str, ...]) -> list[str]:
        return [name("0x" + topic[-40:]) for topic in topics]

    return tuple(
        (name(log.address), log.topics[0], *names_of(log.topics[1:]), len(log.data))
        for log in transaction.logs
        if log.topics and log.topics[0] != APPROVAL
    )


def test_events_are_those_of_real_receipts_in_their_order(real_data: Path) -> None:
    without_deadline = {"0x04e45aaf": "0x414bf389", "0x5023b4df": "0xdb3e2198"}
    compared = {sample.transaction.selector for sample in SWAPS}
    compared |= {"0xa9059cbb", "0x23b872dd", "0xd0e30db0", "0x2e1a7d4d"}
    seen = defaultdict(set)
    for record in read_transactions(real_data / "mainnet_receipts.jsonl.gz"):
        if isinstance(record, Transaction) and record.status == 1 and record.selector in compared:
            key = without_deadline.get(record.selector, record.selector)
            seen[key].add(shape(record))
    missing = Counter()
    for sample in SAMPLES:
        transaction = sample.transaction
        if sample.kind in ("failed", "unknown_call") or transaction.selector not in compared:
            continue
        if (
            shape(transaction)
            not in seen[without_deadline.get(transaction.selector, transaction.selector)]
        ):
            missing[sample.kind] += 1
    # The few real exactOutputSingle calls all pay with or for WETH.
    assert set(missing) <= {"uniswap_v3_exact_output"}, missing


def test_the_written_export_reads_back_as_it_was_made(tmp_path: Path) -> None:
    written = list(write_etl_files(tmp_path, generate(300, 3)))
    assert list(read_transactions(tmp_path)) == [sample.transaction for sample in written]
    with (tmp_path / "token_transfers.csv").open() as handle:
        num_transfers = sum(1 for _ in csv.DictReader(handle))
    assert num_transfers == sum(
        log.topics[0] == TRANSFER for sample in written for log in sample.transaction.logs
    )
    with (tmp_path / "tokens.csv").open() as handle:
        assert [row["symbol"] for row in csv.DictReader(handle)] == list(tokens())


def test_the_seed_alone_decides() -> None:
    assert list(generate(200, 7)) == SAMPLES[:200]
    assert list(generate(20, 8)) != SAMPLES[:20]


@pytest.mark.parametrize("fee", [100, 500, 3000, 10000])
def test_exact_output_buys_what_exact_input_sells(fee: int) -> None:
    known = tokens()
    pool = TickPool.of((known["USDC"], known["WETH"]), fee, 5 * 10**9)
    for token_in in (pool.token0, pool.token1):
        sold = pool.swap(token_in, token_in.raw(123_456))
        bought = pool.swap_for(token_in, sold.amount_out)
        assert abs(bought.amount_in - sold.amount_in) <= sold.amount_in // 10**5 + 2
        assert abs(bought.pool.tick - sold.pool.tick) <= 1


def test_a_pair_never_loses_to_a_swap() -> None:
    known = tokens()
    pair = PairPool.of(UNISWAP_V2_FACTORY, (known["DAI"], known["WETH"]), 5 * 10**9)
    for token_in in (pair.token0, pair.token1):
        after = pair.swap(token_in, token_in.raw(10**7)).pool
        assert after.reserve0 * after.reserve1 > pair.reserve0 * pair.reserve1
