"""What the events say: the one action that the called contract reports, or anyone of the actor.

The table of events names the action of each, and the protocol where only one speaks it; this is
how the long tail is known. Rewards that come along with something else are not the matter.
"""

from __future__ import annotations

from collections.abc import Iterator

from ethtune.chain.case import Case
from ethtune.chain.intents.plausible import is_borne_out
from ethtune.chain.protocols import WETH, protocol_of
from ethtune.chain.signatures import reports
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
    told = reports()[str(event.topic0)].protocol
    return told or protocol_of(event.address, case.described.transaction.chain_id)


def protocol_behind(case: Case, action: Action) -> str | None:
    """That of the called contract, else the one whose events report the action."""
    if case.contract is not None:
        return case.contract.protocol
    table = reports()
    found = {
        protocol(case, event)
        for event in case.described.events
        if event.name is not None
        and (told := table.get(event.topic0 or "")) is not None
        and told.action == action
    }
    return found.pop() if len(found) == 1 else None


def _told(case: Case) -> Iterator[tuple[DecodedEvent, Action]]:
    table = reports()
    for event in case.described.events:
        told = table.get(event.topic0 or "")
        if event.name is None or told is None or told.action is None or event.address == WETH:
            continue
        if event.address != case.call.target and not _names(event, case.actor):
            continue
        is_empty = any(item.name == "amount" and item.value == "0" for item in event.arguments)
        yield event, "claim" if is_empty and told.action in _OF_POOLS else told.action


def _names(event: DecodedEvent, account: str) -> bool:
    return any(argument.value == account for argument in event.arguments)
