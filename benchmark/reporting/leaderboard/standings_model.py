"""What a leaderboard is made of: boards of rows that may be ranked together, and the tests between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.budget_curves.curve_set import CurveSet
from benchmark.reporting.command import SLIDES
from benchmark.reporting.references import Reference
from benchmark.reporting.run_names import Component, distinct_names, shared_settings, split_settings
from benchmark.stored import StoredRun

TASKS: Mapping[str, tuple[str, ...]] = {
    "image level": (
        "image/auc",
        "image/specificity_at_100",
        "image/specificity_at_99",
        "image/sensitivity_at_val",
        "image/specificity_at_val",
    ),
    "pixel level": ("pixel/miou", "pixel/dice", "pixel/accuracy", "object/f1", "object/dice", "object/hausdorff"),
    "all classes": ("class/f1_macro", "class/accuracy", "class/jaccard_macro"),
    "refinement": (
        "slide/f1",
        "slide/accuracy",
        "slide/tpr",
        "slide/ppv",
        "slide/cleaned",
        "slide/mis_modified",
    ),
    "interactive": tuple(name for name in METRICS if name.startswith(("interactive/", "retrieval/"))),
}
"""Task → the columns shown; the first one ranks. A task that no row has a figure for is not shown."""

NO_LABELS = "none"
REFINEMENT, COARSE = "refinement", "coarse"


@dataclass(frozen=True)
class Figure:
    """A number over seeds: mean and standard deviation (ddof = 1; None with one seed).

    `low`, `high`: means of the runs' 95 % interval ends (bootstrap over patients; None where a run has none).
    """

    mean: float
    std: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Row:
    """A method with its parameters: one run per seed.

    `figures`: every number of the runs under its stored name (`pixel/miou`, `testA/pixel/miou`, `labels/mask_pixels`,
    `cost/fit_seconds`). `minutes`: what the labels cost by the cost model, None without one.
    """

    method: str
    variant: str
    preset: str
    supervision: str
    """The track: kinds of label, joined by `+`, or `none`."""
    seeds: tuple[int, ...]
    runs: tuple[StoredRun, ...]
    figures: Mapping[str, Figure]
    minutes: float | None = None

    @property
    def component(self) -> Component:
        """What the row runs."""
        return Component(self.method, self.variant, self.preset, self.refit, self.origin)

    @property
    def refit(self) -> bool:
        """Whether it was fitted on training and validation slides together."""
        return any(run.tag("refit") == "true" for run in self.runs)

    @property
    def origin(self) -> str:
        """The published board that the row was read from; empty for one of the store."""
        return self.runs[0].tag("published_in") or "" if self.runs else ""

    @property
    def label(self) -> str:
        """The row's key, unique on its board: method, all settings that differ from the preset, preset, origin."""
        return self.component.label

    @property
    def labels(self) -> dict[str, float]:
        """Ledger counter → mean over seeds, those that are not zero."""
        return {
            name.removeprefix("labels/"): figure.mean
            for name, figure in self.figures.items()
            if name.startswith("labels/") and figure.mean
        }

    def mean(self, name: str) -> float | None:
        """The mean of a figure, or None."""
        figure = self.figures.get(name)
        return None if figure is None else figure.mean


def applies(task: str, row: Row) -> bool:
    """Whether a row belongs to a task's table: only methods that saw the coarse annotation refine it."""
    return task != REFINEMENT or COARSE in row.supervision.split("+")


@dataclass(frozen=True)
class PairTest:
    """Two rows of one track on one metric, paired over slides (Wilcoxon) or units (DeLong).

    `difference`: `one` minus `other` in the mean of the paired values. `p`: corrected by Holm's rule over the tests
    of the track and metric; None when the pair is `refused`, with the reason, or equal everywhere. `direction`: the
    sign of `one` minus `other` by the test's own statistic, see `PairedTest`.
    """

    metric: str
    track: str
    one: str
    other: str
    kind: str
    pairs: int = 0
    difference: float | None = None
    p: float | None = None
    refused: str = ""
    direction: int = 0


@dataclass(frozen=True)
class Standing:
    """The rank of a row in its track: 1 + the number of rows that are significantly better (p ≤ 0.05).

    `tied`: another tested row has the same rank. `tested`: False where the place is that of the means alone.
    """

    rank: int
    tied: bool
    tested: bool

    @property
    def text(self) -> str:
        """`2`, `1=` for a tie, `(3)` when untested."""
        rank = f"{self.rank}{'=' if self.tied else ''}"
        return rank if self.tested else f"({rank})"


@dataclass(frozen=True)
class Published:
    """A published number beside ours: the row of the same method, and ours minus published. None: no such row.

    `gap` is also None where the two were measured differently: the number is quoted, or ours is on other splits.
    """

    reference: Reference
    row: str | None = None
    ours: float | None = None
    gap: float | None = None


@dataclass(frozen=True)
class Failure:
    """A cell whose last attempt did not end well and that has no finished run."""

    dataset: str
    label: str
    seed: str
    state: str
    reason: str
    run: str
    command: str = ""
    name: str = ""
    """The name by which the table shows it; without one it is the label."""


@dataclass(frozen=True)
class Board:
    """Rows that stand on the same slides of the same data and were measured alike, so they may be ranked together."""

    key: str
    dataset: str
    settings: str
    """Options of the dataset that were set, as `target=malignant`; empty for the defaults."""
    synthetic: bool
    used: int
    expected: int
    rows: tuple[Row, ...]
    tests: tuple[PairTest, ...] = ()
    standings: Mapping[str, Mapping[str, Standing]] = field(default_factory=dict)
    """Metric → row label → rank in its track; the first metric of each task."""
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()
    budget: str = ""
    """Of the labels that every row learnt from, as `10%`; empty for all of them."""
    data: tuple[str, ...] = ()
    """Equal for boards that differ in the budget alone."""
    content: str = ""
    """Beginning of the data's digest where another board has the same title; else empty."""

    @cached_property
    def names(self) -> dict[str, str]:
        """Row label → the name by which tables and charts of the board show it."""
        names = distinct_names([row.component for row in self.rows])
        return {component.label: name for component, name in names.items()}

    @property
    def shared(self) -> str:
        """The sentence on settings that all rows have, which their names leave out; empty for none."""
        settings = shared_settings([row.component for row in self.rows])
        return f"all rows: {settings}" if settings else ""

    def ordered(self, metric: str, rows: Sequence[Row]) -> list[Row]:
        """Rows of a track by rank, then by mean, then by name; those without the metric last."""
        standings = self.standings.get(metric, {})
        sign = 1 if METRICS[metric].direction == "down" else -1

        def place(row: Row) -> tuple[float, float, str]:
            standing, mean = standings.get(row.label), row.mean(metric)
            rank = float("inf") if standing is None else float(standing.rank)
            return (rank, float("inf") if mean is None else sign * mean, row.label)

        return sorted(rows, key=place)

    @property
    def told_apart(self) -> str:
        """The settings, with the data's digest where that alone tells two boards apart."""
        return " ".join(filter(None, (self.settings, f"(data {self.content})" if self.content else "")))

    @property
    def drawn(self) -> bool:
        """True when only some slides of each split were used (`--slide`, `--slides`)."""
        return any(name in split_settings(self.settings) for name in SLIDES)

    @property
    def elsewhere(self) -> bool:
        """True when its test slides are of another dataset than its train slides (`--test`)."""
        return any(run.tag("target") for row in self.rows for run in row.runs)

    @property
    def complete(self) -> bool:
        """True when no slide that should be there is missing."""
        return self.used == self.expected

    @property
    def title(self) -> str:
        """`glas target=malignant (synthetic), 75 of 80 slides`."""
        kind = " (synthetic)" if self.synthetic else ""
        slides = f"{self.used} slides" if self.complete else f"{self.used} of {self.expected} slides, incomplete"
        return f"{' '.join(filter(None, (self.dataset, self.told_apart)))}{kind}, {slides}"

    def tracks(self) -> dict[str, list[Row]]:
        """Supervision track → its rows, tracks with the cheapest labels first (`none` is first)."""
        tracks: dict[str, list[Row]] = {}
        for row in self.rows:
            tracks.setdefault(row.supervision, []).append(row)
        order = sorted(tracks, key=lambda track: (track != NO_LABELS, track))
        return {track: tracks[track] for track in order}


@dataclass(frozen=True)
class MeanRanks:
    """Mean rank of each row label over datasets, with the critical difference (Nemenyi) and Friedman's p.

    Real and synthetic boards never come together. `boards`: whose figures count. `datasets`: how many these are of.
    """

    metric: str
    synthetic: bool
    boards: tuple[str, ...]
    datasets: int
    ranks: Mapping[str, float]
    critical_difference: float
    friedman_p: float | None
    track: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    """Row label → the name by which the table shows it; without one it is the label."""


@dataclass(frozen=True)
class Leaderboard:
    """Everything that `bench leaderboard` and `bench report` show."""

    store: str
    boards: tuple[Board, ...]
    ranks: tuple[MeanRanks, ...] = ()
    failures: tuple[Failure, ...] = ()
    options: tuple[str, ...] = ()
    """What a command that repeats a run has to say besides: `--store URI`."""
    curves: tuple[CurveSet, ...] = ()
    """Of the datasets on which runs had budgets."""
