"""Pictures of the curve."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from ethtune.core.errors import MachineError, RunError, UsageError
from ethtune.core.runstate import fold_all
from ethtune.services.snapshot import Snapshot
from ethtune.ui.curvefile import write_curve

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def snapshot(run_events):
    return Snapshot(Path("runs/a<b"), fold_all(run_events()))


def test_svg_has_both_curves_and_every_validation(snapshot, tmp_path):
    write_curve([snapshot], tmp_path / "curve.svg")
    root = ElementTree.parse(tmp_path / "curve.svg").getroot()
    lines = [
        (line.get("class"), line.get("points").split()) for line in root.iter(f"{SVG}polyline")
    ]
    (places,) = [places for name, places in lines if name == "single" and len(places) > 2]
    assert len(places) == 21
    assert [name for name, places in lines if name == "course"] == ["course", "course"]
    assert len(list(root.iter(f"{SVG}circle"))) == 4 + 1, "with the legend's"
    written = [text.text for text in root.iter(f"{SVG}text")]
    assert {"training loss", "its mean", "validation loss", "step"} <= set(written)
    assert all(0 <= float(x) <= 960 for place in places for x in place.split(","))
    assert root.find(f"{SVG}title").text.startswith("a<b: training, step 210 of 437")


def test_same_run_same_bytes(snapshot, tmp_path):
    for name in ("a.svg", "b.svg"):
        write_curve([snapshot], tmp_path / name)
    assert (tmp_path / "a.svg").read_bytes() == (tmp_path / "b.svg").read_bytes()


def test_png_without_pillow_says_so(snapshot, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(MachineError, match="Pillow") as caught:
        write_curve([snapshot], tmp_path / "curve.png")
    assert ".svg" in caught.value.hint


def test_png_with_pillow(snapshot, tmp_path):
    image = pytest.importorskip("PIL.Image")
    write_curve([snapshot], tmp_path / "curve.png")
    with image.open(tmp_path / "curve.png") as picture:
        assert picture.size == (1920, 960)
        assert len(picture.getcolors(1 << 20)) > 4


def test_what_cannot_be_drawn(snapshot, tmp_path):
    with pytest.raises(UsageError, match=r"ends in \.svg or \.png"):
        write_curve([snapshot], tmp_path / "curve.pdf")
    with pytest.raises(UsageError, match="one run"):
        write_curve([snapshot, snapshot], tmp_path / "curve.svg")
    with pytest.raises(RunError, match="fewer than two losses"):
        write_curve([Snapshot(Path("a"), fold_all([]))], tmp_path / "curve.svg")
