"""Maker's vaults and savings: their joins note calls by selector, as anonymous events.

Collateral goes through a join of its own, DAI through one for all; both note ``join`` on the way in
and ``exit`` on the way out. DAI at the savings rate is noted by the contract that holds it, too.
The tub of the first vaults, those of SAI, notes each step of a loan: ``lock``, ``draw``, ``wipe``.
"""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.intents.plausible import is_borne_out, loan
from ethtune.chain.protocols import contracts
from ethtune.core.intent import Action, Intent

_NOTES: dict[tuple[str, str], Action] = {
    ("gem_join", "0x3b4da69f"): "deposit",
    ("gem_join", "0xef693bed"): "withdraw",
    ("dai_join", "0x3b4da69f"): "repay",
    ("dai_join", "0xef693bed"): "borrow",
    ("savings", "0x049878f3"): "deposit",
    ("savings", "0x7f8661a1"): "withdraw",
    ("tub", "0x049878f3"): "deposit",
    ("tub", "0xb3b77a51"): "deposit",
    ("tub", "0x440f19ba"): "borrow",
    ("tub", "0x73b38101"): "repay",
    ("tub", "0xb84d2106"): "repay",
    ("tub", "0xa5cd184e"): "withdraw",
    ("tub", "0x7f8661a1"): "withdraw",
}
_SELECTOR = 10  # 0x and four bytes, which a note has for its topic


def vault(case: Case) -> Intent | None:
    """What the notes agree on; savings before the vault that their DAI passes."""
    if not case.is_settled or case.described.transaction.chain_id != 1:
        return None
    noted: dict[str, set[Action]] = {}
    for event in case.described.events:
        contract = contracts().get(event.address) if event.name is None else None
        if contract is not None and event.topic0 is not None:
            action = _NOTES.get((contract.role, event.topic0[:_SELECTOR]))
            if action is not None:
                noted.setdefault(contract.protocol, set()).add(action)
    if not noted:
        return None
    protocol = min(noted)  # the savings' slug comes first
    action = loan(noted[protocol])
    if action is None or not is_borne_out(case, action) or not _is_alone(case, noted[protocol]):
        return None
    return case.intent(action, protocol)


def _is_alone(case: Case, actions: set[Action]) -> bool:
    """DAI for another asset is a trade, whatever the joins note of it."""
    return len(actions) > 1 or not (case.gave() and case.got())
