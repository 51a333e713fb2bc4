"""The Ethereum Name Service: names registered and renewed, records and owners set."""

from __future__ import annotations

from ethtune.chain.case import Case
from ethtune.chain.protocols import NATIVE
from ethtune.core.intent import Intent

_RECORDS = (
    "setName", "setText", "setAddr", "setContenthash", "setResolver", "setOwner", "reclaim",
    "multicall",
)  # fmt: skip
_RENTS = ("register", "registerWithConfig", "renew")


def name_service(case: Case) -> Intent | None:
    """A commitment announces a registration; the others pay rent, too much of which returns."""
    call = case.call
    if case.has_role("names") and call.function in _RECORDS:
        return case.intent("name_service", "ens")
    if not case.has_role("registrar") or call.function not in ("commit", *_RENTS):
        return None
    sent = [case.movement(NATIVE, call.value_wei, "max")]
    return case.intent("name_service", "ens", sent=sent if call.function in _RENTS else ())
