"""What a transaction means: the structured record ``ethtune.intent/1`` that the model emits.

Text form is compact JSON with a fixed key order; absent keys are omitted:

    {"action":"swap","protocol":"uniswap_v3","outcome":"success",
     "sent":[{"asset":"ETH","amount":"0.5"}],"received":[{"asset":"LDO","amount":"1000"}]}

``sent`` and ``received`` are net, from the actor's side, gas excluded. A failed transaction, like
one not yet signed, carries what it attempts. Amounts are exact decimal strings, never floats.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args

SCHEMA_NAME = "ethtune.intent/1"

Action = Literal[
    "transfer", "nft_transfer", "approve", "revoke_approval", "swap", "wrap", "unwrap",
    "add_liquidity", "remove_liquidity", "deposit", "withdraw", "borrow", "repay", "liquidate",
    "stake", "unstake", "claim", "bridge", "mint", "burn", "nft_trade", "name_service",
    "governance", "deploy_contract", "unknown",
]  # fmt: skip
Outcome = Literal["success", "failed", "unknown"]
Bound = Literal["min", "max"]

ACTIONS: tuple[str, ...] = get_args(Action)
OUTCOMES: tuple[str, ...] = get_args(Outcome)
BOUNDS: tuple[str, ...] = get_args(Bound)
UNLIMITED = "unlimited"

_AMOUNT = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]*[1-9])?").fullmatch
_DIGITS = re.compile(r"[0-9]+").fullmatch
_SLUG = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)*").fullmatch
_ADDRESS = re.compile(r"0x[0-9a-f]{40}").fullmatch
_MOVEMENT_KEYS = ("asset", "amount", "token_id", "bound")
_LIST_KEYS = ("sent", "received", "approved")
_KEYS = (
    "action", "protocol", "outcome", "via", "sent", "received", "approved",
    "recipient", "spender", "secondary",
)  # fmt: skip


_to_json = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
_ONE_OF_ACTIONS, _ONE_OF_OUTCOMES = f"one of {ACTIONS}", f"one of {OUTCOMES}"


class InvalidIntent(ValueError):
    """A text or a record is no intent; the message names the key and the value."""


def _require(condition: object, message: str) -> None:
    if not condition:
        raise InvalidIntent(message)


def _check(condition: object, key: str, value: object, expected: str) -> None:
    """Like ``_require`` for a field; millions of right ones need no message."""
    if not condition:
        raise InvalidIntent(f"{key} is {value!r}, expected {expected}")


@dataclass(frozen=True, slots=True)
class Movement:
    """An asset and how much of it. An unknown token's asset is its address, its amount raw."""

    asset: str
    amount: str | None = None
    token_id: str | None = None
    bound: Bound | None = None

    def __post_init__(self) -> None:
        asset, amount, token_id, bound = self.asset, self.amount, self.token_id, self.bound
        _check(isinstance(asset, str) and asset, "asset", asset, "a symbol or an address")
        if amount is not None:
            is_amount = isinstance(amount, str) and (amount == UNLIMITED or _AMOUNT(amount))
            _check(is_amount, "amount", amount, f'an exact decimal string or "{UNLIMITED}"')
        if token_id is not None:
            is_number = isinstance(token_id, str) and _DIGITS(token_id)
            _check(is_number, "token_id", token_id, "a string of digits")
        _require(amount is not None or token_id is not None, "neither amount nor token_id")
        _check(bound is None or bound in BOUNDS, "bound", bound, "min or max")

    def as_dict(self) -> dict[str, str]:
        """Keys in fixed order, absent ones omitted."""
        values = (self.asset, self.amount, self.token_id, self.bound)
        pairs = zip(_MOVEMENT_KEYS, values, strict=True)
        return {key: value for key, value in pairs if value is not None}


@dataclass(frozen=True, slots=True)
class Intent:
    """See the module text. ``via`` names wrappers, ``secondary`` further actions' effects."""

    action: Action
    protocol: str | None = None
    outcome: Outcome = "unknown"
    via: tuple[str, ...] = ()
    sent: tuple[Movement, ...] = ()
    received: tuple[Movement, ...] = ()
    approved: tuple[Movement, ...] = ()
    recipient: str | None = None
    spender: str | None = None
    secondary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _check(self.action in ACTIONS, "action", self.action, _ONE_OF_ACTIONS)
        slug = self.protocol
        is_slug = slug is None or (isinstance(slug, str) and _SLUG(slug))
        _check(is_slug, "protocol", slug, "a lower-case slug")
        _check(self.outcome in OUTCOMES, "outcome", self.outcome, _ONE_OF_OUTCOMES)
        for name, value in (("recipient", self.recipient), ("spender", self.spender)):
            is_address = value is None or (isinstance(value, str) and _ADDRESS(value))
            _check(is_address, name, value, "0x and 40 lower-case hex digits")

    def as_dict(self) -> dict[str, Any]:
        """Plain data in fixed key order; ``None`` and empty values omitted."""
        plain: dict[str, Any] = {}
        for key in _KEYS:
            value = getattr(self, key)
            if not value:
                continue
            if key in _LIST_KEYS:
                plain[key] = [movement.as_dict() for movement in value]
            else:
                plain[key] = list(value) if isinstance(value, tuple) else value
        return plain

    def to_json(self) -> str:
        """The text the model learns to emit: minified, ASCII-safe, same bytes for same intent."""
        return _to_json(self.as_dict())


def intent_from_dict(plain: object) -> Intent:
    """Check plain data and build the record. Raises InvalidIntent naming the first bad key."""
    _require(isinstance(plain, dict), f"expected a JSON object, found {type(plain).__name__}")
    assert isinstance(plain, dict)
    unknown = [key for key in plain if key not in _KEYS]
    _require(not unknown, f"unknown key {unknown[:1]}, expected only {list(_KEYS)}")
    _require("action" in plain, 'no key "action"')
    values: dict[str, Any] = dict(plain)
    for key in _LIST_KEYS:
        values[key] = tuple(_movement(key, item) for item in _list(plain, key))
    for key in ("via", "secondary"):
        items = _list(plain, key)
        _require(all(isinstance(item, str) for item in items), f"{key} is {items!r}")
        values[key] = tuple(items)
    return Intent(**values)


def parse_intent(text: str) -> Intent:
    """Read the text form strictly. Raises InvalidIntent for anything that is not exactly one."""
    try:
        plain = json.loads(text, object_pairs_hook=_object_without_repeats)
    except (ValueError, RecursionError) as error:
        raise InvalidIntent(f"not JSON: {error}") from None
    return intent_from_dict(plain)


def _object_without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    _require(len(plain) == len(pairs), "a key stands twice")
    return plain


def _list(plain: dict[str, Any], key: str) -> list[Any]:
    value = plain.get(key, [])
    _require(isinstance(value, list), f"{key} is {value!r}, expected a list")
    return list(value)


def _movement(key: str, item: object) -> Movement:
    _require(isinstance(item, dict), f"{key} holds {item!r}, expected an object")
    assert isinstance(item, dict)
    unknown = [name for name in item if name not in _MOVEMENT_KEYS]
    _require(not unknown, f"{key} has unknown key {unknown[:1]}")
    _require("asset" in item, f'{key} has an entry with no key "asset"')
    return Movement(**item)
