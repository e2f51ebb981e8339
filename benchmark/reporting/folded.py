"""A folded part of a run's page: a sentence, tables, pictures and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Sheet:
    """A table as text: `heads` over the columns, the first of which names the row. `title` may be empty."""

    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""


@dataclass(frozen=True)
class Folded:
    """`summary`: what is seen before it is opened. `figures`: caption → picture. `notes`: sentences under it all."""

    title: str
    summary: str
    sheets: Sequence[Sheet] = ()
    figures: Mapping[str, Path] = field(default_factory=dict)
    notes: Sequence[str] = ()
