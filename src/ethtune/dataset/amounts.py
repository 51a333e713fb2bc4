"""Which token an amount counts: told from the names that Solidity code gives its arguments.

A fact of the interface, not a judgement: ``amountIn`` counts ``tokenIn`` or the first token of
``path``, ``value`` of a token's own ``transfer`` counts that token. What no rule names stays raw.
"""

from __future__ import annotations

from collections.abc import Mapping

from ethtune.core.described import Argument, Token, Value
from ethtune.dataset.addresses import NATIVE, NATIVE_PLACEHOLDER

FIRST_IN_PATH, LAST_IN_PATH = "path[0]", "path[-1]"
SOLD_IN_POOL, BOUGHT_IN_POOL = "poolKey[in]", "poolKey[out]"

_IN = ("tokenIn", "currencyIn", SOLD_IN_POOL, FIRST_IN_PATH)
_OUT = ("tokenOut", "currencyOut", "outputToken", BOUGHT_IN_POOL, LAST_IN_PATH)
_SOLD = ("sellToken", "inputToken", "srcToken", FIRST_IN_PATH)
_BOUGHT = ("buyToken", "outputToken", LAST_IN_PATH)
_FROM = ("fromToken", "srcToken", "fromAssetId", "sendingAssetId")
_TO = ("toToken", "destToken", "toAssetId")
_ONE = ("token", "asset", "reserve", "srcToken", "tokenFrom", "l1Token", "localToken", "rootToken")

# amount → the arguments beside it that may name its token
_COUNTED: dict[str, tuple[str, ...]] = {
    "amountIn": _IN, "amountInMax": _IN, "amountInMaximum": _IN,
    "amountOut": _OUT, "amountOutMin": _OUT, "amountOutMinimum": _OUT,
    "amountADesired": ("tokenA",), "amountAMin": ("tokenA",),
    "amountBDesired": ("tokenB",), "amountBMin": ("tokenB",),
    "amountTokenDesired": ("token",), "amountTokenMin": ("token",),
    "amount0": ("token0",), "amount0Desired": ("token0",), "amount0Min": ("token0",),
    "amount0Max": ("currency0",), "amount1Max": ("currency1",),
    "maxAmount": ("token",), "minAmount": ("token",),
    "minAmountOut": ("buyToken", "receivingAssetId"),
    "amount1": ("token1",), "amount1Desired": ("token1",), "amount1Min": ("token1",),
    "sellAmount": _SOLD, "inputTokenAmount": _SOLD, "inputAmount": _SOLD,
    "buyAmount": _BOUGHT, "minBuyAmount": _BOUGHT,
    "minOutputTokenAmount": _BOUGHT, "outputTokenAmount": _BOUGHT,
    "minReturn": ("dstToken",), "minReturnAmount": ("dstToken", "toToken"),
    "spentAmount": ("srcToken",), "returnAmount": ("dstToken", "toToken"),
    "srcAmount": ("srcToken",), "receivedAmount": ("destToken",), "outputMin": ("outputToken",),
    "debtToCover": ("debtAsset",), "liquidatedCollateralAmount": ("collateralAsset",),
    "amount": _ONE, "value": _ONE, "amountMin": _ONE, "amountMinimum": _ONE, "minBalance": _ONE,
    "considerationAmount": ("considerationToken",), "offerAmount": ("offerToken",),
    "startAmount": ("token",), "endAmount": ("token",),
    "fromAmount": _FROM, "fromTokenAmount": _FROM,
    "toAmount": _TO, "expectedAmount": _TO, "quotedAmount": _TO,
    "amountETHMin": (), "wad": (), "wstETHAmount": (), "addedValue": (), "subtractedValue": (),
    "price": ("currency", "paymentToken"),
    "baseCost": (), "premium": (), "cost": (),
}  # fmt: skip
_ETHER = frozenset({"amountETHMin", "baseCost", "premium", "cost"})
_ETHER_ALONE = frozenset({
    "SafeReceived", "LockedEther", "execTransaction", "execute", "execute_ncC", "execute4337Op",
    "executeUserOp", "executeUserOpWithErrorString",
})  # fmt: skip
_CALL_FIELDS = ("target", "data")  # of a struct that is a call: its value is ether
_ALWAYS_OWN = frozenset({"wad", "wstETHAmount", "addedValue", "subtractedValue"})
_OWN_AMOUNT = frozenset({
    "transfer", "transferFrom", "approve", "permit", "withdraw",
    "Transfer", "Approval", "Submitted",
})  # fmt: skip
_PATHS = ("path", "encodedPath", "tokens")
_ORDER_SIDES = ("considerationToken", "offerToken")  # one of them is the NFT
_ZERO_ADDRESS = "0x" + "0" * 40  # in the place of a token: ether
_HOP_DIGITS = 46  # token and fee in a packed path


class AmountUnits:
    """Tokens of the amounts in one call or event.

    ``contract`` is the one that was called or that emitted; native ether counts as a token.
    """

    def __init__(
        self,
        name: str,
        arguments: tuple[Argument, ...],
        contract: str | None,
        tokens: Mapping[str, Token],
        currency: Token | None = None,
    ) -> None:
        self._name = name
        self._values = {item.name: item.value for item in arguments}
        self._contract = contract
        self._tokens = tokens
        self._currency = currency

    def of(self, argument: Argument) -> Token | None:
        """The token that ``argument`` counts; None unless it is known with its decimals."""
        name = argument.name
        places = _COUNTED.get(name)
        if places is None or "int" not in argument.type or argument.type.endswith("]"):
            return None
        address = self._named(places) or self._own(name)
        if address is None:
            return self._currency if name == "amount" else None
        return self._countable(address)

    def of_struct(self, fields: tuple[Argument, ...]) -> AmountUnits:
        """Tokens of the amounts in a struct, which name each other; the call's names do not.

        An amount that stands there without its token counts the money that an order is about.
        """
        order = (self._values.get(place) for place in _ORDER_SIDES)
        known = (self._countable(str(address)) for address in order if address is not None)
        currency = self._currency or next((token for token in known if token), None)
        return AmountUnits("", fields, None, self._tokens, currency)

    def _countable(self, address: str) -> Token | None:
        """A fungible token with its decimals; ether as well."""
        if address in (NATIVE_PLACEHOLDER, _ZERO_ADDRESS):
            return NATIVE
        token = self._tokens.get(address)
        return token if token and token.kind == "erc20" and token.decimals is not None else None

    def _named(self, places: tuple[str, ...]) -> str | None:
        """The address in the first of ``places`` that exists."""
        for place in places:
            if place in (FIRST_IN_PATH, LAST_IN_PATH):
                path = self._path()
                if path:
                    return path[0 if place == FIRST_IN_PATH else -1]
            elif place in (SOLD_IN_POOL, BOUGHT_IN_POOL):
                pool = self._values.get("poolKey")
                if pool is not None and "zeroForOne" in self._values:
                    is_zero = (self._values["zeroForOne"] == "true") == (place == SOLD_IN_POOL)
                    return str(pool[0 if is_zero else 1])
            elif place in self._values:
                named = str(self._values[place])  # a number where the interface writes it so
                return f"0x{int(named):040x}" if named.isdecimal() else named
        return None

    def _path(self) -> tuple[str, ...]:
        value = next((self._values[name] for name in _PATHS if name in self._values), None)
        if value is None:
            return ()
        path = value if isinstance(value, tuple) else packed_path(value)
        steps = (item if isinstance(item, str) else item[0] for item in path)
        addresses = tuple(str(item) for item in steps if _is_address(item))
        # Uniswap V3 packs the path of an exact output from the bought token to the sold one.
        is_backwards = self._name.startswith(("exactOutput", "V3_SWAP_EXACT_OUT"))
        return addresses[::-1] if is_backwards else addresses

    @property
    def _is_call(self) -> bool:
        return not self._name and all(field in self._values for field in _CALL_FIELDS)

    def _own(self, name: str) -> str | None:
        if name in _ETHER or self._name in _ETHER_ALONE or self._is_call:
            return NATIVE_PLACEHOLDER
        if name in _ALWAYS_OWN or self._name in _OWN_AMOUNT:
            return self._contract
        return NATIVE_PLACEHOLDER if "ETH" in self._name else None


def packed_path(value: str) -> tuple[str, ...]:
    """Addresses and, between them, 3-byte fees of a packed Uniswap V3 path; () if it is none."""
    digits = value[2:]
    if len(digits) <= _HOP_DIGITS or len(digits) % _HOP_DIGITS != 40:
        return ()
    parts: list[str] = []
    for start in range(0, len(digits), _HOP_DIGITS):
        parts.append("0x" + digits[start : start + 40])
        fee = digits[start + 40 : start + _HOP_DIGITS]
        if fee:
            parts.append(str(int(fee, 16)))
    return tuple(parts)


def _is_address(value: Value) -> bool:
    return isinstance(value, str) and len(value) == 42 and value.startswith("0x")


def is_amount(argument: Argument) -> bool:
    """Whether the name says that an integer counts ether or a token."""
    return argument.name in _COUNTED and "int" in argument.type and "[" not in argument.type
