"""A predicted record in, one line of JSON or a readable card out."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from rich.text import Text

from ethtune.ui.terminal import clean

_MOVEMENTS = ("sent", "received", "approved")
_PLAIN_KEYS = ("recipient", "spender", "actor", "fee_eth")
_TEXT_SHOWN_CHARACTERS = 200


def write_line(record: Mapping[str, Any]) -> None:
    """One JSONL row on stdout, at once."""
    sys.stdout.write(json.dumps(record, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def card(record: Mapping[str, Any]) -> Text:
    """What the transaction means, in a few lines; warnings where the answer is not to be trusted.

    0x5e…
      swap on uniswap_v3, success
      sent      0.5 ETH
      received  1000 LDO
    """
    text = Text(clean(str(record["hash"])), style="")
    text.stylize("bold")
    if not record["valid"]:
        shown = " ".join(str(record["text"]).split())[:_TEXT_SHOWN_CHARACTERS]
        text.append(clean(f"\n  no intent: {record['error']}"), style="not bold red")
        return text.append(clean(f"\n  text      {shown}"), style="not bold")
    text.append(clean(f"\n  {_headline(record)}"), style="not bold cyan")
    for key in _MOVEMENTS:
        for movement in record.get(key, ()):
            text.append(clean(f"\n  {key:9} {_movement(movement)}"), style="not bold")
    for key in _PLAIN_KEYS:
        if key in record:
            text.append(clean(f"\n  {key:9} {record[key]}"), style="not bold dim")
    if "ungrounded" in record:
        missing = ", ".join(map(str, record["ungrounded"]))
        text.append(clean(f"\n  not in the transaction: {missing}"), style="not bold yellow")
    return text


def _headline(record: Mapping[str, Any]) -> str:
    protocol = f" on {record['protocol']}" if "protocol" in record else ""
    via = f", via {' and '.join(record['via'])}" if "via" in record else ""
    return f"{record['action']}{protocol}{via}, {record['outcome']}"


def _movement(movement: Mapping[str, Any]) -> str:
    bound = {"min": "at least ", "max": "at most "}.get(movement.get("bound", ""), "")
    token_id = f" #{movement['token_id']}" if "token_id" in movement else ""
    amount = f"{movement['amount']} " if "amount" in movement else ""
    return f"{bound}{amount}{movement['asset']}{token_id}"
