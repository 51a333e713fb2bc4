"""A described transaction opened for the rules: who acts, which call counts, what moved.

Two views meet here. When the outcome is on record (logs of a transaction that did not fail), net
flows decide every amount; before signing, after a failure or without logs, the rules' plan from
the calldata does. A Safe or a smart account that executes a call is itself the actor and the inner
call counts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ethtune.chain.flows import Asset, Transfer, ether, net_flows, token_transfers
from ethtune.chain.payouts import Call, ether_payouts
from ethtune.chain.protocols import NATIVE, Contract, contracts
from ethtune.core.described import Argument, DecodedCall, DecodedEvent, DescribedTransaction, Value
from ethtune.core.intent import Action, Bound, Intent, Movement, Outcome
from ethtune.core.transaction import Transaction
from ethtune.core.units import scale_amount

_OUTCOMES: dict[int | None, Outcome] = {1: "success", 0: "failed", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Case:
    """``is_settled`` is true when events and flows tell what happened; see the module text."""

    described: DescribedTransaction
    actor: str
    call: Call
    is_settled: bool
    transfers: tuple[Transfer, ...]
    net: Mapping[Asset, int]
    via: tuple[str, ...] = ()

    @property
    def contract(self) -> Contract | None:
        """The well-known contract that is called."""
        if self.described.transaction.chain_id != 1 or self.call.target is None:
            return None
        return contracts().get(self.call.target)

    def has_role(self, *roles: str) -> bool:
        """Whether the called contract is well known in one of these parts."""
        contract = self.contract
        return contract is not None and contract.role in roles

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
            _OUTCOMES[self.described.transaction.status],
            via=(*self.via, *via),
            sent=_sorted(sent),
            received=_sorted(received),
            recipient=recipient,
        )


def open_case(described: DescribedTransaction) -> Case:
    """Find actor, call, transfers and net flows."""
    transaction = described.transaction
    is_settled = (
        transaction.logs is not None
        and transaction.status != 0
        and not (transaction.status is None and not transaction.logs)
    )
    actor, call, via = _outer(described)
    if described.function == "execTransaction" and _runs_inner_call(described, is_settled):
        actor, call, via = _inside_safe(described)
    elif described.function == "handleOps" and _runs_operation(described, is_settled):
        actor, call, via = _inside_account(described)
    if not is_settled:
        return Case(described, actor, call, False, (), {}, via)
    transfers = token_transfers(described)
    moves = (*transfers, *_ether_moves(transaction, actor, call, transfers, described))
    return Case(described, actor, call, True, transfers, net_flows(actor, moves), via)


def _sorted(movements: Iterable[Movement]) -> tuple[Movement, ...]:
    kept = (item for item in movements if item.amount != "0")
    return tuple(sorted(kept, key=lambda item: (item.asset, int(item.token_id or "0"))))


def _values(arguments: tuple[Argument, ...]) -> dict[str, Value]:
    return {argument.name: argument.value for argument in arguments}


def _outer(described: DescribedTransaction) -> tuple[str, Call, tuple[str, ...]]:
    transaction = described.transaction
    call = Call(
        transaction.to,
        described.function,
        _values(described.arguments),
        transaction.value_wei,
        transaction.calldata == "0x",
        described.calls,
        described.signature,
    )
    return transaction.sender, call, ()


def _runs_inner_call(described: DescribedTransaction, is_settled: bool) -> bool:
    if not described.calls or described.transaction.to is None:
        return False
    return not is_settled or any(
        event.name == "ExecutionSuccess" and event.address == described.transaction.to
        for event in described.events
    )


def _inside_safe(described: DescribedTransaction) -> tuple[str, Call, tuple[str, ...]]:
    """The one call that matters: approvals in a batch are a means to it."""
    safe = str(described.transaction.to)
    calls = [call for call in described.calls if call.function != "approve"] or described.calls
    value_wei = sum(call.value_wei for call in described.calls)
    if len(calls) != 1:
        return safe, Call(safe, None, {}, value_wei, False, described.calls), ("safe",)
    is_plain = _values(described.arguments).get("data") == "0x"
    return safe, _inner(calls[0], value_wei, is_plain), ("safe",)


def _runs_operation(described: DescribedTransaction, is_settled: bool) -> bool:
    """One operation alone; a bundle of several has as many actors."""
    if len(described.calls) != 1:
        return False
    return not is_settled or any(
        event.name == "UserOperationEvent" and _values(event.arguments).get("success") == "true"
        for event in described.events
    )


def _inside_account(described: DescribedTransaction) -> tuple[str, Call, tuple[str, ...]]:
    operation = _values(described.arguments)["ops"][0]
    call = described.calls[0]
    is_plain = call.function is None and call.value_wei > 0
    return str(operation[0]), _inner(call, call.value_wei, is_plain), ("erc4337",)


def _inner(call: DecodedCall, value_wei: int, is_plain: bool) -> Call:
    return Call(
        call.target, call.function, _values(call.arguments), value_wei, is_plain, (), call.signature
    )


def _ether_moves(
    transaction: Transaction,
    actor: str,
    call: Call,
    transfers: tuple[Transfer, ...],
    described: DescribedTransaction,
) -> Iterator[Transfer]:
    to = transaction.to or transaction.contract_address or ""
    yield ether(transaction.sender, to, transaction.value_wei)
    if transaction.internal_transfers is not None:
        for move in transaction.internal_transfers:
            if described.function != "handleOps" or to not in (move.sender, move.to):
                yield ether(move.sender, move.to or "", move.value_wei)
        return  # an entry point takes and returns ether for gas only
    if actor != transaction.sender:
        yield ether(actor, call.target or "", call.value_wei)
    yield ether("", actor, ether_payouts(actor, call, transfers, described))
