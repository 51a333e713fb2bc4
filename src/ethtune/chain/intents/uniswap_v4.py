"""Positions of Uniswap V4: the plan of the position manager, and on record what pools report."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.plans import CALLER, Step, steps_of
from ethtune.chain.protocols import NATIVE
from ethtune.core.described import Value
from ethtune.core.intent import Action, Intent, Movement

_ADDING = frozenset({
    "MINT_POSITION", "INCREASE_LIQUIDITY", "MINT_POSITION_FROM_DELTAS",
    "INCREASE_LIQUIDITY_FROM_DELTAS",
})  # fmt: skip
_REMOVING = frozenset({"DECREASE_LIQUIDITY", "BURN_POSITION"})


def liquidity(case: Case) -> Intent | None:
    """Liquidity put in or taken out; a change of nothing collects fees."""
    if not case.has_role("v4_positions"):
        return None
    steps = list(steps_of(case.call.inner))
    action = _reported(case) if case.is_settled else _planned(steps)
    if action is None:
        return None
    sent = [item for name, values in steps if name in _ADDING for item in _most(case, values)]
    via = ("multicall",) if case.call.function == "multicall" else ()
    return case.intent(action, "uniswap_v4", sent=sent, recipient=_owner(case, steps), via=via)


def _reported(case: Case) -> Action | None:
    changes = [
        int(str(argument.value))
        for event in case.events("ModifyLiquidity")
        for argument in event.arguments
        if argument.name == "liquidityDelta"
    ]
    if not changes:
        return None
    total = sum(changes)
    if total == 0:
        return "claim" if case.got() else None
    return "add_liquidity" if total > 0 else "remove_liquidity"


def _planned(steps: list[Step]) -> Action | None:
    names = {name for name, _ in steps}
    if names & _ADDING and not names & _REMOVING:
        return "add_liquidity"
    if names & _ADDING or not names & _REMOVING:
        return None
    amounts = [values.get("liquidity") for name, values in steps if name in _REMOVING]
    return "claim" if {*amounts} == {"0"} else "remove_liquidity"


def _owner(case: Case, steps: list[Step]) -> str | None:
    """Whom a mint gives the position, where that is not the actor."""
    owners = {str(values["owner"]) for _, values in steps if "owner" in values} - {CALLER}
    return case.other(owners.pop()) if len(owners) == 1 else None


def _most(case: Case, values: Mapping[str, Value]) -> Iterator[Movement]:
    """A mint names its pool and thereby its tokens; other actions name a position only."""
    for side in "01":
        if f"currency{side}" not in values:
            return
        token = str(values[f"currency{side}"])
        asset = NATIVE if token == ZERO_ADDRESS else token
        raw = int(str(values[f"amount{side}Max"]))
        if asset == NATIVE and case.call.value_wei:
            raw = min(raw, case.call.value_wei)
        yield case.movement(asset, raw, "max")
