"""A described transaction and its intent in, one training row out, or the reason why not."""

from __future__ import annotations

import re
from typing import Any, Literal

from ethtune.core.described import DescribedTransaction
from ethtune.core.example import Example
from ethtune.core.intent import Intent
from ethtune.dataset.grounding import ungrounded
from ethtune.dataset.prompts import INSTRUCTION, PROMPT_VERSION, render

View = Literal["receipt", "signing"]
LabelSource = Literal["user", "rules"]

_UNGROUNDED_KIND = re.compile(r"not in the input: \w+")
_PARTICULARS = re.compile(r"(?<!\w)['\"\d].*", re.DOTALL)


class UngroundedLabel(ValueError):  # names the fact
    """The label says what the prompt does not bear out; a model would learn to invent."""


def make_example(
    described: DescribedTransaction, intent: Intent, *, view: View, label_source: LabelSource
) -> Example:
    """The row. Raises UngroundedLabel naming the first thing that the input does not hold."""
    text = render(described)
    missing = ungrounded(intent, text)
    if missing:
        raise UngroundedLabel(f"not in the input: {missing[0]}")
    transaction = described.transaction
    meta: dict[str, Any] = {
        "view": view,
        "prompt_version": PROMPT_VERSION,
        "label_source": label_source,
        "action": intent.action,
        "protocol": intent.protocol,
        "contract": transaction.to,
        "selector": transaction.selector,
        "block_number": transaction.block_number,
    }
    return Example(transaction.hash, INSTRUCTION, text, intent.to_json(), meta)


def reason_kind(reason: str) -> str:
    """A reason without its particulars, for counting: the first value and all behind it go."""
    kind = _UNGROUNDED_KIND.match(reason)
    return kind[0] if kind else _PARTICULARS.sub("…", reason)
