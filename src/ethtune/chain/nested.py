"""A call in, the calls packed into its arguments out, at any depth up to a bound.

Batches, routers and accounts carry calls as bytes. What carries what is told by the name of the
function and of its arguments; bytes that are no such call stay bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from ethtune.chain.signatures import Signature, commands, functions
from ethtune.core.described import Argument, DecodedCall, Value
from ethtune.core.packedcalls import unpack_calls

CALLS_MAX = 256  # of one transaction, at all depths
_DEPTH_MAX = 6
_COMMAND_MASK = 0x3F  # the top bit allows a command to fail, the next is reserved
_NEWER = "+"  # behind the code of a command in a later layout
_LIQUIDITY_PLAN = "v4"  # Uniswap V4's list of actions, in the table of commands
_MODE_BATCH, _MODE_SINGLE = "0x01", "0x00"  # first byte of an ERC-7579 execution mode
_ADDRESS_END, _SINGLE_HEAD = 42, 106  # digits of a packed single call: address, value, data

Values = Mapping[str, Value]


class Packed(NamedTuple):
    """Bytes that are a call: to whom, with how much ether; ``command`` where it has no selector."""

    data: str
    target: str | None = None
    value_wei: int = 0
    command: str | None = None


def read_call(calldata: str) -> tuple[Signature | None, tuple[Argument, ...]]:
    """The known function and its arguments, empty where the data does not fit."""
    signature = functions().get(calldata[:10])
    return signature, signature.decode(calldata[10:]) if signature else ()


def _read_command(code: str, data: str) -> tuple[Signature | None, tuple[Argument, ...]]:
    """The command in the layout that fits: newer routers add fields to some."""
    for key in (code, code + _NEWER):
        signature = commands().get(key)
        arguments = signature.decode(data[2:]) if signature else ()
        if arguments:
            return signature, arguments
    return None, ()


def nested_calls(
    function: str, arguments: tuple[Argument, ...], target: str | None
) -> tuple[DecodedCall, ...]:
    """Every call in the arguments of ``function`` of ``target``, with those in it."""
    return _Opener().open(function, arguments, target, 0)


class _Opener:
    """Counts what it opens, for data may hold more calls than anyone would read."""

    def __init__(self) -> None:
        self._budget = CALLS_MAX

    def open(
        self, function: str, arguments: tuple[Argument, ...], target: str | None, depth: int
    ) -> tuple[DecodedCall, ...]:
        carriers = _CARRIERS.get(function)
        if carriers is None or not arguments or depth >= _DEPTH_MAX:
            return ()
        values = {argument.name: argument.value for argument in arguments}
        for names, read in carriers:
            if names <= values.keys():
                found = tuple(read(values))[: self._budget]
                self._budget -= len(found)
                return tuple(self._decode(packed, target, depth) for packed in found)
        return ()

    def _decode(self, packed: Packed, caller: str | None, depth: int) -> DecodedCall:
        if packed.command is not None:
            signature, arguments = _read_command(packed.command, packed.data)
        else:
            signature, arguments = read_call(packed.data)
        if signature is None:
            return DecodedCall(None, (), packed.target, packed.value_wei, calldata=packed.data)
        inner = self.open(signature.name, arguments, packed.target or caller, depth + 1)
        return DecodedCall(
            signature.name, arguments, packed.target, packed.value_wei, signature.text, inner,
            packed.data,
        )  # fmt: skip


def _multicall(values: Values) -> Iterator[Packed]:
    return (Packed(str(data)) for data in values["data"])


def _commands(values: Values) -> Iterator[Packed]:
    codes = bytes.fromhex(str(values["commands"])[2:])
    for code, data in zip(codes, values["inputs"], strict=False):
        yield Packed(str(data), command=f"{code & _COMMAND_MASK:02x}")


def _plan(values: Values) -> Iterator[Packed]:
    codes = bytes.fromhex(str(values["actions"])[2:])
    for code, data in zip(codes, values["params"], strict=False):
        yield Packed(str(data), command=f"{_LIQUIDITY_PLAN}.{code:02x}")


def _unlock(values: Values) -> Iterator[Packed]:
    yield Packed(str(values["unlockData"]), command=_LIQUIDITY_PLAN)


def _batch(values: Values) -> Iterator[Packed]:
    for call in unpack_calls(str(values["transactions"])):
        yield Packed(call.data, call.to, call.value_wei)


def _operations(values: Values) -> Iterator[Packed]:
    for operation in values["ops"]:
        yield Packed(str(operation[3]), str(operation[0]))


def _single(target: str, data: str, value: str | None = None) -> Callable[[Values], list[Packed]]:
    def read(values: Values) -> list[Packed]:
        value_wei = int(str(values[value])) if value else 0
        return [Packed(str(values[data]), str(values[target]), value_wei)]

    return read


def _structs(name: str) -> Callable[[Values], list[Packed]]:
    """Items of target, then perhaps value or flag, and data in the end."""

    def read(values: Values) -> list[Packed]:
        return [_struct(item) for item in values[name]]

    return read


def _struct(item: Sequence[Value]) -> Packed:
    middle = str(item[1])
    has_value = len(item) == len(("target", "value", "data")) and middle.isdecimal()
    return Packed(str(item[-1]), str(item[0]), int(middle) if has_value else 0)


def _columns(values: Values) -> Iterator[Packed]:
    amounts = values.get("value") or ("0",) * len(values["dest"])
    for target, amount, data in zip(values["dest"], amounts, values["func"], strict=False):
        yield Packed(str(data), str(target), int(str(amount)))


def _modular(values: Values) -> Iterator[Packed]:
    """ERC-7579: one call packed tightly, or a list as the ABI writes it."""
    mode, data = str(values["mode"]), str(values["executionCalldata"])
    if mode.startswith(_MODE_BATCH):
        yield Packed(data, command="executions")
    elif mode.startswith(_MODE_SINGLE) and len(data) >= _SINGLE_HEAD:
        value_wei = int(data[_ADDRESS_END:_SINGLE_HEAD], 16)
        yield Packed("0x" + data[_SINGLE_HEAD:], data[:_ADDRESS_END], value_wei)


_Reader = Callable[[Values], "Iterator[Packed] | list[Packed]"]


def _carrier(*names: str, read: _Reader) -> tuple[frozenset[str], _Reader]:
    return frozenset(names), read


_EXECUTIONS = _carrier("calls", read=_structs("calls"))
_CARRIERS: Mapping[str, tuple[tuple[frozenset[str], _Reader], ...]] = {
    "multicall": (_carrier("data", read=_multicall),),
    "execute": (
        _carrier("commands", "inputs", read=_commands),
        _carrier("mode", "executionCalldata", read=_modular),
        _carrier("dest", "value", "func", read=_single("dest", "func", "value")),
        _carrier("target", "data", read=_single("target", "data")),
        _carrier("minAmountOut", "actions", read=lambda v: [Packed(str(a)) for a in v["actions"]]),
    ),
    "execute_ncC": (_carrier("dest", "func", read=_single("dest", "func", "value")),),
    "execute4337Op": (_carrier("dest", "func", read=_single("dest", "func", "value")),),
    "execute4337Ops": (_EXECUTIONS,),
    "executeBatch": (_EXECUTIONS, _carrier("dest", "func", read=_columns)),
    "executeBatch_y6U": (_carrier("dest", "func", read=_columns),),
    "executions": (_EXECUTIONS,),
    "executeUserOp": (_carrier("to", "data", read=_single("to", "data", "value")),),
    "executeUserOpWithErrorString": (_carrier("to", "data", read=_single("to", "data", "value")),),
    "execTransaction": (_carrier("to", "data", read=_single("to", "data", "value")),),
    "exec": (_carrier("target", "data", read=_single("target", "data")),),
    "multiSend": (_carrier("transactions", read=_batch),),
    "multiSendCallOnly": (_carrier("transactions", read=_batch),),
    "handleOps": (_carrier("ops", read=_operations),),
    "aggregate": (_EXECUTIONS,),
    "tryAggregate": (_EXECUTIONS,),
    "aggregate3": (_EXECUTIONS,),
    "modifyLiquidities": (_carrier("unlockData", read=_unlock),),
    "modifyLiquiditiesWithoutUnlock": (_carrier("actions", "params", read=_plan),),
    "V4_SWAP": (_carrier("actions", "params", read=_plan),),
    "V4_ACTIONS": (_carrier("actions", "params", read=_plan),),
    "EXECUTE_SUB_PLAN": (_carrier("commands", "inputs", read=_commands),),
}
