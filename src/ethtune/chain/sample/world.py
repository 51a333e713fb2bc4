"""Who acts, with how much, in which pools: the seeded surroundings of every sample transaction."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from ethtune.chain.sample.encoding import Event
from ethtune.chain.sample.pools import (
    SUSHISWAP_FACTORY,
    UNISWAP_V2_FACTORY,
    PairPool,
    TickPool,
)
from ethtune.chain.sample.tokens import SampleToken, tokens

# Each about half as common as the one before.
_MOST_USED = ("USDT", "USDC", "WETH", "DAI", "LINK", "SHIB", "PEPE", "WBTC", "UNI")
_SUSHISWAP = (
    "USDC", "USDT", "DAI", "WBTC", "LINK", "SUSHI", "YFI", "CVX", "ENS", "COMP", "CRV", "FXS",
    "LDO", "SPELL",
)  # fmt: skip
_TICK_POOLS = (
    ("USDC", "WETH", 500), ("USDC", "WETH", 3000), ("USDT", "WETH", 500), ("USDT", "WETH", 3000),
    ("DAI", "WETH", 500), ("DAI", "WETH", 3000), ("WBTC", "WETH", 500), ("WBTC", "WETH", 3000),
    ("WBTC", "USDC", 3000), ("USDC", "USDT", 100), ("DAI", "USDC", 100), ("FRAX", "USDC", 500),
    ("LINK", "WETH", 3000), ("UNI", "WETH", 3000), ("PEPE", "WETH", 3000), ("SHIB", "WETH", 3000),
    ("MATIC", "WETH", 3000), ("LDO", "WETH", 3000), ("MKR", "WETH", 3000), ("CRV", "WETH", 3000),
    ("ENS", "WETH", 3000), ("APE", "WETH", 3000), ("GRT", "WETH", 3000), ("RPL", "WETH", 3000),
    ("IMX", "WETH", 3000), ("PENDLE", "WETH", 3000), ("LOOKS", "WETH", 10000),
    ("1INCH", "WETH", 10000),
)  # fmt: skip
_NUM_DEPOSIT_ADDRESSES = 16
_NUM_STRANGE_CONTRACTS = 24


@dataclass(frozen=True, slots=True)
class Draft:
    """A transaction before it has a hash, a place in a block, and log indices."""

    sender: str
    to: str | None
    value_wei: int
    calldata: str
    gas_used: int
    events: tuple[Event, ...] = ()


@dataclass(frozen=True, slots=True)
class StrangeContract:
    """A contract in no table."""

    address: str
    selectors: tuple[str, ...]
    topic: str


@dataclass
class World:
    """Mutable on purpose: pools move and accounts return as transactions are drawn."""

    random: Random
    timestamp: int = 0
    pairs: dict[tuple[str, frozenset[str]], PairPool] = field(default_factory=dict)
    tick_pools: dict[str, TickPool] = field(default_factory=dict)
    strange_contracts: list[StrangeContract] = field(default_factory=list)
    _accounts: list[str] = field(default_factory=list)
    _deposit_addresses: list[str] = field(default_factory=list)

    @classmethod
    def create(cls, random: Random) -> World:
        """Pairs keyed by factory and tokens, V3 pools by address, each deep in dollars."""
        world, known = cls(random), tokens()
        sushiswap = [known[symbol] for symbol in _SUSHISWAP]
        for factory, listed in (
            (UNISWAP_V2_FACTORY, known.values()),
            (SUSHISWAP_FACTORY, sushiswap),
        ):
            for token in listed:
                if token != known["WETH"]:
                    pair = PairPool.of(factory, (token, known["WETH"]), world._depth(0))
                    world.pairs[factory, pair.tokens] = pair
        for first, second, fee in _TICK_POOLS:
            pool = TickPool.of((known[first], known[second]), fee, world._depth(3))
            world.tick_pools[pool.address] = pool
        world._deposit_addresses = [world.address() for _ in range(_NUM_DEPOSIT_ADDRESSES)]
        world.strange_contracts = [world._strange() for _ in range(_NUM_STRANGE_CONTRACTS)]
        return world

    def aside(self) -> World:
        """The same world, whose pools may move without moving these."""
        return replace(self, pairs=dict(self.pairs), tick_pools=dict(self.tick_pools))

    def address(self) -> str:
        """An address nobody has seen."""
        return f"0x{self.random.getrandbits(160):040x}"

    def account(self) -> str:
        """A sender: one in three has been active before."""
        if self._accounts and self.random.random() < 0.35:
            return self.random.choice(self._accounts)
        self._accounts.append(self.address())
        return self._accounts[-1]

    def recipient(self) -> str:
        """Someone to pay: often a busy deposit address."""
        if self.random.random() < 0.2:
            return self.random.choice(self._deposit_addresses)
        return self.address()

    def token(self) -> SampleToken:
        """Few tokens make most of the traffic."""
        known = tokens()
        if self.random.random() < 0.6:
            return known[_MOST_USED[8 - self.random.getrandbits(8).bit_length()]]
        return self.random.choice(list(known.values()))

    def amount(
        self, token: SampleToken, *, at_least_usd: int = 5, at_most_usd: int = 50_000
    ) -> int:
        """Log-uniform in dollars; some amounts round, some with every digit the token has."""
        return self._styled(token.raw(self._cents(at_least_usd, at_most_usd)))

    def wei(self, *, at_most_usd: int = 50_000) -> int:
        """An amount of ether."""
        return self.amount(tokens()["WETH"], at_least_usd=10, at_most_usd=at_most_usd)

    def slipped(self, amount: int, direction: int) -> int:
        """The bound a wallet sets: 0.1 to 5 % below (-1) or above (+1) what it expects."""
        return amount * (10_000 + direction * self.random.randrange(10, 500)) // 10_000

    def deadline(self) -> int:
        """Minutes after the block, in seconds since 1970."""
        return self.timestamp + self.random.choice((600, 1200, 1800)) - self.random.randrange(90)

    def _cents(self, low_usd: int, high_usd: int) -> int:
        low, high = low_usd * 100, high_usd * 100
        bits = self.random.randint(low.bit_length(), high.bit_length())
        return min(max(self.random.getrandbits(bits) | 1 << (bits - 1), low), high)

    def _styled(self, raw: int) -> int:
        digits, style = len(str(raw)), self.random.random()
        kept = 1 if style < 0.2 else 2 if style < 0.4 else self.random.randint(3, 6)
        step: int = 10 ** max(digits - kept, 0)
        rounded = raw // step * step
        return rounded if style < 0.65 else rounded + self.random.randrange(step)

    def _depth(self, doublings: int) -> int:
        return self.random.randrange(200_000_000, 2_000_000_000) << doublings

    def _strange(self) -> StrangeContract:
        selectors = [f"0x{self.random.getrandbits(32):08x}" for _ in range(3)]
        topic = f"0x{self.random.getrandbits(256):064x}"
        return StrangeContract(self.address(), tuple(selectors), topic)
