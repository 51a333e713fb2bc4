"""A described transaction in, its intent out: the first rule that is sure decides.

Rules go from the particular to the general. Where none is sure the action is "unknown", still with
what the actor gave and got. Nothing here raises for any well-formed transaction.
"""

from __future__ import annotations

from ethtune.chain.case import open_case
from ethtune.chain.intents import RULES
from ethtune.chain.protocols import NATIVE
from ethtune.core.described import DescribedTransaction
from ethtune.core.intent import Intent


def decode(described: DescribedTransaction) -> Intent:
    """What the transaction means, derived from nothing but ``described``."""
    case = open_case(described)
    for rule in RULES:
        intent = rule(case)
        if intent is not None:
            return intent
    value_wei = case.call.value_wei
    protocol = case.contract.protocol if case.contract else None
    return case.intent("unknown", protocol, sent=[case.movement(NATIVE, value_wei)])
