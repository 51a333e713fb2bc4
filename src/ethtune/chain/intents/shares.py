"""Claims on a pool or vault, told by tokens that come into being or vanish against others.

Who gives one asset and is issued a new token has deposited, who gives several has added liquidity;
who hands in a token that is destroyed and gets others for it has withdrawn.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.intents.reported import protocol, protocol_behind
from ethtune.chain.protocols import WETH
from ethtune.chain.signatures import meaning_of
from ethtune.core.intent import Action, Intent


def share(case: Case) -> Intent | None:
    """On record only, and only where nothing but fungible assets moved."""
    if any(token_id is not None for _, token_id in case.net):
        return None
    gave = [token for token, _ in case.gave()]
    got = [token for token, _ in case.got()]
    if len(got) == 1 and gave and _is_issued(case, got[0]):
        return _intent(case, "deposit" if len(gave) == 1 else "add_liquidity")
    if len(gave) == 1 and got and _is_destroyed(case, gave[0]):
        return _intent(case, "withdraw" if len(got) == 1 else "remove_liquidity")
    return None


def _intent(case: Case, action: Action) -> Intent:
    """A pool's own event tells liquidity of one asset from a deposit."""
    is_adding = action in ("deposit", "add_liquidity")
    of_pools: Action = "add_liquidity" if is_adding else "remove_liquidity"
    for event in case.described.events:
        meaning = meaning_of(event)
        if meaning is not None and meaning.action == of_pools:
            return case.intent(of_pools, protocol(case, event))
    return case.intent(action, protocol_behind(case, action))


def _is_issued(case: Case, token: str) -> bool:
    return token != WETH and any(
        move.token == token and move.sender == ZERO_ADDRESS and move.to == case.actor
        for move in case.transfers
    )


def _is_destroyed(case: Case, token: str) -> bool:
    """By the actor, or by whom the actor handed it to, in the same amount."""
    handed = {(move.to, move.amount) for move in case.transfers if move[:2] == (token, case.actor)}
    return token != WETH and any(
        move.token == token
        and move.to == ZERO_ADDRESS
        and (move.sender == case.actor or (move.sender, move.amount) in handed)
        for move in case.transfers
    )
