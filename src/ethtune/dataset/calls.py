"""A decoded call in, its function and arguments as JSON out, with the calls in its bytes.

    ["execute 0xb61d27f6","#1","0",["transfer","#2","5 USDC"]]

Bytes stand as a call only where the call gives exactly these bytes back. A packed batch is
``["calls",[operation,to,value,data],…]``, a single packed call ``["call",to,value,data]``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache

from eth_hash.auto import keccak

from ethtune.core.abi import Parameter
from ethtune.core.described import Argument, DecodedCall, Token
from ethtune.core.packedcalls import PackedCall, pack_calls, unpack_calls
from ethtune.core.units import scale_amount
from ethtune.dataset.addresses import NATIVE, AddressNames
from ethtune.dataset.amounts import AmountUnits
from ethtune.dataset.encoding import encode_arguments, parameters_of
from ethtune.dataset.values import BATCH, SINGLE, Json, ValueWriter

# Known functions with overloads whose arguments may read the same, an empty array for one. Of
# overloads that have their selectors here, one may go without.
OVERLOADED_ALIKE = frozenset({
    "deposit", "exchange", "handleOps", "remove_liquidity_one_coin", "swap", "unoswap",
    "execute 0x1cff79cd", "execute 0xe9ae5c53", "add_liquidity 0xb72df5de", "claim 0x93c2f3fe",
    "claim 0xfabed412", "claimAndDelegate 0x4a3067b9", "draw 0x440f19ba", "draw 0x4a03707c",
    "lock 0xb3b77a51", "lock 0xb5346af5", "mint 0xdb7fd408", "unlock 0x06fa4565",
    "withdraw 0xaa9224cd",
})  # fmt: skip

_SELECTOR = 10  # 0x and its digits
_BATCHES = ("multiSend", "multiSendCallOnly")


def call_head(name: str, selector: str) -> str:
    """The function's name, its selector beside it where the name does not tell it."""
    full = f"{name} {selector}"
    return full if name in OVERLOADED_ALIKE or full in OVERLOADED_ALIKE else name


@cache
def selector_without_arguments(name: str) -> str:
    """Of the function of that name which takes nothing."""
    return "0x" + keccak(f"{name}()".encode())[:4].hex()


class CallWriter:
    """Writes the calls of one transaction."""

    def __init__(self, names: AddressNames, tokens: Mapping[str, Token]) -> None:
        self._names = names
        self._tokens = tokens

    def arguments(
        self, call: DecodedCall, parameters: Sequence[Parameter], contract: str | None
    ) -> list[Json]:
        """Arguments of a call to ``contract``, with the calls in them."""
        units = AmountUnits(call.function or "", call.arguments, contract, self._tokens)
        inner = _InnerCalls(self, call, contract)
        writer = ValueWriter(self._names, units, inner if call.calls else None)
        inner.writer = writer
        return [writer.write(*pair) for pair in _with_members(parameters, call.arguments)]

    def named(self, call: DecodedCall, contract: str | None) -> Json | None:
        """Function and arguments; None unless they give exactly the bytes back."""
        if call.function is None:
            return None
        selector = call.calldata[:_SELECTOR]
        if not call.arguments:
            is_told = call.calldata == selector_without_arguments(call.function)
            return [call.function] if is_told else None
        parameters = parameters_of(call.signature, call.arguments)
        encoded = encode_arguments(parameters, call.arguments)
        if encoded not in (call.calldata[2:], call.calldata[_SELECTOR:]):
            return None
        arguments = self.arguments(call, parameters, call.target or contract)
        return [call_head(call.function, selector), *arguments]

    def packed(self, writer: ValueWriter, call: PackedCall) -> list[Json]:
        """To, value and data of a packed call."""
        wei = call.value_wei
        value = f"{scale_amount(wei, NATIVE.decimals or 0)} {NATIVE.symbol}" if wei else "0"
        write = self._names.write_account if call.data == "0x" else self._names.write
        return [write(call.to), value, writer.write(Argument("", "bytes", call.data))]


class _InnerCalls:
    """The calls in the bytes of one call, each written where its bytes stand."""

    writer: ValueWriter

    def __init__(self, calls: CallWriter, call: DecodedCall, contract: str | None) -> None:
        self._calls = calls
        self._call = call
        self._contract = contract
        self._waiting: dict[str, list[DecodedCall]] = {}
        for inner in call.calls:
            self._waiting.setdefault(inner.calldata, []).append(inner)

    def write(self, data: str) -> Json | None:
        """The call that ``data`` is, or the packed ones; None for other bytes."""
        same = self._waiting.get(data)
        if same:  # equal bytes may go to several contracts, in this order
            return self._calls.named(same.pop(0) if len(same) > 1 else same[0], self._contract)
        return self._batch(data) or self._single(data)

    def is_called(self, address: str) -> bool:
        """Whether one of them, with calldata, goes to this contract."""
        return any(call.target == address and call.calldata != "0x" for call in self._call.calls)

    def _batch(self, data: str) -> Json | None:
        if self._call.function not in _BATCHES:
            return None
        calls = unpack_calls(data)
        if len(calls) != len(self._call.calls) or "0x" + pack_calls(calls).hex() != data:
            return None
        items = [[str(call.operation), *self._calls.packed(self.writer, call)] for call in calls]
        return [BATCH, *items]

    def _single(self, data: str) -> Json | None:
        if len(self._call.calls) != 1:
            return None
        inner = self._call.calls[0]
        call = PackedCall(0, inner.target or "", inner.value_wei, inner.calldata)
        if data != f"{call.to}{call.value_wei:064x}{call.data[2:]}":
            return None
        return [SINGLE, *self._calls.packed(self.writer, call)]


def _with_members(
    parameters: Sequence[Parameter], arguments: Sequence[Argument]
) -> Iterator[tuple[Argument, Sequence[Parameter]]]:
    """Each argument with the fields of the structs in it."""
    listed = (item for parameter in parameters for item in parameter.opened)
    for argument, parameter in zip(arguments, listed, strict=True):
        yield argument, parameter.members
