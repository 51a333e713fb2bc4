"""How exports become a dataset: what ``ethtune prepare`` can be told, checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ethtune.core.errors import UsageError
from ethtune.dataset.examples import View
from ethtune.dataset.splits import Order

COPIES_MAX = 20  # of one row


@dataclass(frozen=True, slots=True)
class PrepareOptions:
    """How exports become rows.

    ``tokens`` are token lists beyond those beside the exports; ``labels`` the user's intents by
    hash, which win over the rules; ``limit`` stops reading after so many records.

    Balance: ``max_contract_share`` of the rows of one action, ``max_alike`` near-identical rows,
    ``max_per_class`` rows of one action; actions below ``min_per_class`` are left out or, with
    ``augment``, filled up. ``augment`` is how many augmented rows are made of a training row.
    """

    view: View = "receipt"
    split: tuple[float, float, float] = (0.7, 0.15, 0.15)
    order: Order = "time"
    seed: int = 42
    limit: int | None = None
    max_contract_share: float = 0.3
    max_alike: int = 20
    max_per_class: int | None = None
    min_per_class: int | None = None
    augment: float | None = None
    labels: Path | None = None
    tokens: tuple[Path, ...] = ()
    base_model: str | None = None
    workers: int = 1
    overwrite: bool = False

    def __post_init__(self) -> None:
        if min(self.split) < 0 or self.split[0] == 0:
            raise UsageError(
                f"--split is {self.split}: no share may be negative, that of train not 0"
            )
        if not 0 < self.max_contract_share <= 1:
            raise UsageError(
                f"--max-contract-share is {self.max_contract_share}, expected a share above 0 and "
                "up to 1"
            )
        least, most = self.min_per_class, self.max_per_class
        if least is not None and most is not None and least > most:
            raise UsageError(f"--min-per-class {least} is more than --max-per-class {most}")
        if self.augment is not None and not 0 <= self.augment <= COPIES_MAX:
            raise UsageError(f"--augment is {self.augment}, expected 0 to {COPIES_MAX}")

    def as_dict(self) -> dict[str, Any]:
        """What had a say in the rows, for the manifest."""
        names = (
            "view", "split", "order", "seed", "limit", "max_contract_share", "max_alike",
            "max_per_class", "min_per_class", "augment",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}
