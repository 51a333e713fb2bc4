"""Profiles as a table, and one explained: what it sets, why, and what its neighbours change."""

from __future__ import annotations

from typing import Any

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ethtune.core.units import GIB
from ethtune.device.shapes import find_model
from ethtune.device.time import speed_text
from ethtune.services.profiles import Explanation, Neighbour, ProfileList, ProfileSummary, Setting
from ethtune.ui.estimate import STYLES
from ethtune.ui.terminal import clean, show, stdout

_NUMBERS = ("r", "tokens")
_TITLES = ("profile", "model", "r", "layers", "tokens", "batch", "needs GiB", "tokens/s")


def show_list(found: ProfileList) -> None:
    """Print one line a profile, at most 80 wide; ``batch`` is micro batch x accumulation."""
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in _TITLES:
        table.add_column(title, no_wrap=True, justify="right" if title in _NUMBERS else "left")
    for item in found.profiles:
        table.add_row(*_cells(item))
    show(table)
    on_gpus = (item.card for item in found.profiles if item.name != "cpu")
    cards = dict.fromkeys(card.removeprefix("GeForce ") for card in on_gpus)
    note = "tokens: of a sequence; batch: micro batch x accumulation. Predicted, for"
    show(Text(f"{note} {', '.join(cards)} and this machine's CPU.", style="dim"))


def show_explanation(found: Explanation) -> None:
    """Print what the profile sets with its reasons, then what its neighbours change."""
    stdout.print(Text(f"{found.name}: {found.purpose}\n"), soft_wrap=True)
    for setting in found.settings:
        _show_setting(setting)
    for direction, neighbour in (("smaller", found.smaller), ("larger", found.larger)):
        if neighbour is not None:
            _show_neighbour(direction, neighbour)


def _cells(item: ProfileSummary) -> tuple[str | Text, ...]:
    low, high = item.process_bytes
    layers, speed = item.target_modules, item.tokens_per_second
    model = find_model(item.base_model)
    return (
        item.name,
        clean(model.alias if model else item.base_model),
        str(item.rank),
        "all" if isinstance(layers, str) else ",".join(n.removesuffix("_proj") for n in layers),
        f"{item.max_seq_length:,}",
        f"{item.micro_batch_size} x {item.accumulation_steps}",
        Text(f"{low / GIB:.1f} to {high / GIB:.1f}", style=STYLES[item.answer]),
        speed_text(speed).removesuffix(" tokens/s") if speed else "not known",
    )


def _show_setting(setting: Setting) -> None:
    is_default = setting.value == setting.default
    default = "the default" if is_default else f"default {_text(setting.default)}"
    line = Text(f"{setting.key}: ").append(_text(setting.value), style="bold")
    stdout.print(line.append(f"  ({default})", style="dim"), soft_wrap=True)
    if setting.reason:
        show(Padding(Text(setting.reason), (0, 0, 0, 4), expand=False))


def _show_neighbour(direction: str, neighbour: Neighbour) -> None:
    stdout.print(Text(f"\nThe next {direction} one, {neighbour.name}, changes", style="bold"))
    width = max((len(key) for key in neighbour.changes), default=0)
    for key, (here, there) in neighbour.changes.items():
        stdout.print(Text(f"  {key:<{width}}  {_text(here)} -> {_text(there)}"), soft_wrap=True)


def _text(value: Any) -> str:
    """As a config file writes it."""
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(str, value))}]"
    if isinstance(value, bool) or value is None:
        return "null" if value is None else str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
