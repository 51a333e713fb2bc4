"""Ether that an aggregator paid for what it sold, where no trace was given.

Where the aggregator reports what it paid, the report counts. Else the last ether that was turned
from WETH counts, as far as it is no less than what the call asks for, without the fee it names.
"""

from __future__ import annotations

from collections.abc import Iterator

from ethtune.chain.actors import Call, values_of
from ethtune.chain.flows import ZERO_ADDRESS, Transfer
from ethtune.chain.protocols import NATIVE, WETH
from ethtune.chain.trades import is_ether, read_trade
from ethtune.core.described import DecodedEvent, DescribedTransaction

_BASIS_POINTS = 10_000
# event → (whose, which token, how much); without a token it is ether
_REPORTS: dict[str, tuple[str, str | None, str]] = {
    "TransformedERC20": ("taker", "outputToken", "outputTokenAmount"),
    "Swapped": ("dstReceiver", "dstToken", "returnAmount"),
    "SwappedV3": ("beneficiary", "destToken", "receivedAmount"),
    "BoughtV3": ("beneficiary", "destToken", "receivedAmount"),
    "SwappedDirect": ("beneficiary", "destToken", "receivedAmount"),
    "OrderRecord": ("sender", "toToken", "returnAmount"),
    "Swap": ("sender", "outputToken", "amountOut"),
    "LiFiGenericSwapCompleted": ("receiver", "toAssetId", "toAmount"),
    "Conversion": ("trader", "toToken", "return"),
    "ExecuteTrade": ("trader", "dest", "actualDestAmount"),
    "EthPurchase": ("buyer", None, "eth_bought"),
    "WithdrawalClaimed": ("receiver", None, "amountOfETH"),
    "TokensBurned": ("from", None, "ethAmount"),
}
_FEE_AND_LEAST_PLACES = (5, 3)  # words of MetaMask's data, where a fee is taken of the output
_BOUGHT_PLACE = 1
_WORD = 64


def reported_ether(actor: str, call: Call, described: DescribedTransaction) -> int:
    """What the called contract says it paid the actor."""
    events = (event for event in described.events if event.address == call.target)
    return sum(_told(event, actor) for event in events)


def unwrapped_ether(actor: str, call: Call, transfers: tuple[Transfer, ...]) -> int:
    """What the aggregator's helpers turned into ether for the actor."""
    if call.function == "swap" and "aggregatorId" in call.arguments:
        return _fee_dynamic(call, transfers)
    trade = read_trade(call)
    if trade.bought != NATIVE or trade.payee not in (actor, None):
        return 0
    return _least(transfers, trade.least_raw, 0, sum(_fee_points(call)))


def _told(event: DecodedEvent, actor: str) -> int:
    report = _REPORTS.get(event.name or "")
    if report is None:
        return 0
    values = values_of(event.arguments)
    if int(str(values.get("receivedAmount", 0))) > int(str(values.get("expectedAmount", 0))):
        return 0  # of what is more than expected ParaSwap keeps a share
    whose, token, amount = report
    if values.get(whose) != actor or amount not in values:
        return 0
    return int(str(values[amount])) if token is None or is_ether(str(values.get(token))) else 0


def _fee_dynamic(call: Call, transfers: tuple[Transfer, ...]) -> int:
    digits = call.text("data")[2:]
    words = [digits[at : at + _WORD] for at in range(0, len(digits) - _WORD + 1, _WORD)]
    is_known = call.text("aggregatorId").endswith("FeeDynamic") and len(words) > max(
        _FEE_AND_LEAST_PLACES
    )
    if not is_known or int(words[_BOUGHT_PLACE], 16):
        return 0
    fee_wei, least_wei = (int(words[place], 16) for place in _FEE_AND_LEAST_PLACES)
    return _least(transfers, least_wei, fee_wei, 0)


def _fee_points(call: Call) -> Iterator[int]:
    """Shares of the ether that 0x Settler's plan pays to others."""
    for inner in call.inner:
        for step in inner.calls:
            values = values_of(step.arguments)
            if step.function == "BASIC" and is_ether(str(values["bridgeSellToken"])):
                share = int(str(values["bps"]))
                yield share if values["data"] == "0x" else 0


def _least(transfers: tuple[Transfer, ...], least_wei: int, fee_wei: int, fee_points: int) -> int:
    """The last ether unwrapped, or all of it, after fees; nothing that is below the promise."""
    unwrapped = [move.amount for move in transfers if (move.token, move.to) == (WETH, ZERO_ADDRESS)]
    for wei in (sum(unwrapped[-1:]), sum(unwrapped)):
        paid = wei - wei * fee_points // _BASIS_POINTS - fee_wei
        if paid >= least_wei > 0:
            return paid
    return 0
