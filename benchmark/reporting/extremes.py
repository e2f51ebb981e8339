"""Which of many slides are shown: the lowest, those in the middle, the highest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def lowest_middle_highest(
    ranked: Sequence[T], each: int = 1, *, middle: int | None = None
) -> tuple[Sequence[T], Sequence[T], Sequence[T]]:
    """So many from both ends and from the middle of at least 3 × `each` entries, in their order.

    `middle`: where the entries of the middle begin; by default they lie evenly between both ends.
    """
    start = (len(ranked) - each) // 2 if middle is None else middle
    return ranked[:each], ranked[start : start + each], ranked[len(ranked) - each :]
