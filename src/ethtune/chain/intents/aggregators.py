"""Known swap aggregators and trading bots: the contract tells the trade, the flows the amounts.

On record something fungible must have gone and something fungible come; before that only the
layouts read here are trades for sure.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.payouts import NATIVE_PLACEHOLDER
from ethtune.chain.protocols import NATIVE
from ethtune.core.intent import Bound, Intent, Movement

_SOLD = (("srcToken", "amount"), ("tokenFrom", "amount"), ("inputToken", "inputTokenAmount"))
_PAYEES = ("recipient", "dstReceiver", "beneficiary", "receiver", "to")
_BOUGHT = (("dstToken", "minReturnAmount"), ("outputToken", "minOutputTokenAmount"))


def swap(case: Case) -> Intent | None:
    """A trade through an aggregator on the list."""
    contract = case.contract
    if contract is None or contract.role != "aggregator":
        return None
    if case.is_settled:
        return _settled(case, contract.protocol)
    sold, bought = _side(case, _SOLD, None), _side(case, _BOUGHT, "min")
    if not sold:
        return None
    to = str(case.call.arguments.get("dstReceiver", case.actor))
    payee = case.actor if to == ZERO_ADDRESS else to
    return case.intent(
        "swap",
        contract.protocol,
        sent=sold,
        received=bought if payee == case.actor else (),
        recipient=case.other(payee),
    )


def _settled(case: Case, protocol: str) -> Intent | None:
    """Who else the calldata names may have got what was bought."""
    if not case.gave() or any(token_id is not None for _, token_id in case.net):
        return None
    if case.got():
        return case.intent("swap", protocol)
    named = (case.call.arguments.get(name) for name in _PAYEES)
    payees = {move.to for move in case.transfers} - {case.actor, case.call.target}
    payee = next((str(name) for name in named if name in payees), None)
    return case.intent("swap", protocol, recipient=payee) if payee else None


def _side(case: Case, names: tuple[tuple[str, str], ...], bound: Bound | None) -> list[Movement]:
    for token_name, amount_name in names:
        if token_name in case.call.arguments and amount_name in case.call.arguments:
            token = case.call.text(token_name)
            asset = NATIVE if token in (ZERO_ADDRESS, NATIVE_PLACEHOLDER) else token
            raw = case.call.number(amount_name)
            return [case.movement(asset, raw, bound)]
    return []
