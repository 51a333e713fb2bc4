"""Liquity's troves and stability pools: one function does several things, what moved tells which.

The debt is a token that is issued to the borrower and destroyed when it is paid back; all else
that goes into a trove or comes out is collateral. A pool hands deposits out itself, rewards come
from elsewhere.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.flows import ZERO_ADDRESS
from ethtune.chain.protocols import NATIVE
from ethtune.core.intent import Intent


def position(case: Case) -> Intent | None:
    """On record only; before that the names of the functions have to do."""
    contract = case.contract
    if contract is None or not case.is_settled or not case.net:
        return None
    if contract.role == "troves":
        return _trove(case, contract.protocol)
    return _pool(case, contract.protocol) if contract.role == "stability_pool" else None


def _trove(case: Case, protocol: str) -> Intent | None:
    issued = {move.token for move in case.transfers if move.sender == ZERO_ADDRESS}
    destroyed = {move.token for move in case.transfers if move.to == ZERO_ADDRESS}
    gave = {token for token, _ in case.gave()}
    got = {token for token, _ in case.got()}
    if got & issued:
        return case.intent("borrow", protocol)
    if gave & destroyed:
        return case.intent("repay", protocol)
    return case.intent("deposit" if gave else "withdraw", protocol)


def _pool(case: Case, protocol: str) -> Intent | None:
    if any(token != NATIVE for token, _ in case.gave()):
        return case.intent("stake", protocol)
    handed_out = {move.token for move in case.transfers if move.sender == case.call.target}
    is_deposit = any(token in handed_out for token, _ in case.got())
    return case.intent("unstake" if is_deposit else "claim", protocol)
