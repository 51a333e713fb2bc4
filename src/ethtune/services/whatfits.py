"""Many estimates at once: profiles side by side, cards against profiles, the largest that fits."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ethtune.core.compose import compose
from ethtune.core.config import Config
from ethtune.core.profiles import is_guides, profile_names, vram_gib
from ethtune.device.gpus import find_gpu
from ethtune.device.target import Target, gpu_target, local_target, vram_target
from ethtune.services.calibration import nearest
from ethtune.services.estimation import Answer, EstimateReport, Known, answer_of, estimate
from ethtune.services.forecast import Forecast, Load, forecast
from ethtune.services.scaling import ranges
from ethtune.services.trainingdata import dataset_amount

COMPARED_GPUS = (
    "RTX 4060", "RTX 3060", "RTX 4070", "RTX 4060 Ti 16 GB", "T4", "RTX 3090", "RTX 4090", "L4",
    "A10G", "RTX 5090", "A100 40 GB", "A100 80 GB", "H100 SXM",
)  # fmt: skip
# Where a search for the largest setting stops.
_LIMITS = {"max_seq_length": 131_072, "micro_batch": 1024, "rank": 1024}


@dataclass(frozen=True, slots=True)
class Largest:
    """The largest value of one setting that fits while the others stay; None where none does."""

    setting: str
    now: int
    largest: int | None
    is_limit: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Answers by card and profile, cards from small to large."""

    profiles: tuple[str, ...]
    rows: tuple[tuple[str, int, tuple[EstimateReport, ...]], ...]

    def as_dict(self) -> dict[str, Any]:
        """For --json."""
        return {
            "gpus": [
                {
                    "gpu": name,
                    "free_bytes": free,
                    "profiles": {
                        profile: {
                            "answer": report.answer,
                            "process_bytes": report.process_bytes,
                            "tokens_per_second": report.tokens_per_second,
                            "seconds": report.seconds,
                        }
                        for profile, report in zip(self.profiles, reports, strict=True)
                    },
                }
                for name, free, reports in self.rows
            ]
        }


def known_for(config: Config, dataset: Path | None, known: Known) -> Known:
    """``known`` with the rows of ``dataset`` as this config would pack them."""
    if dataset is None:
        return known
    return dataclasses.replace(known, amount=dataset_amount(dataset, config))


def estimate_profiles(
    *, target: Target | None, dataset: Path | None, known: Known
) -> list[EstimateReport]:
    """All built-in profiles: on ``target``, else on the GPU here, else on cards of their size."""
    here = target or local_target()
    reports = []
    for name in profile_names():
        place = here
        if not here.on_gpu and vram_gib(name):
            place = vram_target(vram_gib(name))
        config = compose(profile=name).config
        found = known_for(config, dataset, known)
        reports.append(estimate(config, target=place, known=found, title=name))
    return reports


def compare(names: Sequence[str], *, dataset: Path | None, known: Known) -> Comparison:
    """Our profiles for GPUs on every named card. Raises ConfigError for an unknown card."""
    profiles = [name for name in profile_names() if vram_gib(name) and not is_guides(name)]
    configs = [compose(profile=name).config for name in profiles]
    all_known = [known_for(config, dataset, known) for config in configs]
    cards = sorted((find_gpu(name) for name in names), key=lambda card: card.vram_bytes)
    rows = []
    for card in cards:
        target = gpu_target(card)
        reports = tuple(
            estimate(config, target=target, known=found, title=name)
            for name, config, found in zip(profiles, configs, all_known, strict=True)
        )
        rows.append((card.name, target.free_bytes, reports))
    return Comparison(tuple(profiles), tuple(rows))


def largest(config: Config, *, target: Target, known: Known) -> tuple[Largest, ...]:
    """By halving: sequence, micro batch and rank, each alone, that surely fit."""
    record = nearest(known.records, config, target)

    def answer(now: Forecast, **changes: int) -> Answer:
        changed = dataclasses.replace(now, work=now.work.replace(**changes))
        return answer_of(ranges(config, changed, record).process_bytes, target.free_bytes)

    now = forecast(config, target, Load.of(config, None))
    work = now.work
    return (
        _search("data.max_seq_length", work.seq_length, _LIMITS["max_seq_length"] // 32, 32,
                lambda n: answer(now, seq_length=n)),
        _search("training.per_device_train_batch_size", work.micro_batch, _LIMITS["micro_batch"], 1,
                lambda n: answer(now, micro_batch=n)),
        _search("lora.r", work.rank, _LIMITS["rank"], 1, lambda n: answer(now, rank=n)),
    )  # fmt: skip


def _search(
    setting: str, now: int, limit: int, unit: int, answer: Callable[[int], Answer]
) -> Largest:
    """Largest multiple of ``unit``, up to ``limit`` of them, that fits."""
    low, high = 0, limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        if answer(middle * unit) == "fits":
            low = middle
        else:
            high = middle
    return Largest(setting, now, low * unit or None, low == limit)
