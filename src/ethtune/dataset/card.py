"""The facts of a prepared dataset in, the README.md that lies beside its rows out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ethtune.dataset.splits import SPLITS


def dataset_card(manifest: Mapping[str, Any]) -> str:
    """Markdown; the same bytes for the same manifest."""
    return "\n".join(_lines(manifest)) + "\n"


def _lines(manifest: Mapping[str, Any]) -> Iterator[str]:
    splits, options = manifest["splits"], manifest["options"]
    yield "# Ethereum transactions and their intents"
    yield ""
    yield (
        f"{manifest['kept']:,} rows for instruction tuning, made by ethtune {manifest['ethtune']} "
        f"from {manifest['read']:,} transactions. Each row holds `instruction`, `input` (the "
        "transaction as minified JSON), `output` (its intent, `ethtune.intent/1`), `id` (the "
        "transaction hash) and `meta`."
    )
    yield ""
    yield f"- view: {options['view']}; prompt version {manifest['prompt_version']}"
    yield f"- splits by {options['order']}, {_ratios(options)}, seed {options['seed']}"
    labels = ", ".join(f"{count:,} from {name}" for name, count in manifest["labels"].items())
    yield f"- labels: {labels or 'none'}"
    yield f"- sources: {', '.join(source['name'] for source in manifest['sources'])}"
    yield ""
    yield "| action | " + " | ".join(SPLITS) + " |"
    yield "|---|" + "---:|" * len(SPLITS)
    actions = sorted({action for split in SPLITS for action in splits[split]["actions"]})
    for action in actions:
        counts = (splits[split]["actions"].get(action, 0) for split in SPLITS)
        yield f"| {action} | " + " | ".join(f"{count:,}" for count in counts) + " |"
    yield "| **all** | " + " | ".join(f"{splits[split]['rows']:,}" for split in SPLITS) + " |"
    yield ""
    yield (
        f"Left out: {sum(manifest['rejected'].values()):,} rejected (`rejected.jsonl` says why), "
        f"{manifest['duplicates']:,} duplicates, {manifest['limited']:,} beyond the class limit."
    )
    yield ""
    yield (
        "Near-duplicates (same contract, function and shape) never stand in two splits. Labels "
        "of origin `rules` come from deterministic rules; they name what is certain and say "
        "`unknown` elsewhere."
    )


def _ratios(options: Mapping[str, Any]) -> str:
    return " / ".join(f"{ratio:g}" for ratio in options["split"])
