"""Leave for someone else to move the actor's tokens, given or taken back.

A revocation names the asset with amount 0. ``approve`` has one selector for ERC-20 and ERC-721;
before the event tells, an unknown contract is read as ERC-20, where nearly all such calls go.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.core.described import DecodedEvent
from ethtune.core.intent import UNLIMITED, Bound, Intent, Movement
from ethtune.core.transaction import UINT256_MAX

_UINT160_MAX = 2**160 - 1


def approval(case: Case) -> Intent | None:
    """approve, increaseAllowance, decreaseAllowance, setApprovalForAll, permit, Permit2."""
    read = _READERS.get(case.call.function or "")
    if read is None or not case.call.arguments or case.call.target is None:
        return None
    return read(case)


def _approve(case: Case) -> Intent | None:
    if "token" in case.call.arguments:
        return _permit2(case)
    spender, number = case.call.text("spender"), case.call.number("value")
    event = _approval_event(case)
    if case.is_settled and event is None:
        return None
    is_nft = case.kind(str(case.call.target)) == "erc721" or (
        event is not None and event.arguments[2].name == "tokenId"
    )
    if is_nft:
        movement = case.movement(str(case.call.target), 1, token_id=str(number))
        return _intent(case, movement, spender, spender == ZERO_ADDRESS, "erc721")
    return _erc20(case, number, spender)


def _change(case: Case) -> Intent | None:
    """Only the event tells the allowance that an increase or decrease leaves."""
    spender = case.call.text("spender")
    if case.is_settled:
        event = _approval_event(case)
        if event is None or event.arguments[2].name != "value":
            return None
        return _erc20(case, int(str(event.arguments[2].value)), spender)
    if "addedValue" not in case.call.arguments:
        return None
    return _erc20(case, case.call.number("addedValue"), spender, "min")


def _permit(case: Case) -> Intent | None:
    if "value" not in case.call.arguments or case.call.text("owner") != case.actor:
        return None  # Permit2 has another of that name
    if case.is_settled and _approval_event(case) is None:
        return None
    return _erc20(case, case.call.number("value"), case.call.text("spender"))


def _for_all(case: Case) -> Intent | None:
    call, collection = case.call, str(case.call.target)
    if case.is_settled and not any(case.events("ApprovalForAll", collection)):
        return None
    is_given = call.text("approved") == "true"
    movement = Movement(_asset(case, collection), UNLIMITED if is_given else "0")
    return _intent(case, movement, call.text("operator"), not is_given, case.kind(collection))


def _permit2(case: Case) -> Intent | None:
    if not case.has_role("approvals"):
        return None
    token, amount = case.call.text("token"), case.call.number("amount")
    movement = (
        Movement(_asset(case, token), UNLIMITED)
        if amount == _UINT160_MAX
        else case.movement(token, amount)
    )
    return _intent(case, movement, case.call.text("spender"), amount == 0, "permit2")


def _approval_event(case: Case) -> DecodedEvent | None:
    for event in case.events("Approval", case.call.target):
        if event.arguments[0].value == case.actor:
            return event
    return None


def _erc20(case: Case, raw: int, spender: str, bound: Bound | None = None) -> Intent:
    token = str(case.call.target)
    movement = (
        Movement(_asset(case, token), UNLIMITED)
        if raw == UINT256_MAX
        else case.movement(token, raw, bound)
    )
    return _intent(case, movement, spender, raw == 0, "erc20")


def _intent(
    case: Case, movement: Movement, spender: str, is_revoked: bool, protocol: str | None
) -> Intent:
    return replace(
        case.intent("revoke_approval" if is_revoked else "approve", protocol),
        approved=(movement,),
        spender=None if spender == ZERO_ADDRESS else case.other(spender),
    )


def _asset(case: Case, address: str) -> str:
    token = case.described.tokens.get(address)
    return token.asset if token else address


_READERS: Mapping[str, Callable[[Case], Intent | None]] = {
    "approve": _approve,
    "increaseAllowance": _change,
    "decreaseAllowance": _change,
    "increaseApproval": _change,
    "decreaseApproval": _change,
    "permit": _permit,
    "setApprovalForAll": _for_all,
}
