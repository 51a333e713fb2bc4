"""Rows that already say what a transaction means in, ``Labelled`` out.

They come from the fine-tuning guide's own tools: decoded.json (one decoder's fields), decoded.csv
(display columns: "USDC (0xa0b8…)", "1000.0 → 0.5", a value that is an amount, not wei), and lists
of flat intents (assets and amounts). Raw amounts with their decimals win over displayed ones;
displayed ones keep the digits they are written with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from ethtune.chain.sources.fields import integer, transaction_from
from ethtune.chain.sources.names import field_names
from ethtune.chain.sources.records import Labelled, Numbered, Rejected
from ethtune.core.intent import Intent, InvalidIntent, Movement, Outcome
from ethtune.core.transaction import InvalidTransaction
from ethtune.core.units import scale_amount, unscale_amount

_OUTCOMES: dict[str, Outcome] = {
    "success": "success", "1": "success", "true": "success",
    "failed": "failed", "0": "failed", "false": "failed",
}  # fmt: skip
_STATUS = {"success": 1, "failed": 0, "unknown": None}
_WEI_DECIMALS = 18
_MAX_DECIMALS = 255  # decimals() is a uint8
_RECEIVING = frozenset({"claim", "mint", "withdraw", "borrow", "unstake"})
_APPROVING = frozenset({"approve", "revoke_approval"})
_Movements = tuple[Movement, ...]

_ARROW = re.compile(r"\s*(?:→|->)\s*")
_SYMBOL_AND_ADDRESS = re.compile(r"(.+?) \((0x[0-9a-fA-F]{40})\)").fullmatch
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}").fullmatch
_UNNAMED = frozenset({"", "UNKNOWN", "unknown", "None", "nan"})


def labelled_from(row: Numbered) -> Labelled | Rejected:
    """Transaction and intent of one decoded row, or why it cannot be used."""
    fields = {key: None if value == "" else value for key, value in row.fields.items()}
    try:
        intent = _intent(fields)
        has_calldata = fields.get("input") is not None or fields.get("protocol") == "ethereum"
        return Labelled(
            transaction_from(_transaction_fields(fields, intent), field_names(fields)),
            intent,
            has_calldata,
        )
    except (InvalidTransaction, InvalidIntent) as error:
        return Rejected.of(row.where, error, row.fields)


def _transaction_fields(fields: Mapping[str, Any], intent: Intent) -> dict[str, Any]:
    return {
        **fields,
        "to": fields.get("to"),
        "value": _value_wei(fields, intent),
        "input": fields.get("input") or "0x",
        "status": _STATUS[intent.outcome],
        "block_number": fields.get("block_number", fields.get("block")),
        "block_timestamp": fields.get("block_timestamp", fields.get("timestamp")),
    }


def _value_wei(fields: Mapping[str, Any], intent: Intent) -> int:
    """Wei sent with the transaction; 0 where the row only tells of tokens."""
    if intent.protocol == "ethereum" and intent.sent[:1] and intent.sent[0].asset == "ETH":
        try:
            return unscale_amount(str(intent.sent[0].amount), _WEI_DECIMALS)
        except ValueError as error:
            raise InvalidTransaction(f"value: {error}") from None
    if "decoded_action" in fields:  # there "value" is an amount for display
        return 0
    return integer("value", fields.get("value")) or 0


def _intent(fields: Mapping[str, Any]) -> Intent:
    action = str(fields.get("action") or fields.get("decoded_action")).lower()
    protocol = fields.get("protocol")
    movements = tuple(
        _swap_movements(fields) or _single_movement(fields) or _listed_movements(fields)
    )
    is_transfer = action == "transfer" and len(movements) == 1
    sent, received, approved = _sides(action, movements)
    return Intent(
        action=action,  # type: ignore[arg-type]  # the record checks it
        protocol=str(protocol).lower() if protocol else None,
        outcome=_OUTCOMES.get(str(fields.get("status", fields.get("outcome"))).lower(), "unknown"),
        recipient=str(fields["to"]).lower() if is_transfer and fields.get("to") else None,
        sent=sent,
        received=received,
        approved=approved,
    )


def _sides(action: str, movements: _Movements) -> tuple[_Movements, _Movements, _Movements]:
    """What is sent, received and approved; two movements are what goes and what comes."""
    if action in _APPROVING:
        return (), (), movements
    if len(movements) > 2:
        raise InvalidIntent(f"{len(movements)} assets: which are sent and which received?")
    if len(movements) == 2:
        return movements[:1], movements[1:], ()
    return ((), movements, ()) if action in _RECEIVING else (movements, (), ())


def _swap_movements(fields: Mapping[str, Any]) -> list[Movement]:
    """From token_in, amount_in and their _symbol, _formatted and _decimals, as decoders write."""
    if fields.get("token_in") is None or fields.get("amount_in") is None:
        return []
    is_display = "decoded_action" in fields  # its amounts are already divided by the decimals
    displayed = _ARROW.split(str(fields.get("assets") or ""))
    symbols = displayed if len(displayed) == 2 else ["", ""]
    return [
        _movement(
            fields.get(f"token_{side}_symbol") or symbol,
            fields.get(f"token_{side}"),
            raw=None if is_display else fields.get(f"amount_{side}"),
            decimals=fields.get(f"token_{side}_decimals"),
            displayed=fields.get(f"amount_{side}" if is_display else f"amount_{side}_formatted"),
        )
        for side, symbol in zip(("in", "out"), symbols, strict=True)
    ]


def _single_movement(fields: Mapping[str, Any]) -> list[Movement]:
    """From amount_wei or amount_eth, or from token_address, amount and decimals."""
    if fields.get("amount_wei") is not None or fields.get("amount_eth") is not None:
        return [
            _movement(
                "ETH",
                None,
                raw=fields.get("amount_wei"),
                decimals=_WEI_DECIMALS,
                displayed=fields.get("amount_eth"),
            )
        ]
    if fields.get("token_address") is None or fields.get("amount") is None:
        return []
    return [
        _movement(
            fields.get("token_symbol"),
            fields.get("token_address"),
            raw=fields.get("amount"),
            decimals=fields.get("token_decimals", fields.get("decimals")),
            displayed=fields.get("amount_formatted"),
        )
    ]


def _listed_movements(fields: Mapping[str, Any]) -> list[Movement]:
    """From assets and amounts, lists or joined by an arrow."""
    assets, amounts = _listed(fields.get("assets")), _listed(fields.get("amounts"))
    if len(assets) != len(amounts):
        raise InvalidIntent(f"{len(assets)} assets and {len(amounts)} amounts")
    movements = []
    for asset, amount in zip(assets, amounts, strict=True):
        named = _SYMBOL_AND_ADDRESS(asset)
        symbol, address = named.groups() if named else (asset, None)
        movements.append(_movement(symbol, address, displayed=amount))
    return movements


def _listed(value: Any) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [] if value is None else _ARROW.split(str(value))


def _movement(
    symbol: Any,
    address: Any,
    *,
    raw: Any = None,
    decimals: Any = None,
    displayed: Any = None,
) -> Movement:
    """Named and scaled where the row allows it; otherwise the token's address and raw amount."""
    units, scaled = _amounts(raw, decimals, displayed)
    name = str(symbol or "")
    if not name.isprintable():
        raise InvalidIntent(f"asset is {name!r}, which cannot be printed")
    if name not in _UNNAMED and scaled is not None:
        return Movement(name, scaled)
    token = str(address or symbol or "")
    if not _ADDRESS(token):
        raise InvalidIntent(f"asset is {token!r} with a raw amount, but no decimals are given")
    return Movement(token.lower(), units if units is not None else scaled)


def _amounts(raw: Any, decimals: Any, displayed: Any) -> tuple[str | None, str | None]:
    """The amount in the token's smallest unit and the one scaled by its decimals, exact."""
    try:
        units, places = integer("amount", raw), integer("decimals", decimals)
    except InvalidTransaction as error:
        raise InvalidIntent(str(error)) from None
    if units is None and displayed is None:
        raise InvalidIntent("no amount")
    scaled = None if displayed is None else _plain(_decimal(displayed))
    if units is not None and places is not None:
        if units < 0 or not 0 <= places <= _MAX_DECIMALS:
            raise InvalidIntent(f"amount is {units} with {places} decimals")
        scaled = scale_amount(units, places)
    return None if units is None else str(units), scaled


def _decimal(value: Any) -> Decimal:
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise InvalidIntent(f"amount is {str(value)[:60]!r}, expected a number") from None
    if not number.is_finite() or number < 0 or abs(number.adjusted()) > 100:
        raise InvalidIntent(f"amount is {str(value)[:60]!r}, expected a number of tokens")
    return number


def _plain(number: Decimal) -> str:
    """1.0 is "1", 1E-5 is "0.00001", 1E+3 is "1000"."""
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text
