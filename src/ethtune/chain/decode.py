"""A described transaction in, its intent out: the first rule that is sure decides.

Rules go from the particular to the general. Of a batch, each call is decided alone; where all come
to the same action, that is the batch's. Where none is sure the action is "unknown", still with
what the actor gave and got. Nothing here raises for any well-formed transaction.
"""

from __future__ import annotations

from dataclasses import replace

from ethtune.chain.case import Case, open_case
from ethtune.chain.intents import RULES
from ethtune.chain.intents.batches import batch
from ethtune.chain.intents.reported import speaker
from ethtune.chain.intents.secondary import secondary
from ethtune.chain.protocols import NATIVE
from ethtune.core.described import DescribedTransaction
from ethtune.core.intent import Intent


def decode(described: DescribedTransaction) -> Intent:
    """What the transaction means, derived from nothing but ``described``."""
    case = open_case(described)
    intent = batch(case, _decided) or _decided(case)
    if intent is None:
        value_wei = case.call.value_wei
        return case.intent("unknown", speaker(case), sent=[case.movement(NATIVE, value_wei)])
    further = secondary(case, intent)
    return replace(intent, secondary=further) if further else intent


def _decided(case: Case) -> Intent | None:
    for rule in RULES:
        intent = rule(case)
        if intent is not None:
            return intent
    return None
