"""Minutes of an expert in words."""

from __future__ import annotations


def duration(minutes: float) -> str:
    """`0`, `30 s`, `5 min`, `2 h`."""
    if minutes == 0:
        return "0"
    if minutes < 1:
        return f"{60 * minutes:.3g} s"
    if minutes < 60:
        return f"{minutes:.3g} min"
    return f"{minutes / 60:.3g} h" if minutes < 6000 else f"{minutes / 60:,.0f} h".replace(",", "\u202f")
