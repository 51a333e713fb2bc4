"""Space that is held, and given back."""

from __future__ import annotations

import os
import resource

import pytest

from ethtune.model.reserve import MARGIN, Reserve


def test_blocks_are_taken_and_given_back(tmp_path):
    path = tmp_path / ".reserve"
    reserve = Reserve(path)
    reserve.hold(1_000_000)
    assert path.stat().st_size == int(1_000_000 * MARGIN)
    assert path.stat().st_blocks * 512 >= 1_000_000
    reserve.hold(2_000_000)
    assert path.stat().st_size == int(2_000_000 * MARGIN)
    reserve.release()
    reserve.release()
    assert os.listdir(tmp_path) == []


def test_what_is_not_there_is_refused_and_leaves_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
    try:
        with pytest.raises(OSError, match=r".+"):
            Reserve(tmp_path / ".reserve").hold(1_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(tmp_path) == []
