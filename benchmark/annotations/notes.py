"""What a reader passed over, mended or supposed, said of the place where it happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import StrEnum


class Kind(StrEnum):
    """What was done."""

    PASSED_OVER = "passed over"
    MENDED = "mended"
    ASSUMED = "assumed"
    DECIDED = "decided"


@dataclass(frozen=True)
class Note:
    """One thing to know of an annotation.

    `text` says it in full, `kind` is what to filter by, `place` the first of the outlines that it concerns, `file` the
    annotation's path. `slide` is filled in by the dataset, for a reader knows only its file.
    """

    text: str
    kind: Kind = Kind.ASSUMED
    place: str = ""
    file: str = ""
    slide: str = ""

    def __str__(self) -> str:
        return self.text

    def of(self, slide: str) -> Note:
        """The same note, of the slide it belongs to."""
        return replace(self, slide=slide)


def distinct(notes: Iterable[Note]) -> tuple[Note, ...]:
    """Every note once, in order."""
    return tuple(dict.fromkeys(notes))
