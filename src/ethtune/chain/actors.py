"""A described transaction in; who acts, and which calls count, out.

The sender acts, unless the call is one that a Safe or a smart account executes: then the account
acts, and what it executes counts. In a batch approvals and wrapped ether are means to the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ethtune.chain.protocols import WETH
from ethtune.core.described import Argument, DecodedCall, DescribedTransaction, Value

_APPROVALS = frozenset({
    "approve", "increaseAllowance", "permit", "setApprovalForAll", "PERMIT2_PERMIT",
})  # fmt: skip
_EXECUTIONS = frozenset({
    "execute", "executeBatch", "executeBatch_y6U", "execute_ncC", "execute4337Op",
    "execute4337Ops", "executeUserOp", "executeUserOpWithErrorString", "executions",
})  # fmt: skip
_BATCHES = frozenset({"multiSend", "executions"})
_WRAPPERS_MAX = 8  # accounts that execute accounts


@dataclass(frozen=True, slots=True)
class Call:
    """A call that counts: the transaction's own, or one that its account executes."""

    target: str | None
    function: str | None
    arguments: Mapping[str, Value]
    value_wei: int
    is_plain: bool  # no calldata at all
    inner: tuple[DecodedCall, ...] = ()
    signature: str | None = None

    def text(self, name: str) -> str:
        """An argument that is one value: address, number, bytes or text."""
        return str(self.arguments[name])

    def number(self, name: str) -> int:
        """An integer argument."""
        return int(str(self.arguments[name]))


@dataclass(frozen=True, slots=True)
class Acting:
    """``calls`` are all that the actor made, ``counting`` those that are no means to another."""

    actor: str
    calls: tuple[Call, ...]
    counting: tuple[Call, ...]
    via: tuple[str, ...] = ()
    has_failed: bool = False

    @property
    def call(self) -> Call:
        """The one call that counts; of several a nameless one, to the actor itself."""
        if len(self.counting) == 1:
            return self.counting[0]
        value_wei = sum(call.value_wei for call in self.calls)
        return Call(self.actor, None, {}, value_wei, False)


def who_acts(described: DescribedTransaction, *, is_settled: bool) -> Acting:
    """Go into accounts that execute, for as long as one call counts."""
    transaction = described.transaction
    outer = Call(
        transaction.to,
        described.function,
        values_of(described.arguments),
        transaction.value_wei,
        transaction.calldata == "0x",
        described.calls,
        described.signature,
    )
    acting = Acting(transaction.sender, (outer,), (outer,))
    for _ in range(_WRAPPERS_MAX):
        inside = _inside(acting, described, is_settled)
        if inside is None:
            break
        acting = inside
    return acting


def values_of(arguments: Iterable[Argument]) -> dict[str, Value]:
    """Values by name."""
    return {argument.name: argument.value for argument in arguments}


def is_approval(call: Call) -> bool:
    """Leave for someone else to move tokens."""
    return call.function in _APPROVALS


def _inside(acting: Acting, described: DescribedTransaction, is_settled: bool) -> Acting | None:
    """What the one call that counts executes, None where it executes nothing."""
    if len(acting.counting) != 1:
        return None
    call = acting.counting[0]
    if not call.inner or call.target is None:
        return None
    if call.function == "execTransaction":
        return _entered(acting, described, is_settled, call.target, "safe")
    if call.function == "handleOps":
        accounts = {operation.target for operation in call.inner}
        if len(accounts) != 1:
            return None  # as many actors
        return _entered(acting, described, is_settled, str(accounts.pop()), "erc4337")
    is_own = call.target == acting.actor and call.function in _EXECUTIONS
    if is_own or (acting.via and call.function in _BATCHES):
        return _acting(acting.actor, call.inner, acting.via, acting.has_failed)
    return None


def _entered(
    acting: Acting, described: DescribedTransaction, is_settled: bool, account: str, wrapper: str
) -> Acting | None:
    """The account in the actor's place; None on record where it reports no execution."""
    has_failed = _has_failed(described, account) if is_settled else False
    if has_failed is None:
        return None
    via = (*acting.via, wrapper)
    return _acting(account, acting.call.inner, via, acting.has_failed or has_failed)


def _has_failed(described: DescribedTransaction, account: str) -> bool | None:
    for event in described.events:
        if event.name in ("ExecutionSuccess", "ExecutionFailure") and event.address == account:
            return event.name == "ExecutionFailure"
        if event.name == "UserOperationEvent":
            values = values_of(event.arguments)
            if values.get("sender") == account:
                return values.get("success") == "false"
    return None


def _acting(
    actor: str, inner: tuple[DecodedCall, ...], via: tuple[str, ...], has_failed: bool
) -> Acting:
    calls = tuple(_call(item, actor) for item in inner)
    rest = tuple(call for call in calls if not is_approval(call))
    ends = tuple(call for call in rest if call.target != WETH or _moves(call))
    return Acting(actor, calls, ends or rest or calls, via, has_failed)


def _moves(call: Call) -> bool:
    return call.function not in ("deposit", "withdraw") and not call.is_plain


def _call(item: DecodedCall, actor: str) -> Call:
    return Call(
        item.target or actor,
        item.function,
        values_of(item.arguments),
        item.value_wei,
        item.calldata == "0x",
        item.calls,
        item.signature,
    )
