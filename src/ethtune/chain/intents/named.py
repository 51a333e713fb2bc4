"""What the called function promises by its name, as far as what moved bears it out."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.intents.aggregators import planned_trade
from ethtune.chain.intents.plausible import is_borne_out
from ethtune.chain.intents.reported import protocol_behind
from ethtune.chain.protocols import NATIVE
from ethtune.chain.signatures import Signature, promises
from ethtune.chain.trades import NATIVE_PLACEHOLDER
from ethtune.core.intent import Action, Intent, Movement
from ethtune.core.transaction import UINT256_MAX

_RECIPIENTS = ("to", "recipient", "receiver", "onBehalfOf", "contractL2", "delegatee")
_TOKENS = ("token", "asset", "l1Token", "localToken", "inputToken", "originToken", "reserve")
_AMOUNTS = ("amount", "value", "inputAmount")
_CROSSING = frozenset(
    {"deposit", "withdraw", "stake", "unstake", "transfer", "claim"}
)  # what bridges call it
_TAKING = frozenset({"withdraw", "unstake", "borrow", "remove_liquidity", "claim"})
_OF_POOLS = frozenset({"stake", "unstake"})  # an amount of 0 only fetches rewards
_POOLS_MAX = 1 << 32  # no farm counts as many: a greater number is another contract's layout
_OPEN = frozenset({"claim(uint256 amount)", "claim(uint256[] tokenIds)"})  # rewards or new NFTs


def named(case: Case) -> Intent | None:
    """The action that the table of functions gives for the call."""
    promise = promises().get(case.call.signature or "")
    action = _action(case, promise) if promise and _fits(case, promise) else None
    if promise is None or action is None or not is_borne_out(case, action):
        return None
    if action == "swap" and not case.is_settled:
        return planned_trade(case, _protocol(case, promise.protocol, action))
    planned = _planned(case)
    is_taking = action in _TAKING
    return case.intent(
        action,
        _protocol(case, promise.protocol, action),
        sent=[case.movement(NATIVE, case.call.value_wei), *([] if is_taking else planned)],
        received=planned if is_taking else (),
        recipient=case.other(_recipient(case)),
    )


def _fits(case: Case, promise: Signature) -> bool:
    """Others use the same four bytes: arguments of another layout are not what was promised."""
    arguments = case.call.arguments
    if promise.parameters and not arguments and promise.protocol is None:
        return False
    if promise.text in _OPEN and not case.is_settled and case.contract is None:
        return False
    return case.has_role("bridge") or int(str(arguments.get("pid", "0"))) < _POOLS_MAX


def _action(case: Case, promise: Signature) -> Action | None:
    if case.has_role("bridge") and promise.action in _CROSSING:
        return "bridge"
    is_empty = promise.action in _OF_POOLS and case.call.arguments.get("amount") == "0"
    return "claim" if is_empty else promise.action


def _protocol(case: Case, spoken: str | None, action: Action) -> str | None:
    if case.contract is not None:
        return case.contract.protocol
    return spoken or protocol_behind(case, action) or _standard(case, action)


def _standard(case: Case, action: Action) -> str | None:
    """That of the token which came into being or was destroyed."""
    end = {"mint": 1, "burn": 2}.get(action)  # the zero address sends what is new
    moved = [move for move in case.transfers if end and move[end] == ZERO_ADDRESS]
    if not moved:
        return None
    if moved[0].token_id is None:
        return "erc20"
    names = {event.name for event in case.described.events if event.address == moved[0].token}
    return "erc721" if "Transfer" in names else "erc1155"


def _recipient(case: Case) -> str:
    for name in _RECIPIENTS:
        value = case.call.arguments.get(name)
        if isinstance(value, str) and len(value) == len(case.actor):
            return value
    return case.actor


def _planned(case: Case) -> list[Movement]:
    """The amount that stands beside a token."""
    call = case.call
    token = next((call.arguments[name] for name in _TOKENS if name in call.arguments), None)
    amount = next((call.arguments[name] for name in _AMOUNTS if name in call.arguments), None)
    if not isinstance(token, str) or not isinstance(amount, str) or token == case.actor:
        return []
    if int(amount) == UINT256_MAX:
        return []  # "all of it" is no amount
    asset = NATIVE if token in (ZERO_ADDRESS, NATIVE_PLACEHOLDER) else token
    if asset == NATIVE and call.value_wei:
        return []  # the value that goes along says it already
    return [case.movement(asset, int(amount))]
