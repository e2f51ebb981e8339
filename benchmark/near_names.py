"""The names that somebody who typed an unknown one may have meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable


def near_names(name: str, known: Iterable[str], *, most: int = 3, cutoff: float = 0.5) -> list[str]:
    """The nearest known names, best first: in other case, with the name as one of their parts, spelt alike.

    `auc` gives `image/auc`, `UNI` gives `uni` alone. `cutoff`: least likeness of spelling, 0 to 1.
    """
    lowered: dict[str, str] = {}
    for each in known:
        lowered.setdefault(each.lower(), each)
    wanted = name.lower()
    if wanted in lowered:
        return [lowered[wanted]]
    parts = [each for each in lowered if wanted in re.split(r"[/._@-]", each)]
    alike = difflib.get_close_matches(wanted, lowered, n=most, cutoff=cutoff)
    return [lowered[each] for each in dict.fromkeys([*parts, *alike])][:most]


def did_you_mean(names: Iterable[str]) -> str:
    """`did you mean 'a' or 'b'?`; empty for no names."""
    words = " or ".join(map(repr, names))
    return f"did you mean {words}?" if words else ""
