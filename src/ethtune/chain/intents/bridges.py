"""Assets into and out of bridges on the list; the other chain's side is not in the data."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.protocols import NATIVE
from ethtune.core.intent import Intent, Movement

_DEPOSITS = frozenset({
    "depositEtherFor", "depositFor", "depositETH", "depositETHTo", "depositERC20",
    "depositERC20To", "bridgeETH", "bridgeETHTo", "bridgeERC20", "depositTransaction",
    "depositEth", "outboundTransfer", "requestL2Transaction", "depositV3",
    "sendToL2",
})  # fmt: skip
_RECIPIENTS = ("to", "user", "recipient", "contractL2")
_TOKENS = (("l1Token", "amount"), ("localToken", "amount"), ("token", "amount"))


def bridge(case: Case) -> Intent | None:
    """Assets locked here for use elsewhere, or freed here after use there."""
    contract, call = case.contract, case.call
    if contract is None or contract.role != "bridge":
        return None
    if call.function == "exit" and case.is_settled and case.got() and not case.gave():
        return case.intent("bridge", contract.protocol)
    if call.function not in _DEPOSITS:
        return None
    if case.is_settled and not case.gave():
        return None
    to = next((call.text(name) for name in _RECIPIENTS if name in call.arguments), case.actor)
    return case.intent("bridge", contract.protocol, sent=_planned(case), recipient=case.other(to))


def _planned(case: Case) -> list[Movement]:
    call = case.call
    movements = [case.movement(NATIVE, call.value_wei)]
    for token, amount in _TOKENS:
        if token in call.arguments and amount in call.arguments:
            movements.append(case.movement(call.text(token), call.number(amount)))
    return movements
