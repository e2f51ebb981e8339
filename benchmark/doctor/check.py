"""One line of `bench doctor`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Check:
    """The result for one subject. `ok`: True, None for a warning, False for a fault; `fix` says how to mend it."""

    subject: str
    ok: bool | None
    result: str
    fix: str = ""


def size(count: int) -> str:
    """A number of bytes, in GiB."""
    return f"{count / 2**30:.1f} GiB"
