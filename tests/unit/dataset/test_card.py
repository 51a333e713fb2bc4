"""The dataset card says what the manifest says; its charts are pictures."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

from ethtune.dataset.card import charts, class_totals, dataset_card
from ethtune.dataset.charts import bar_chart
from ethtune.dataset.rowlengths import Distribution


def manifest(**changes) -> dict:
    lengths = Distribution.of([100, 200, 3000]).as_dict()
    plain = {
        "ethtune": "1.0", "prompt_version": 1, "read": 1234, "kept": 4, "duplicates": 5,
        "rejected": {"value is …": 2}, "limited": {"one | contract": 3}, "labels": {"rules": 4},
        "augmented": {}, "sources": [{"name": "evil`|\n.csv"}],
        "contracts": {"wrap": {"contract": "0xc02a", "share": 0.98}},
        "splits": {
            "train": {"rows": 3, "actions": {"swap": 2, "wrap": 1}},
            "validation": {"rows": 1, "actions": {"wrap": 1}},
            "test": {"rows": 0, "actions": {}},
        },
        "lengths": {"tokenizer": None, "splits": {"train": lengths}},
        "options": {"view": "receipt", "order": "time", "split": [0.7, 0.3, 0], "seed": 1},
    }  # fmt: skip
    return plain | changes


def test_the_card_holds_the_counts() -> None:
    text = dataset_card(manifest())
    assert "| wrap | 1 | 1 | 0 | `0xc02a` 98% |" in text
    assert "| **all** | 3 | 1 | 0 | |" in text
    assert "| train | 200 | 3,000 | 3,000 | 3,000 | 3,300 |" in text
    assert "| value is … | 2 |" in text
    assert "| one ? contract | 3 |" in text
    assert "sources: `evil???.csv`" in text
    assert "augmented" not in text
    assert text == dataset_card(manifest())


def test_the_card_says_what_lengths_are_counted_in() -> None:
    lengths = manifest()["lengths"] | {"tokenizer": "org/model"}
    assert "| characters | p50" in dataset_card(manifest())
    assert "| tokens | p50" in dataset_card(manifest(lengths=lengths))
    assert "org/model" in dataset_card(manifest(lengths=lengths))


def test_augmented_rows_are_told_apart() -> None:
    assert "Of the training rows 1,500 are augmented" in dataset_card(
        manifest(augmented={"swap": 1500})
    )


def test_classes_come_by_frequency_then_name() -> None:
    assert list(class_totals(manifest()).items()) == [("swap", 2), ("wrap", 2)]


def test_every_count_stands_in_a_chart() -> None:
    drawn = charts(manifest())
    assert sorted(drawn) == ["classes.svg", "lengths.svg"]
    texts = [
        [element.text for element in ElementTree.fromstring(svg).iter() if element.text]
        for svg in drawn.values()
    ]
    assert {"swap", "wrap", "2"} <= set(texts[0])
    assert {"65 to 128", "2,049 to 4,096", "1"} <= set(texts[1])


@pytest.mark.parametrize("counts", [{}, {"a": 0}, {"a<b&c": 10**9}])
@pytest.mark.parametrize("is_logarithmic", [True, False])
def test_any_counts_make_a_picture(counts, is_logarithmic) -> None:
    root = ElementTree.fromstring(bar_chart("x", counts, is_logarithmic=is_logarithmic))
    widths = [float(bar.get("width")) for bar in root.iter() if bar.tag.endswith("rect")]
    assert len(widths) == len(counts)
    assert all(1 <= width <= 720 for width in widths)
