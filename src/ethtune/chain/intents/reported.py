"""What the events say: the one action that the called contract reports, or anyone of the actor.

The table of events names the action of each, and the protocol where only one speaks it; this is
how the long tail is known. Rewards that come along with something else are not the matter.
"""

from __future__ import annotations

from collections.abc import Iterator

from ethtune.chain.case import Case
from ethtune.chain.intents.plausible import is_borne_out
from ethtune.chain.protocols import WETH, protocol_of
from ethtune.chain.signatures import meaning_of
from ethtune.core.described import DecodedEvent
from ethtune.core.intent import Action, Intent

_OF_POOLS = frozenset({"stake", "unstake"})  # an amount of 0 only fetches rewards
_ACCOMPANYING: tuple[Action, ...] = ("claim", "deploy_contract")


def reported(case: Case) -> Intent | None:
    """The action that all telling events agree on, if what moved bears it out."""
    found = {action: event for event, action in _told(case) if is_borne_out(case, action)}
    for action in _ACCOMPANYING:
        if len(found) > 1:
            found.pop(action, None)
    if len(found) != 1:
        return None
    ((action, event),) = found.items()
    return case.intent(action, protocol(case, event))


def protocol(case: Case, event: DecodedEvent) -> str | None:
    """That of the called contract, else the one that speaks so, else that of the emitter."""
    if case.contract is not None:
        return case.contract.protocol
    meaning = meaning_of(event)
    spoken = meaning.protocol if meaning else None
    return spoken or protocol_of(event.address, case.described.transaction.chain_id)


def protocol_behind(case: Case, action: Action) -> str | None:
    """That of the called contract, else the one whose events report the action."""
    if case.contract is not None:
        return case.contract.protocol
    found = {protocol(case, event) for event, told in _actions(case) if told == action}
    return found.pop() if len(found) == 1 else None


def _told(case: Case) -> Iterator[tuple[DecodedEvent, Action]]:
    for event, action in _actions(case):
        if event.address != case.call.target and not _names(event, case.actor):
            continue
        is_empty = any(item.name == "amount" and item.value == "0" for item in event.arguments)
        yield event, "claim" if is_empty and action in _OF_POOLS else action


def _actions(case: Case) -> Iterator[tuple[DecodedEvent, Action]]:
    """Events that tell an action; those of WETH are moves, not deposits."""
    for event in case.described.events:
        if event.name == "Transfer":
            continue  # most events are, and it tells none
        meaning = meaning_of(event)
        if meaning is not None and meaning.action is not None and event.address != WETH:
            yield event, meaning.action


def _names(event: DecodedEvent, account: str) -> bool:
    return any(argument.value == account for argument in event.arguments)
