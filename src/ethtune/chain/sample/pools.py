"""Exchange pools at their true mainnet addresses; a swap gives amounts and the pool afterwards.

Uniswap V2 and SushiSwap pools keep x·y constant; a Uniswap V3 pool is taken inside one tick range,
where the same holds for its virtual reserves. All arithmetic is on integers, as on chain.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from eth_abi.abi import encode

from ethtune.chain.sample.encoding import Event, create2_address, event
from ethtune.chain.sample.tokens import SampleToken

UNISWAP_V2_FACTORY = "0x5c69bee701ef814a2b6a3edd4b1652cb9cc5aa6f"
SUSHISWAP_FACTORY = "0xc0aee478e3658e2610c5f7a4a2e1777ce9e4f2ac"
UNISWAP_V3_FACTORY = "0x1f98431c8ad98523631ae4a59f267346ea31f984"
INIT_CODE_HASHES = {
    UNISWAP_V2_FACTORY: "96e8ac4277198ff8b6f785478aa9a39f403cb768dd02cbee326c3e7da348845f",
    SUSHISWAP_FACTORY: "e18a34eb0e04b04f7a0ac29a6e80748dca96319b42c54d679cb821dca90c6303",
    UNISWAP_V3_FACTORY: "e34f199b19b2b4f47f68442619d555527d244f78a3297ea89325f843f87b8b54",
}
Q96 = 1 << 96
_MILLION = 1_000_000

Pool = TypeVar("Pool", "PairPool", "TickPool")


def sorted_pair(first: SampleToken, second: SampleToken) -> tuple[SampleToken, SampleToken]:
    """token0 and token1: by address."""
    return (first, second) if first.address < second.address else (second, first)


@dataclass(frozen=True)
class Swapped(Generic[Pool]):
    """What a swap moved, and the pool after it."""

    amount_in: int
    amount_out: int
    pool: Pool


@dataclass(frozen=True, slots=True)
class PairPool:
    """A Uniswap V2 or SushiSwap pair."""

    address: str
    token0: SampleToken
    token1: SampleToken
    reserve0: int
    reserve1: int

    @classmethod
    def of(cls, factory: str, tokens: tuple[SampleToken, SampleToken], usd_cents: int) -> PairPool:
        """A pair holding ``usd_cents`` worth of each token."""
        token0, token1 = sorted_pair(*tokens)
        salt = bytes.fromhex(token0.address[2:] + token1.address[2:])
        address = create2_address(factory, salt, INIT_CODE_HASHES[factory])
        return cls(address, token0, token1, token0.raw(usd_cents), token1.raw(usd_cents))

    @property
    def tokens(self) -> frozenset[str]:
        """Addresses of both tokens."""
        return frozenset((self.token0.address, self.token1.address))

    def swap(self, token_in: SampleToken, amount_in: int) -> Swapped[PairPool]:
        """Exact input, 0.3 % fee."""
        is_forward = token_in == self.token0
        reserve_in, reserve_out = (
            (self.reserve0, self.reserve1) if is_forward else (self.reserve1, self.reserve0)
        )
        fed = amount_in * 997
        amount_out = fed * reserve_out // (reserve_in * 1000 + fed)
        change = (amount_in, -amount_out) if is_forward else (-amount_out, amount_in)
        pool = replace(self, reserve0=self.reserve0 + change[0], reserve1=self.reserve1 + change[1])
        return Swapped(amount_in, amount_out, pool)

    def events(
        self, token_in: SampleToken, swapped: Swapped[PairPool], sender: str, to: str
    ) -> list[Event]:
        """Sync and Swap of the pool as it is after the swap."""
        amounts_in, amounts_out = (swapped.amount_in, 0), (0, swapped.amount_out)
        if token_in != self.token0:
            amounts_in, amounts_out = amounts_in[::-1], amounts_out[::-1]
        signature = "Swap(address,uint256,uint256,uint256,uint256,address)"
        return [
            event(self.address, "Sync(uint112,uint112)", (), ("uint112", "uint112"),
                  self.reserve0, self.reserve1),
            event(self.address, signature, (sender, to), ("uint256",) * 4,
                  *amounts_in, *amounts_out),
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class TickPool:
    """A Uniswap V3 pool. ``fee`` in millionths; ``sqrt_price`` of token0 in token1, times 2^96."""

    address: str
    token0: SampleToken
    token1: SampleToken
    fee: int
    sqrt_price: int
    liquidity: int

    @classmethod
    def of(cls, tokens: tuple[SampleToken, SampleToken], fee: int, usd_cents: int) -> TickPool:
        """A pool whose virtual reserves are ``usd_cents`` worth of each token."""
        token0, token1 = sorted_pair(*tokens)
        salt = encode(("address", "address", "uint24"), (token0.address, token1.address, fee))
        address = create2_address(UNISWAP_V3_FACTORY, salt, INIT_CODE_HASHES[UNISWAP_V3_FACTORY])
        reserve0, reserve1 = token0.raw(usd_cents), token1.raw(usd_cents)
        sqrt_price = math.isqrt((reserve1 << 192) // reserve0)
        return cls(address, token0, token1, fee, sqrt_price, math.isqrt(reserve0 * reserve1))

    def swap(self, token_in: SampleToken, amount_in: int) -> Swapped[TickPool]:
        """Exact input."""
        fed = amount_in * (_MILLION - self.fee) // _MILLION
        if token_in == self.token0:
            price = self._price_after(amount0=fed)
            amount_out = self.liquidity * (self.sqrt_price - price) // Q96
        else:
            price = self.sqrt_price + fed * Q96 // self.liquidity
            amount_out = self._amount0(self.sqrt_price, price)
        return Swapped(amount_in, amount_out, replace(self, sqrt_price=price))

    def swap_for(self, token_in: SampleToken, amount_out: int) -> Swapped[TickPool]:
        """Exact output."""
        if token_in == self.token0:
            price = self.sqrt_price - -(-amount_out * Q96 // self.liquidity)
            fed = self._amount0(price, self.sqrt_price) + 1
        else:
            price = self._price_after(amount0=-amount_out)
            fed = self.liquidity * (price - self.sqrt_price) // Q96 + 1
        amount_in = -(-fed * _MILLION // (_MILLION - self.fee))
        return Swapped(amount_in, amount_out, replace(self, sqrt_price=price))

    def events(
        self, token_in: SampleToken, swapped: Swapped[TickPool], sender: str, to: str
    ) -> list[Event]:
        """Swap of the pool as it is after the swap; amounts are signed from the pool's side."""
        amounts = (swapped.amount_in, -swapped.amount_out)
        if token_in != self.token0:
            amounts = amounts[::-1]
        types = ("int256", "int256", "uint160", "uint128", "int24")
        values = (*amounts, self.sqrt_price, self.liquidity, self.tick)
        signature = "Swap(address,address,int256,int256,uint160,uint128,int24)"
        return [event(self.address, signature, (sender, to), types, *values)]

    @property
    def tick(self) -> int:
        """The greatest power of 1.0001 that is not above the price."""
        return math.floor(2 * math.log(self.sqrt_price / Q96) / math.log(1.0001))

    def _price_after(self, amount0: int) -> int:
        scaled = self.liquidity * Q96
        return -(-scaled * self.sqrt_price // (scaled + amount0 * self.sqrt_price))

    def _amount0(self, low: int, high: int) -> int:
        return self.liquidity * Q96 * (high - low) // high // low
