"""What the difference of two runs is made of. Every difference is `one` minus `other`."""

from __future__ import annotations

from dataclasses import dataclass, field

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.comparison.specificity import PairedSpecificity
from benchmark.reporting.paired import PairedTest
from benchmark.stored import Maps, StoredRun

Interval = tuple[float, float]

MOST_ALONE = 6
"""So many parameters that only one run has stand among the other settings."""


@dataclass(frozen=True)
class Setting:
    """A parameter, option or tag that differs; None where a run does not have it."""

    kind: str
    name: str
    one: str | None
    other: str | None


@dataclass(frozen=True)
class Figure:
    """A number that both runs have, with its 95 % intervals; `test` where there is one for it."""

    name: str
    one: float
    other: float
    one_interval: Interval | None = None
    other_interval: Interval | None = None
    test: PairedTest | None = None

    @property
    def difference(self) -> float:
        """`one` minus `other`."""
        return self.one - self.other

    @property
    def main(self) -> bool:
        """True for a metric of the suite over all test slides."""
        return self.name in METRICS


@dataclass(frozen=True)
class SlideGap:
    """How much two runs differ on a slide.

    `one`, `other`: the chosen metric, None where undefined. `cells`: cells that both scored; `differing`: those among
    them on which the decisions differ. `note`: why the decisions cannot be compared.
    """

    slide: str
    one: float | None
    other: float | None
    cells: int = 0
    differing: int = 0
    note: str = ""

    @property
    def difference(self) -> float | None:
        """`one` minus `other` in the chosen metric."""
        return None if self.one is None or self.other is None else self.one - self.other

    @property
    def share(self) -> float | None:
        """Share of the cells that both scored on which the decisions differ."""
        return self.differing / self.cells if self.cells else None


@dataclass(frozen=True)
class Difference:
    """Everything that is shown of two runs.

    `refused`: why there is no test between them; empty when there are tests. `notes`: what is missing, and why.
    `lacking`: metrics of the suite that only one of the runs has, its own first. `maps`: slide → both decisions.
    `by_metric`, `by_share`: the slides they disagree on most, the most first.
    `specificities`: those of both runs on the same negatives, at thresholds held fixed.
    """

    one: StoredRun
    other: StoredRun
    metric: str
    settings: tuple[Setting, ...]
    equal: int
    figures: tuple[Figure, ...]
    lacking: tuple[tuple[str, ...], tuple[str, ...]]
    labels: tuple[Figure, ...]
    costs: tuple[Figure, ...]
    slides: tuple[SlideGap, ...] = ()
    by_metric: tuple[SlideGap, ...] = ()
    by_share: tuple[SlideGap, ...] = ()
    refused: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    maps: dict[str, tuple[Maps, Maps]] = field(default_factory=dict)
    specificities: tuple[PairedSpecificity, ...] = ()

    @property
    def folded(self) -> list[Setting]:
        """Parameters that only one of the runs has, where they are many: another method has others altogether."""
        alone = [pair for pair in self.settings if pair.kind == "parameter" and None in (pair.one, pair.other)]
        return alone if len(alone) > MOST_ALONE else []

    @property
    def listed(self) -> list[Setting]:
        """The settings that differ, without the folded ones."""
        folded = self.folded
        return [pair for pair in self.settings if pair not in folded]

    @property
    def tests(self) -> int:
        """Number of tests that the p values are corrected for."""
        return sum(figure.test is not None and figure.test.p is not None for figure in self.figures)

    @property
    def shown(self) -> list[SlideGap]:
        """The slides that are drawn, each once: those of `by_metric`, then those only in `by_share`."""
        found = {gap.slide: gap for gap in (*self.by_metric, *self.by_share)}
        return [gap for gap in found.values() if gap.slide in self.maps]
