"""Runs in a child of ``ethtune doctor``: the base model's tokenizer, and what it makes of the rows.

Argument: a JSON object with ``model`` (a folder), ``dataset`` (a folder or null),
``max_seq_length``, ``num_rows``, ``trust_remote_code``. A tokenizer may bring code of its own, and
wrong files make loaders hang: hence a child.
"""

from __future__ import annotations

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Any


def tell(stage: str, **facts: Any) -> None:
    """Write one line; stdout is the way to the parent."""
    sys.stdout.write("\n" + json.dumps({"stage": stage, **facts}) + "\n")


def fault(error: BaseException) -> str:
    """First line of what went wrong."""
    message = getattr(error, "message", None) or f"{type(error).__name__}: {error}"
    return (str(message).strip().splitlines() or [""])[0][:300]


def look_at_tokenizer(asked: dict[str, Any]) -> Any:
    """Load it, render a turn, find the token that generation stops at."""
    from ethtune.model.basemodels import BaseModel
    from ethtune.model.tokenizer import PromptTokenizer, load_tokenizer

    base = BaseModel(asked["model"], asked["model"], "on disk")
    loaded = load_tokenizer(base, cache_dir=None, trust_remote_code=asked["trust_remote_code"])
    tokenizer = PromptTokenizer(loaded)
    length = len(tokenizer.encode_prompt("What does it do?"))
    tell(
        "tokenizer",
        state="done",
        length=length,
        end_token=loaded.convert_ids_to_tokens(tokenizer.end_id),
        has_chat_template=loaded.chat_template is not None,
    )
    return tokenizer


def look_at_rows(asked: dict[str, Any], tokenizer: Any) -> None:
    """How many of the first rows would be trained on, and with how many labels."""
    from ethtune.dataset.reading import read_split
    from ethtune.dataset.tokens import TooLong, tokenize

    examples = islice(read_split(Path(asked["dataset"]), "train"), asked["num_rows"])
    too_long, labels, longest = 0, [], 0
    for row in tokenize(examples, tokenizer, asked["max_seq_length"]):
        if isinstance(row, TooLong):
            too_long += 1
            longest = max(longest, row.length)
        else:
            labels.append(row.num_labels)
            longest = max(longest, len(row.input_ids))
    tell(
        "rows", state="done", num_rows=too_long + len(labels), num_too_long=too_long,
        num_labels=sum(labels), longest=longest,
    )  # fmt: skip


def main(asked: dict[str, Any]) -> None:
    """The tokenizer, then the rows where there is a dataset."""
    tokenizer = None
    for stage in ("tokenizer", "rows") if asked["dataset"] else ("tokenizer",):
        tell(stage, state="begun")
        try:
            if stage == "tokenizer":
                tokenizer = look_at_tokenizer(asked)
            else:
                look_at_rows(asked, tokenizer)
        except Exception as error:  # noqa: BLE001  # any fault of a foreign package is a finding
            tell(stage, state="failed", error=fault(error))
            break
    tell("end", state="done")


main(json.loads(sys.argv[1]))
