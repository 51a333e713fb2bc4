"""What the events say: the one action that the called contract reports, or anyone of the actor.

The table of events names the action of each, and the protocol where only one speaks it; this is
how the long tail is known. Rewards that come along with something else are not the matter.
"""

from __future__ import annotations

from collections.abc import Iterator

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.intents.plausible import is_borne_out, loan
from ethtune.chain.protocols import WETH, protocol_of
from ethtune.chain.signatures import meaning_of, promises
from ethtune.core.described import DecodedEvent
from ethtune.core.intent import Action, Intent

_OF_POOLS = frozenset({"stake", "unstake"})  # an amount of 0 only fetches rewards
_PROXY = "execute(address target,bytes data)"  # Maker's: an account that its owner alone calls
_ACCOMPANYING: tuple[Action, ...] = ("claim", "deploy_contract")


def reported(case: Case) -> Intent | None:
    """The action that all telling events agree on, if what moved bears it out."""
    told = [item for item in _told(case) if is_borne_out(case, item[1])]
    direct = [item for item in told if _is_direct(case, item[0])]
    found = {action: event for event, action in direct or told}
    for action in _ACCOMPANYING:
        if len(found) > 1:
            found.pop(action, None)
    main = loan(found)
    if main is None or (main == "claim" and _is_promised_more(case)):
        return None
    event = found.get(main) or next(iter(found.values()))
    return case.intent(main, protocol(case, event))


def _is_promised_more(case: Case) -> bool:
    """Whether rewards only came along: the call asked for a stake to be put in or given back."""
    promise = promises().get(case.call.signature or "")
    if promise is None or promise.action not in _OF_POOLS or "amount" not in case.call.arguments:
        return False
    return case.call.arguments["amount"] != "0" and is_borne_out(case, promise.action)


def protocol(case: Case, event: DecodedEvent) -> str | None:
    """That of the called contract, else that of the emitter, else of the token that was issued."""
    if case.contract is not None:
        return case.contract.protocol
    return _protocol_at(case, event.address) or issuer(case)


def protocol_behind(case: Case, action: Action) -> str | None:
    """That of the called contract, else the one whose events report the action."""
    if case.contract is not None:
        return case.contract.protocol
    emitters = {event.address for event, told in _actions(case) if told == action}
    found = {_protocol_at(case, emitter) for emitter in emitters}
    only = found.pop() if len(found) == 1 else None
    return only or speaker(case) or issuer(case)


def speaker(case: Case) -> str | None:
    """That of the called contract: it is on the list, or its events are no other's."""
    if case.contract is not None:
        return case.contract.protocol
    return _protocol_at(case, case.call.target) if case.call.target else None


def issuer(case: Case) -> str | None:
    """That of the tokens which came into being for the actor, or which the actor had destroyed."""
    chain_id = case.described.transaction.chain_id
    moves = (
        move.token
        for move in case.transfers
        if (move.sender, move.to) in ((ZERO_ADDRESS, case.actor), (case.actor, ZERO_ADDRESS))
    )
    found = {protocol_of(token, chain_id) for token in moves} - {None, protocol_of(WETH, chain_id)}
    return found.pop() if len(found) == 1 else None


def _protocol_at(case: Case, address: str) -> str | None:
    known = protocol_of(address, case.described.transaction.chain_id)
    if known is not None or case.described.transaction.chain_id != 1:
        return known
    meanings = (meaning_of(event) for event in case.described.events if event.address == address)
    spoken = {meaning.protocol for meaning in meanings if meaning is not None} - {None}
    return spoken.pop() if len(spoken) == 1 else None


def _told(case: Case) -> Iterator[tuple[DecodedEvent, Action]]:
    """By the called contract, of the actor, or of nobody, as deposits for validators are."""
    for event, action in _actions(case):
        names_someone = any(argument.type == "address" for argument in event.arguments)
        if names_someone and not _is_direct(case, event):
            continue
        if action == "swap" and event.address != case.call.target and _is_issued_to(case):
            continue  # on the way into a pool or vault
        is_empty = any(item.name == "amount" and item.value == "0" for item in event.arguments)
        yield event, "claim" if is_empty and action in _OF_POOLS else action


def _is_direct(case: Case, event: DecodedEvent) -> bool:
    target = case.call.target
    accounts = (case.actor, target) if case.call.signature == _PROXY else (case.actor,)
    is_called = event.address == target
    return is_called or any(argument.value in accounts for argument in event.arguments)


def _is_issued_to(case: Case) -> bool:
    """Whether a token came into being for the actor, WETH aside."""
    return any(
        move.sender == ZERO_ADDRESS and move.to == case.actor and move.token != WETH
        for move in case.transfers
    )


def _actions(case: Case) -> Iterator[tuple[DecodedEvent, Action]]:
    """Events that tell an action; those of WETH are moves, not deposits."""
    for event in case.described.events:
        if event.name == "Transfer":
            continue  # most events are, and it tells none
        meaning = meaning_of(event)
        if meaning is not None and meaning.action is not None and event.address != WETH:
            yield event, meaning.action
