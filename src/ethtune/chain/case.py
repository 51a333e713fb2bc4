"""A described transaction opened for the rules: who acts, which call counts, what moved.

Two views meet here. When the outcome is on record (logs of a transaction that did not fail), net
flows decide every amount; before signing, after a failure or without logs, the rules' plan from
the calldata does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ethtune.chain.actors import Acting, Call, who_acts
from ethtune.chain.flows import Asset, Transfer, ether, net_flows, token_transfers
from ethtune.chain.payouts import ether_payouts
from ethtune.chain.protocols import NATIVE, Contract, contracts
from ethtune.core.described import DecodedEvent, DescribedTransaction
from ethtune.core.intent import Action, Bound, Intent, Movement, Outcome
from ethtune.core.units import scale_amount

_OUTCOMES: dict[int | None, Outcome] = {1: "success", 0: "failed", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Case:
    """``is_settled`` is true when events and flows tell what happened; see the module text."""

    described: DescribedTransaction
    acting: Acting
    call: Call
    contract: Contract | None  # the well-known one that is called
    outcome: Outcome
    is_settled: bool
    transfers: tuple[Transfer, ...]
    net: Mapping[Asset, int]

    @property
    def actor(self) -> str:
        """Whose flows are told: the sender, or the account behind it."""
        return self.acting.actor

    def has_role(self, *roles: str) -> bool:
        """Whether the called contract is well known in one of these parts."""
        return self.contract is not None and self.contract.role in roles

    def alone(self, call: Call) -> Case:
        """The same with one call of the actor as the one that counts."""
        return replace(self, call=call, contract=_contract(self.described, call))

    def events(self, name: str, address: str | None = None) -> Iterator[DecodedEvent]:
        """Events of a name, of any emitter or of one."""
        for event in self.described.events:
            if event.name == name and address in (None, event.address):
                yield event

    def kind(self, address: str) -> str | None:
        """``erc20``, ``erc721``, ``erc1155``, or None for an unknown token."""
        token = self.described.tokens.get(address)
        return token.kind if token else None

    def movement(
        self, asset: str, raw: int, bound: Bound | None = None, token_id: str | None = None
    ) -> Movement:
        """An amount as intents write it; the amount of a single NFT goes without saying."""
        if asset == NATIVE:
            return Movement(NATIVE, scale_amount(raw, 18), bound=bound)
        token = self.described.tokens.get(asset)
        name = token.asset if token else asset
        if token_id is not None:
            return Movement(name, None if raw == 1 else str(raw), token_id, bound)
        return Movement(name, token.amount(raw) if token else str(raw), bound=bound)

    def gave(self) -> list[Asset]:
        """Assets of which the actor has less afterwards."""
        return [asset for asset, amount in self.net.items() if amount < 0]

    def got(self) -> list[Asset]:
        """Assets of which the actor has more afterwards."""
        return [asset for asset, amount in self.net.items() if amount > 0]

    def other(self, account: str) -> str | None:
        """The account as a recipient: None when it is the actor's own."""
        return None if account == self.actor else account

    def intent(
        self,
        action: Action,
        protocol: str | None,
        *,
        sent: Iterable[Movement] = (),
        received: Iterable[Movement] = (),
        recipient: str | None = None,
        via: tuple[str, ...] = (),
    ) -> Intent:
        """The record; ``sent`` and ``received`` are the plan, which net flows replace."""
        if self.is_settled:
            sent = (self.movement(a, -n, token_id=i) for (a, i), n in self.net.items() if n < 0)
            received = (self.movement(a, n, token_id=i) for (a, i), n in self.net.items() if n > 0)
        return Intent(
            action,
            protocol,
            self.outcome,
            via=(*self.acting.via, *via),
            sent=in_order(sent),
            received=in_order(received),
            recipient=recipient,
        )


def open_case(described: DescribedTransaction) -> Case:
    """Find actor, calls, transfers and net flows."""
    transaction = described.transaction
    is_settled = (
        transaction.logs is not None
        and transaction.status != 0
        and not (transaction.status is None and not transaction.logs)
    )
    acting = who_acts(described, is_settled=is_settled)
    call = acting.call
    contract = _contract(described, call)
    outcome = "failed" if acting.has_failed else _OUTCOMES[transaction.status]
    if not is_settled or acting.has_failed:
        return Case(described, acting, call, contract, outcome, False, (), {})
    transfers = token_transfers(described)
    moves = (*transfers, *_ether_moves(described, acting, transfers))
    net = net_flows(acting.actor, moves)
    return Case(described, acting, call, contract, outcome, True, transfers, net)


def _contract(described: DescribedTransaction, call: Call) -> Contract | None:
    if described.transaction.chain_id != 1 or call.target is None:
        return None
    return contracts().get(call.target)


def in_order(movements: Iterable[Movement]) -> tuple[Movement, ...]:
    """As intents list them: by asset and id, nothing where the amount is 0."""
    kept = (item for item in movements if item.amount != "0")
    return tuple(sorted(kept, key=lambda item: (item.asset, int(item.token_id or "0"))))


def _ether_moves(
    described: DescribedTransaction, acting: Acting, transfers: tuple[Transfer, ...]
) -> Iterator[Transfer]:
    transaction, actor = described.transaction, acting.actor
    to = transaction.to or transaction.contract_address or ""
    yield ether(transaction.sender, to, transaction.value_wei)
    if transaction.internal_transfers is not None:
        for move in transaction.internal_transfers:
            if described.function != "handleOps" or to not in (move.sender, move.to):
                yield ether(move.sender, move.to or "", move.value_wei)
        return  # an entry point takes and returns ether for gas only
    if actor != transaction.sender:
        for call in acting.calls:
            yield ether(actor, call.target or "", call.value_wei)
    yield ether("", actor, ether_payouts(acting, transfers, described))
