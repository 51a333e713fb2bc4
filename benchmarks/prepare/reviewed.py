"""Decoded intents against what human reviewers expect of the same transactions.

    python benchmarks/prepare/reviewed.py FOLDER [--json] > report.txt

FOLDER holds ``reviewed_receipts.jsonl.gz`` and ``reviewed_events.jsonl`` (rotki's names of events)
and may hold ``tokens.jsonl.gz``. Looked at are transactions whose sender the reviewers track.

Compared are three things, and every disagreement is printed with both sides:

assets    net amounts of the actor, exact, gas excluded; the actor is the sender, or the account
          behind it where the intent says ``via``; left out where they do not track that account
action    one of the actions that ``ACTIONS`` lists for the transaction's tags; approvals beside
          another tag are a means to it; transactions without a tag are left out
protocol  the slug that ``PROTOCOLS`` gives for the counterparties, or the counterparty itself
          as a slug; transactions without a counterparty, or with none but a wallet, are left out
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

from ethtune.chain.case import open_case
from ethtune.chain.decode import decode
from ethtune.chain.describe import describe
from ethtune.chain.sources import read_transactions
from ethtune.chain.tokens import TokenRegistry
from ethtune.core.described import DescribedTransaction
from ethtune.core.intent import Intent
from ethtune.core.transaction import Transaction

ACTIONS = {
    "swap": {"swap", "wrap", "unwrap", "mint", "nft_trade"},
    "deposit": {"deposit", "add_liquidity", "stake", "wrap"},
    "withdraw": {"withdraw", "remove_liquidity", "unstake", "unwrap"},
    "stake": {"stake", "deposit"},
    "unstake": {"unstake", "withdraw"},
    "claim_rewards": {"claim"},
    "claim_interest": {"claim"},
    "claim_airdrop": {"claim"},
    "bridge_out": {"bridge"},
    "bridge_in": {"bridge"},
    "approve": {"approve", "revoke_approval"},
    "create": {"deploy_contract"},
    "vote": {"governance"},
    "repay": {"repay"},
    "liquidate": {"liquidate"},
    "transfer_out": {"transfer", "nft_transfer"},
    "transfer_in": {"transfer", "nft_transfer"},
}
PROTOCOLS = {
    "0x": "zero_ex", "cowswap": "cow", "1inch-v4": "one_inch", "1inch-v6": "one_inch",
    "compound": "compound_v2", "aave": "aave", "arbitrum_one": "arbitrum_bridge",
    "polygon": "polygon_bridge", "gnosis-chain": "gnosis_bridge", "woo-fi": "woofi",
    "beefy_finance": "beefy", "stakedao-v2": "stakedao", "gho": "aave", "rainbow_swaps": "rainbow",
}  # fmt: skip
NO_PROTOCOL = {"gas", "safe-multisig", None}
INFLOWS = {
    ("TRADE", "RECEIVE"), ("STAKING", "REWARD"), ("STAKING", "REMOVE_ASSET"), ("RECEIVE", None),
    ("WITHDRAWAL", None),
}  # fmt: skip
OUTFLOWS = {
    ("TRADE", "SPEND"), ("TRADE", "FEE"), ("STAKING", "DEPOSIT_ASSET"), ("SPEND", None),
    ("DEPOSIT", None), ("LOSS", None),
}  # fmt: skip
EXACT = Context(prec=120)
BEACON_DEPOSIT = {"event_type": "STAKING", "event_subtype": "DEPOSIT_ASSET", "asset": "ETH"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One comparison; ``agrees`` is None where reviewers expect nothing."""

    hash: str
    about: str
    agrees: bool | None
    expected: str
    found: str


def main() -> None:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--json", action="store_true", help="one JSON document")
    arguments = parser.parse_args()
    verdicts = list(compare(arguments.folder))
    totals = summary(verdicts)
    wrong = [verdict for verdict in verdicts if verdict.agrees is False]
    if arguments.json:
        print(json.dumps({"totals": totals, "disagreements": [asdict(item) for item in wrong]}))
        return
    for item in wrong:
        print(f"{item.hash}  {item.about}\n  expected {item.expected}\n  found    {item.found}")
    for about, (right, of) in totals.items():
        print(f"{about:9} {right} of {of} agree ({100 * right / max(of, 1):.1f} %)")


def summary(verdicts: list[Verdict]) -> dict[str, tuple[int, int]]:
    """Agreements and comparisons by what was compared."""
    right = Counter(item.about for item in verdicts if item.agrees)
    of = Counter(item.about for item in verdicts if item.agrees is not None)
    return {about: (right[about], of[about]) for about in ("assets", "action", "protocol")}


def compare(folder: Path) -> Iterator[Verdict]:
    """Verdicts on every transaction with a tracked sender."""
    token_list = folder / "tokens.jsonl.gz"
    registry = TokenRegistry.with_files([token_list] if token_list.is_file() else [])
    lines = (folder / "reviewed_events.jsonl").read_text(encoding="utf-8").splitlines()
    reviews = {review["hash"]: review for review in map(json.loads, lines)}
    for record in read_transactions(folder / "reviewed_receipts.jsonl.gz"):
        assert isinstance(record, Transaction)
        review = reviews.get(record.hash)
        if review is None or not review["sender_is_tracked"]:
            continue
        described = describe(record, registry)
        intent = decode(described)
        yield _assets(described, intent, review)
        yield _action(intent, review)
        yield _protocol(intent, review)


def _assets(described: DescribedTransaction, intent: Intent, review: dict[str, Any]) -> Verdict:
    actor = open_case(described).actor
    expected: Counter[str] = Counter()
    for event in review["events"]:
        entry = BEACON_DEPOSIT | event
        account = entry.get("location_label", actor).lower()
        if entry.get("counterparty") != "gas" and account == actor:
            _add(expected, _asset(entry["asset"]), _sign(entry) * Decimal(entry["amount"]))
    found: Counter[str] = Counter()
    addresses = {token.asset: address for address, token in described.tokens.items()}
    for movements, sign in ((intent.sent, -1), (intent.received, 1)):
        for item in movements:
            address = addresses.get(item.asset, item.asset)
            key = address if item.token_id is None else f"{address}/{item.token_id}"
            amount = Decimal(item.amount or 1)
            _add(found, key, sign * amount)
    is_same = _scaled(expected, found) == {key: amount for key, amount in found.items() if amount}
    tracked = map(str.lower, review["tracked_accounts"]["ethereum_accounts"])
    agrees = is_same if actor in tracked else None
    return Verdict(review["hash"], "assets", agrees, _text(expected), _text(found))


def _scaled(expected: Counter[str], found: Counter[str]) -> dict[str, Decimal]:
    """Expected amounts; of a token without known decimals in raw units, if the digits are same."""
    scaled = {}
    for key, amount in expected.items():
        raw = found.get(key, Decimal(0))
        is_raw = (
            raw
            and amount
            and amount.normalize(EXACT).as_tuple()[:2] == raw.normalize(EXACT).as_tuple()[:2]
        )
        if amount:
            scaled[key] = raw if is_raw and raw == raw.to_integral_value() else amount
    return scaled


def _add(net: Counter[str], asset: str, amount: Decimal) -> None:
    net[asset] = EXACT.add(Decimal(net[asset]), amount)  # type: ignore[assignment]


def _sign(event: dict[str, Any]) -> int:
    kind, subtype = event["event_type"], event["event_subtype"]
    if (kind, subtype) in INFLOWS or (kind, None) in INFLOWS:
        return 1
    return -1 if (kind, subtype) in OUTFLOWS or (kind, None) in OUTFLOWS else 0


def _asset(identifier: str) -> str:
    """``eip155:1/erc20:0x…`` as an address, ``eip155:1/erc721:0x…/7`` as address and id."""
    return identifier.rpartition(":")[2].lower() if ":" in identifier else identifier


def _action(intent: Intent, review: dict[str, Any]) -> Verdict:
    tags = [tag for tag in review["actions"] if tag != "approve"] or review["actions"]
    accepted: set[str] = set().union(*(ACTIONS.get(tag, set()) for tag in tags))
    agrees = intent.action in accepted if accepted else None
    return Verdict(review["hash"], "action", agrees, "+".join(tags), intent.action)


def _protocol(intent: Intent, review: dict[str, Any]) -> Verdict:
    names = [event.get("counterparty") for event in review["events"]]
    slugs = {
        PROTOCOLS.get(name, name.lower().replace("-", "_").replace(" ", "_"))
        for name in names
        if name not in NO_PROTOCOL
    }
    agrees = intent.protocol in slugs if slugs else None
    return Verdict(
        review["hash"], "protocol", agrees, "|".join(sorted(slugs)), str(intent.protocol)
    )


def _text(net: Counter[str]) -> str:
    return ", ".join(f"{key} {amount:+f}" for key, amount in sorted(net.items()) if amount) or "-"


if __name__ == "__main__":
    main()
