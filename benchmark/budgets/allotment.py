"""What the budget of a run comes to: which slides are labelled, or how many reviews and regions there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import floor
from typing import Any

from benchmark.budgets.budget import ROUNDING
from benchmark.dataset import Split
from benchmark.supervision import Spending


@dataclass(frozen=True)
class Regions:
    """How much of a coarse annotation is drawn: a share of the regions of a slide, or so many; one at least."""

    share: float | None = None
    number: int = 1

    def of(self, count: int) -> int:
        """Of so many regions."""
        wanted = self.number if self.share is None else max(1, floor(self.share * count + ROUNDING))
        return min(count, wanted)


@dataclass(frozen=True)
class Allotment:
    """The budget of one run. `short`: why nothing can be learnt with it; everything else is then of no use.

    `shown`: ids of the training and validation slides that a method sees; None where it sees all of them.
    """

    spending: Spending
    shown: Mapping[Split, frozenset[str]] | None = None
    regions: Regions | None = None
    short: str = ""
    notes: str = ""
    """What it comes to, in words: `6 of 60 training slides`."""
    bounds: Sequence[Any] = ()
    """What of it decides results beside the slides: the limits on reviews and regions."""
    revised: Sequence[str] = ()
    """Rules that decided it and are newer than budgets: part of the run's identity, so that runs stored under the rules
    before are repeated, and all others keep theirs."""

    @property
    def facts(self) -> list[Any]:
        """Equal for allotments by which methods see the same labels; empty where they see all."""
        shown = [] if self.shown is None else [sorted(self.shown[split]) for split in (Split.TRAIN, Split.VALIDATION)]
        return [*([shown] if shown else []), *self.bounds]
