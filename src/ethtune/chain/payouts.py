"""Ether that well-known contracts pay back to the actor, where no trace was given.

Such a payment is in no log, but some contracts keep nothing: what a router takes out of WETH and
what it does not wrap of the value goes to whom the calldata names. Anything less certain is left
out: unknown forks and bots take fees, pools of ether pay without a log.

A token that sells its own tax through the same router while it moves leaves Withdrawals that are
not the actor's. Those lie inside the outer call, so its own is the last; likewise for Deposits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ethtune.chain.flows import ZERO_ADDRESS, Transfer
from ethtune.chain.protocols import WETH, contracts
from ethtune.core.described import DecodedCall, DescribedTransaction, Value

NATIVE_PLACEHOLDER = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"
CALLER = "0x0000000000000000000000000000000000000001"  # in Uniswap's routers: who called
ROUTER = "0x0000000000000000000000000000000000000002"  # in Uniswap's routers: the router itself
_BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Call:
    """The call that counts: the transaction's own, or the one its Safe executes."""

    target: str | None
    function: str | None
    arguments: Mapping[str, Value]
    value_wei: int
    is_plain: bool  # no calldata at all
    inner: tuple[DecodedCall, ...] = ()
    signature: str | None = None

    def text(self, name: str) -> str:
        """An argument that is one value: address, number, bytes or text."""
        return str(self.arguments[name])

    def number(self, name: str) -> int:
        """An integer argument."""
        return int(str(self.arguments[name]))


@dataclass(frozen=True, slots=True)
class Wrapping:
    """What the called contract turned into WETH and back, in wei and in order."""

    deposits: list[int]
    withdrawals: list[int]


def ether_payouts(
    actor: str, call: Call, transfers: tuple[Transfer, ...], described: DescribedTransaction
) -> int:
    """Wei that ``actor`` certainly got from contracts."""
    own = sum(_wrapping(actor, transfers).withdrawals)
    if call.target in (None, WETH) or described.transaction.chain_id != 1:
        return own
    contract = contracts().get(str(call.target))
    if contract is None:
        return own
    read = _READERS.get((contract.role, call.function)) or _READERS.get((contract.role, None))
    wrapping = _wrapping(contract.address, transfers)
    paid = read(actor, call, wrapping) if read else 0
    return own + paid + _reported(actor, call, described)


def _wrapping(account: str, transfers: tuple[Transfer, ...]) -> Wrapping:
    weth = [item for item in transfers if item.token == WETH and ZERO_ADDRESS in item[1:3]]
    return Wrapping(
        [item.amount for item in weth if item.to == account],
        [item.amount for item in weth if item.sender == account],
    )


def _pair_router(actor: str, call: Call, wrapping: Wrapping) -> int:
    function = call.function or ""
    if function == "swapETHForExactTokens":
        return _rest(call.value_wei, wrapping.deposits[:1])
    if function == "addLiquidityETH":
        return _rest(call.value_wei, wrapping.deposits[-1:])
    pays_ether = function.startswith((
        "swapExactTokensForETH", "swapTokensForExactETH", "removeLiquidityETH",
    ))  # fmt: skip
    if not pays_ether or call.arguments.get("to") != actor:
        return 0
    return sum(wrapping.withdrawals[-1:])


def _rest(value_wei: int, deposits: list[int]) -> int:
    """Of a value that was offered, what was not wrapped goes back to the caller."""
    return max(0, value_wei - deposits[0]) if deposits else 0


def _multicall(actor: str, call: Call, wrapping: Wrapping) -> int:
    payout, withdrawn = 0, sum(wrapping.withdrawals)
    for step in call.inner:
        values = {argument.name: argument.value for argument in step.arguments}
        name = step.function or ""
        if name.startswith("unwrapWETH9"):
            fee = withdrawn * int(str(values.get("feeBips", "0"))) // _BASIS_POINTS
            is_actor = values.get("recipient", actor) in (actor, CALLER)
            payout += withdrawn - fee if is_actor else 0
            withdrawn = 0
        elif name == "refundETH":
            payout += max(0, call.value_wei - sum(wrapping.deposits))
    return payout


def _universal_router(actor: str, call: Call, wrapping: Wrapping) -> int:
    if any(step.function in (None, "V4_SWAP") for step in call.inner):
        return 0  # these may take or pay ether that no log shows
    payout, withdrawn = 0, sum(wrapping.withdrawals)
    held = max(0, call.value_wei - sum(wrapping.deposits))
    for step in call.inner:
        values = {argument.name: argument.value for argument in step.arguments}
        is_actor = values.get("recipient") in (actor, CALLER)
        is_ether = values.get("token") == ZERO_ADDRESS
        if step.function == "UNWRAP_WETH":
            payout += withdrawn if is_actor else 0
            held += withdrawn if values.get("recipient") == ROUTER else 0
            withdrawn = 0
        elif step.function == "PAY_PORTION" and is_ether:
            held -= held * int(str(values["bips"])) // _BASIS_POINTS
        elif step.function == "TRANSFER" and is_ether:
            held -= min(held, int(str(values["value"])))
        elif step.function == "SWEEP" and is_ether:
            payout += held if is_actor else 0
            held = 0
    return max(0, payout)


def _gateway(actor: str, call: Call, wrapping: Wrapping) -> int:
    return sum(wrapping.withdrawals) if call.arguments.get("to") == actor else 0


def _direct_sale(actor: str, call: Call, wrapping: Wrapping) -> int:
    """Aggregators' functions that sell along given pools and pass everything on."""
    is_own = call.arguments.get("recipient", actor) in (actor, ZERO_ADDRESS)
    return sum(wrapping.withdrawals[-1:]) if is_own else 0


def _reported(actor: str, call: Call, described: DescribedTransaction) -> int:
    """0x reports each conversion for a taker, ENS what it kept of the value."""
    payout = 0
    for event in described.events:
        if event.address != call.target:
            continue
        values = {argument.name: str(argument.value) for argument in event.arguments}
        if event.name == "TransformedERC20":
            if (values["taker"], values["outputToken"]) == (actor, NATIVE_PLACEHOLDER):
                payout += int(values["outputTokenAmount"])
        elif event.name in ("NameRegistered", "NameRenewed"):
            kept = sum(int(values.get(name, "0")) for name in ("cost", "baseCost", "premium"))
            payout += max(0, call.value_wei - kept)
    return payout


_READERS: Mapping[tuple[str, str | None], Callable[[str, Call, Wrapping], int]] = {
    ("universal_router", None): _universal_router,
    ("router", "multicall"): _multicall,
    ("positions", "multicall"): _multicall,
    ("router", None): _pair_router,
    ("lending_gateway", "withdrawETH"): _gateway,
    ("aggregator", "unoswap"): _direct_sale,
    ("aggregator", "uniswapV3Swap"): _direct_sale,
    ("aggregator", "sellToUniswap"): _direct_sale,
    ("aggregator", "sellTokenForEthToUniswapV3"): _direct_sale,
}
