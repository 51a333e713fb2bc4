"""A folder, a count and a seed in, an export of synthetic mainnet-like traffic out."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ethtune.chain.sample.etl_files import COLUMNS, write_etl_files
from ethtune.chain.sample.generate import KINDS, generate
from ethtune.core.atomic import new_folder


@dataclass(frozen=True, slots=True)
class SampleReport:
    """What was written where; ``kinds`` counts transactions by what they were drawn as."""

    folder: Path
    files: tuple[str, ...]
    transactions: int
    kinds: dict[str, int]
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Plain data for ``--json``."""
        return {**asdict(self), "folder": str(self.folder), "files": list(self.files)}


def make_sample_data(
    output: Path,
    *,
    transactions: int = 2000,
    seed: int = 7,
) -> SampleReport:
    """Write ethereum-etl's CSV files; ``output`` appears complete or not at all.

    Raises RunError when ``output`` already holds something.
    """
    with new_folder(output) as staging:
        written = write_etl_files(staging, generate(transactions, seed))
        counts = Counter(sample.kind for sample in written)
    kinds = {kind: counts[kind] for kind in KINDS if counts[kind]}
    return SampleReport(output, tuple(COLUMNS), transactions, kinds, seed)
