"""One line of `bench doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """What was looked at and what was found. `ok` is True, None for a warning, False for something to mend."""

    what: str
    ok: bool | None
    found: str
    fix: str = ""


def size(count: int) -> str:
    """Bytes in words."""
    return f"{count / 2**30:.1f} GiB"
