"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of real mainnet transactions: ETHTUNE_REAL_DATA, else ../shared/data."""
    folder = Path(os.environ.get("ETHTUNE_REAL_DATA", ROOT.parent / "shared" / "data"))
    if not (folder / "mainnet_receipts.jsonl.gz").is_file():
        pytest.skip(f"no real transactions at {folder}; set ETHTUNE_REAL_DATA to their folder")
    return folder
