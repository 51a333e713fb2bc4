"""What a folder's file system can do, and what keeps us from writing there."""

import os
import sys
from pathlib import Path

import pytest

from ethtune.device.places import place_facts


def test_a_good_folder_lacks_nothing_and_keeps_nothing_of_ours(tmp_path):
    seen = place_facts(tmp_path / "not" / "there" / "yet")
    assert (seen.problem, seen.lacks) == (None, ())
    assert seen.free_bytes
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_where_nothing_can_be_written():
    seen = place_facts(Path("/proc/ethtune"))
    assert seen.problem
    assert seen.kind == "proc"


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs a tmpfs")
def test_memory_is_no_disk():
    assert place_facts(Path("/dev/shm")).kind == "tmpfs"
