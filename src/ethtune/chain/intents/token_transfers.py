"""Calls of the token standards that move tokens.

``transferFrom`` has one selector for ERC-20 and ERC-721: on record the Transfer event tells which
(three topics or four); before that only a known token does, and an unknown one stays unknown.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.flows import Transfer
from ethtune.core.intent import Intent, Movement

_FUNCTIONS = frozenset({"transfer", "transferFrom", "safeTransferFrom", "safeBatchTransferFrom"})
_COUNTS = frozenset({"value", "tokenId", "id", "ids"})


def transfer(case: Case) -> Intent | None:
    """transfer, transferFrom, safeTransferFrom, safeBatchTransferFrom of any token."""
    call = case.call
    if call.function not in _FUNCTIONS or call.target is None:
        return None
    if "to" not in call.arguments or call.arguments.keys().isdisjoint(_COUNTS):
        return None  # another function of that name
    owner = call.text("from") if "from" in call.arguments else case.actor
    moved = _moved(case, owner)
    standard = _standard(case, moved)
    if standard is None:
        return None
    is_nft = standard != "erc20"
    planned = [] if case.is_settled else _planned(case, is_nft)
    to = call.text("to")
    return case.intent(
        "nft_transfer" if is_nft else "transfer",
        standard,
        sent=planned if owner == case.actor != to else (),
        received=planned if to == case.actor != owner else (),
        recipient=case.other(to),
    )


def _moved(case: Case, owner: str) -> list[Transfer]:
    return [
        item for item in case.transfers if item.token == case.call.target and item.sender == owner
    ]


def _standard(case: Case, moved: list[Transfer]) -> str | None:
    arguments, function = case.call.arguments, case.call.function
    if case.is_settled and not moved:
        return None
    if "id" in arguments or "ids" in arguments:
        return "erc1155"
    if function == "safeTransferFrom":
        return "erc721"
    if moved:
        return "erc20" if moved[0].token_id is None else "erc721"
    known = case.kind(str(case.call.target))
    return known if known is not None or function != "transfer" else "erc20"


def _planned(case: Case, is_nft: bool) -> list[Movement]:
    call, token = case.call, str(case.call.target)
    if "ids" in call.arguments:
        pairs = zip(call.arguments["ids"], call.arguments["amounts"], strict=False)
        return [case.movement(token, int(str(n)), token_id=str(i)) for i, n in pairs]
    if "id" in call.arguments:
        return [case.movement(token, call.number("amount"), token_id=call.text("id"))]
    if "tokenId" in call.arguments:
        return [case.movement(token, 1, token_id=call.text("tokenId"))]
    if is_nft:
        return [case.movement(token, 1, token_id=call.text("value"))]
    return [case.movement(token, call.number("value"))]
