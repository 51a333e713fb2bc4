"""Exact amounts and readable quantities."""

from __future__ import annotations

GIB = 1024**3
MIB = 1024**2


def scale_amount(raw: int, decimals: int) -> str:
    """Exact decimal string of ``raw`` token units: 1500000 with 6 decimals is "1.5"."""
    if raw < 0 or decimals < 0:
        raise ValueError(f"raw={raw}, decimals={decimals}: neither may be negative")
    digits = str(raw).rjust(decimals + 1, "0")
    whole, fraction = digits[: len(digits) - decimals], digits[len(digits) - decimals :]
    fraction = fraction.rstrip("0")
    return f"{whole}.{fraction}" if fraction else whole


def unscale_amount(amount: str, decimals: int) -> int:
    """Inverse of scale_amount. Raises ValueError when ``amount`` has more decimals than that."""
    whole, _, fraction = amount.partition(".")
    is_number = (whole + fraction).isdecimal() and amount.isascii()
    if not whole or not is_number or len(fraction) > decimals:
        raise ValueError(f"{amount!r} is no amount of a token with {decimals} decimals")
    return int(whole + fraction.ljust(decimals, "0"))


def format_bytes(count: float) -> str:
    """1536 → "1.5 KiB"; one decimal from KiB on."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} TiB"


def format_duration(seconds: float) -> str:
    """75 → "1m 15s", 13320 → "3h 42m", 0.4 → "0.4s"."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    minutes, rest = divmod(whole, 60)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{minutes}m {rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes:02d}m" if hours < 48 else f"{hours // 24}d {hours % 24:02d}h"
