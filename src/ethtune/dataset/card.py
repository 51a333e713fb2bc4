"""The facts of a prepared dataset in, the README.md beside its rows and its charts out."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ethtune.dataset.charts import bar_chart
from ethtune.dataset.splits import SPLITS

CLASSES_CHART, LENGTHS_CHART = "classes.svg", "lengths.svg"
_LENGTHS = ("p50", "p90", "p99", "max", "sum")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f`|\ud800-\udfff]")


def dataset_card(manifest: Mapping[str, Any]) -> str:
    """Markdown; the same bytes for the same manifest."""
    parts = (_introduction, _classes, _lengths, _left_out, _rules)
    return "\n".join(line for part in parts for line in (*part(manifest), "")).rstrip("\n") + "\n"


def class_totals(manifest: Mapping[str, Any]) -> dict[str, int]:
    """Rows of each class over all splits, most frequent first."""
    totals: dict[str, int] = {}
    for split in SPLITS:
        for action, count in manifest["splits"][split]["actions"].items():
            totals[action] = totals.get(action, 0) + count
    return dict(sorted(totals.items(), key=lambda item: (-item[1], item[0])))


def charts(manifest: Mapping[str, Any]) -> dict[str, str]:
    """The card's pictures by file name."""
    bins: dict[tuple[int, int], int] = {}
    for lengths in manifest["lengths"]["splits"].values():
        for item in lengths["histogram"]:
            borders = item["from"], item["to"]
            bins[borders] = bins.get(borders, 0) + item["rows"]
    by_length = {f"{low:,} to {high:,}": bins[low, high] for low, high in sorted(bins)}
    unit = length_unit(manifest)
    return {
        CLASSES_CHART: bar_chart("Rows per class", class_totals(manifest), is_logarithmic=True),
        LENGTHS_CHART: bar_chart(f"Rows by length in {unit}, answer included", by_length),
    }


def length_unit(manifest: Mapping[str, Any]) -> str:
    """What lengths are counted in."""
    return "tokens" if manifest["lengths"]["tokenizer"] else "characters"


def _introduction(manifest: Mapping[str, Any]) -> Iterator[str]:
    options = manifest["options"]
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
    sources = (f"`{_UNPRINTABLE.sub('?', item['name'])}`" for item in manifest["sources"])
    yield f"- sources: {', '.join(sources)}"


def _classes(manifest: Mapping[str, Any]) -> Iterator[str]:
    splits, contracts = manifest["splits"], manifest["contracts"]
    yield "## Classes"
    yield ""
    yield f"![rows per class]({CLASSES_CHART})"
    yield ""
    yield "| action | " + " | ".join(SPLITS) + " | most frequent contract |"
    yield "|---|" + "---:|" * len(SPLITS) + "---|"
    for action in class_totals(manifest):
        counts = (f"{splits[split]['actions'].get(action, 0):,}" for split in SPLITS)
        most = contracts.get(action)
        share = f"`{most['contract']}` {most['share']:.0%}" if most else ""
        yield f"| {action} | " + " | ".join(counts) + f" | {share} |"
    sizes = " | ".join(f"{splits[split]['rows']:,}" for split in SPLITS)
    yield f"| **all** | {sizes} | |"
    if manifest["augmented"]:
        yield ""
        yield (
            f"Of the training rows {sum(manifest['augmented'].values()):,} are augmented: made of "
            "others with accounts and amounts replaced. Their `meta` names the origin."
        )


def _lengths(manifest: Mapping[str, Any]) -> Iterator[str]:
    tokenizer, splits = manifest["lengths"]["tokenizer"], manifest["lengths"]["splits"]
    yield "## Lengths"
    yield ""
    yield f"![rows by length]({LENGTHS_CHART})"
    yield ""
    yield f"| {length_unit(manifest)} | " + " | ".join(_LENGTHS) + " |"
    yield "|---|" + "---:|" * len(_LENGTHS)
    for split, lengths in splits.items():
        yield f"| {split} | " + " | ".join(f"{lengths[name]:,}" for name in _LENGTHS) + " |"
    yield ""
    if tokenizer:
        yield f"Prompt with chat template and answer, by the tokenizer of `{tokenizer}`."
    else:
        yield "Prompt and answer; `ethtune prepare --base-model MODEL` counts tokens instead."


def _left_out(manifest: Mapping[str, Any]) -> Iterator[str]:
    yield "## Left out"
    yield ""
    yield (
        f"Of {manifest['read']:,} records {manifest['kept']:,} were kept and "
        f"{manifest['duplicates']:,} were duplicates."
    )
    for name in ("rejected", "limited"):
        reasons = manifest[name]
        if reasons:
            yield ""
            yield f"| {name} because | records |"
            yield "|---|---:|"
            for reason, count in reasons.items():
                yield f"| {_UNPRINTABLE.sub('?', reason)} | {count:,} |"
    if manifest["rejected"]:
        yield ""
        yield "`rejected.jsonl` names each rejected record."


def _rules(manifest: Mapping[str, Any]) -> Iterator[str]:
    del manifest
    yield (
        "Near-duplicates (same contract, function and shape) never stand in two splits. Labels "
        "of origin `rules` come from deterministic rules; they name what is certain and say "
        "`unknown` elsewhere."
    )


def _ratios(options: Mapping[str, Any]) -> str:
    return " / ".join(f"{ratio:g}" for ratio in options["split"])
