"""A seed in, a stream of sample transactions out, block after block, of realistic shares."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from random import Random

from ethtune.chain.sample import contracts, pair_swaps, tick_swaps, transfers
from ethtune.chain.sample.encoding import created_address, keccak_hex
from ethtune.chain.sample.world import Draft, World
from ethtune.core.transaction import Log, Transaction

FIRST_BLOCK = 18_965_013  # mainnet, 8 January 2024
FIRST_TIMESTAMP = 1_704_749_915
SECONDS_PER_BLOCK = 12
GWEI = 10**9
_LEGACY_SHARE = 0.2

Build = Callable[[World], Draft]

_ATTEMPTS: tuple[Build, ...] = (
    transfers.erc20_transfer,
    transfers.erc20_transfer_from,
    transfers.unwrap,
    partial(pair_swaps.eth_for_tokens, transfers.UNISWAP_V2_ROUTER),
    partial(pair_swaps.tokens_for_eth, transfers.UNISWAP_V2_ROUTER),
    tick_swaps.exact_input,
    tick_swaps.exact_output,
    contracts.strange_call,
)


def _failed(world: World) -> Draft:
    """An attempt that reverts: no event remains, and no pool moves."""
    draft = world.random.choice(_ATTEMPTS)(world.aside())
    gas = max(21_000, draft.gas_used * world.random.randrange(30, 95) // 100)
    return Draft(draft.sender, draft.to, draft.value_wei, draft.calldata, gas)


# Kind, share in per mille of all transactions, how one is drawn.
_KINDS: tuple[tuple[str, int, Build], ...] = (
    ("eth_transfer", 215, transfers.eth_transfer),
    ("erc20_transfer", 230, transfers.erc20_transfer),
    ("erc20_transfer_from", 25, transfers.erc20_transfer_from),
    ("approve_unlimited", 65, transfers.approve_unlimited),
    ("approve_exact", 50, transfers.approve_exact),
    ("revoke_approval", 20, transfers.revoke_approval),
    ("weth_deposit", 25, transfers.wrap),
    ("weth_withdraw", 20, transfers.unwrap),
    ("uniswap_v2_eth_for_tokens", 50,
     partial(pair_swaps.eth_for_tokens, transfers.UNISWAP_V2_ROUTER)),
    ("uniswap_v2_tokens_for_eth", 50,
     partial(pair_swaps.tokens_for_eth, transfers.UNISWAP_V2_ROUTER)),
    ("uniswap_v2_tokens_for_tokens", 25,
     partial(pair_swaps.tokens_for_tokens, transfers.UNISWAP_V2_ROUTER)),
    ("sushiswap_eth_for_tokens", 15,
     partial(pair_swaps.eth_for_tokens, transfers.SUSHISWAP_ROUTER)),
    ("sushiswap_tokens_for_eth", 15,
     partial(pair_swaps.tokens_for_eth, transfers.SUSHISWAP_ROUTER)),
    ("sushiswap_tokens_for_tokens", 10,
     partial(pair_swaps.tokens_for_tokens, transfers.SUSHISWAP_ROUTER)),
    ("uniswap_v3_exact_input", 50, tick_swaps.exact_input),
    ("uniswap_v3_exact_input_of_ether", 35, tick_swaps.exact_input_of_ether),
    ("uniswap_v3_exact_output", 30, tick_swaps.exact_output),
    ("contract_creation", 10, contracts.creation),
    ("unknown_call", 30, contracts.strange_call),
    ("failed", 30, _failed),
)  # fmt: skip
KINDS = tuple(kind for kind, _, _ in _KINDS)


@dataclass(frozen=True, slots=True)
class Sample:
    """A transaction, what it was drawn as, and its place in the block."""

    kind: str
    transaction: Transaction
    block_hash: str
    transaction_index: int
    cumulative_gas_used: int
    priority_fee_wei: int | None  # None for a legacy transaction
    max_fee_wei: int | None


def generate(count: int, seed: int) -> Iterator[Sample]:
    """``count`` samples; the same for the same seed on every platform."""
    random = Random(seed)  # noqa: S311  # repeatable on purpose
    world = World.create(random)
    block = _Block(FIRST_BLOCK, FIRST_TIMESTAMP, base_fee_wei=20 * GWEI, seed=seed)
    nonces: dict[str, int] = {}
    size = random.randrange(4, 17)
    for _ in range(count):
        if block.num_transactions == size:
            block, size = block.following(random), random.randrange(4, 17)
        world.timestamp = block.timestamp
        kind, build = _drawn(random)
        draft = build(world)
        nonces[draft.sender] = (
            nonces.get(draft.sender, random.getrandbits(random.randint(1, 10))) + 1
        )
        yield block.add(kind, draft, nonces[draft.sender], random)


def _drawn(random: Random) -> tuple[str, Build]:
    place = random.randrange(sum(share for _, share, _ in _KINDS))
    for kind, share, build in _KINDS:
        if place < share:
            return kind, build
        place -= share
    raise AssertionError("shares cover every place")


class _Block:
    """Numbers, logs and gas of one block as it fills."""

    def __init__(self, number: int, timestamp: int, *, base_fee_wei: int, seed: int) -> None:
        self.timestamp = timestamp
        self.num_transactions = 0
        self._number, self._base_fee_wei, self._seed = number, base_fee_wei, seed
        self._hash = keccak_hex(f"block {number} of seed {seed}".encode())
        self._num_logs = self._gas_used = 0

    def following(self, random: Random) -> _Block:
        """The next block; its base fee moves by at most an eighth (EIP-1559)."""
        fee = self._base_fee_wei + self._base_fee_wei * random.randrange(-125, 126) // 1000
        return _Block(
            self._number + 1,
            self.timestamp + SECONDS_PER_BLOCK,
            base_fee_wei=min(max(fee, 3 * GWEI), 150 * GWEI),
            seed=self._seed,
        )

    def add(self, kind: str, draft: Draft, nonce: int, random: Random) -> Sample:
        """Give the draft its place, its fees, and its hash."""
        tip = random.choice((GWEI // 20, GWEI // 10, GWEI, 3 * GWEI // 2, 2 * GWEI))
        is_legacy = random.random() < _LEGACY_SHARE
        price = self._base_fee_wei + tip
        logs = tuple(
            Log(event.address, event.topics, event.data, index)
            for index, event in enumerate(draft.events, self._num_logs)
        )
        content = f"{draft.sender} {nonce} {draft.to} {draft.value_wei} {draft.calldata} {price}"
        transaction = Transaction(
            hash=keccak_hex(f"{content} {self._hash}".encode()),
            sender=draft.sender,
            to=draft.to,
            value_wei=draft.value_wei,
            calldata=draft.calldata,
            status=0 if kind == "failed" else 1,
            logs=logs,
            block_number=self._number,
            timestamp=self.timestamp,
            nonce=nonce,
            gas=_gas_limit(draft, random),
            gas_used=draft.gas_used,
            gas_price_wei=price,
            contract_address=created_address(draft.sender, nonce) if draft.to is None else None,
        )
        self._num_logs += len(logs)
        self._gas_used += draft.gas_used
        self.num_transactions += 1
        return Sample(
            kind,
            transaction,
            self._hash,
            self.num_transactions - 1,
            self._gas_used,
            None if is_legacy else tip,
            None if is_legacy else 2 * self._base_fee_wei + tip,
        )


def _gas_limit(draft: Draft, random: Random) -> int:
    if draft.calldata == "0x" and not draft.events:
        return draft.gas_used
    return draft.gas_used * random.randrange(105, 160) // 100
