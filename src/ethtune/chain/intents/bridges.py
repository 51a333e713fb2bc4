"""Assets into and out of bridges on the list; the other chain's side is not in the data."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.protocols import NATIVE
from ethtune.chain.signatures import promises
from ethtune.core.intent import Intent

_OF_POOLS = ("add_liquidity", "remove_liquidity")  # bridges pay from them


def payment(case: Case) -> Intent | None:
    """Ether just sent to a bridge, which takes it for the sender's account over there."""
    call, contract = case.call, case.contract
    if not call.is_plain or not call.value_wei or contract is None or contract.role != "bridge":
        return None
    return case.intent("bridge", contract.protocol, sent=[case.movement(NATIVE, call.value_wei)])


def bridge(case: Case) -> Intent | None:
    """Almost whatever function was called: a bridge takes assets here and frees them here."""
    contract, promise = case.contract, promises().get(case.call.signature or "")
    if contract is None or contract.role != "bridge":
        return None
    if promise is not None and promise.action in _OF_POOLS:
        return None
    if not (case.net if case.is_settled else case.call.value_wei):
        return None
    return case.intent(
        "bridge", contract.protocol, sent=[case.movement(NATIVE, case.call.value_wei)]
    )
