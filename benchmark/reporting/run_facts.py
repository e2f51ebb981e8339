"""What the summary page of a run is made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmark.reporting.folded import Folded

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class StageCost:
    """What one stage cost. A reused stage shows what it cost when it was computed."""

    name: str
    seconds: float
    peak_mib: float
    reused: bool = False
    peak_gpu_mib: float = 0.0


@dataclass(frozen=True)
class RunFacts:
    """All that the summary page shows.

    `values`, `intervals`, `absent`: metric name (`name@subset` for a part of the slides) → number, 95 % interval,
    reason. `spreads`: standard deviation over slides of metrics that are means over slides. `titles`: metric name →
    what a person calls it. `headlines`: the names shown large, those without a value are skipped. `train`: numbers
    about training slides. `ledger`: label counter → count. `facts`: further lines, name → text. `rows`: one per
    slide; `slide` is its id, `note` what the method says of it, `reading` what was mended or supposed in reading it.
    `confusion`: numbers of cells per true (row) and predicted (column) one of `classes`.
    `reading_notes`: the same of every slide, as (split, slide, note). `pictures`: slide id → overlay. `rank_by`: the
    column that says which slides went worst. `figures`: caption → picture. `command`: repeats the run. `refines`:
    whether the method started from the coarse annotation. `folded`: further parts of the page.
    """

    title: str
    subtitle: str
    command: str
    synthetic: bool
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    absent: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    headlines: Sequence[str] = ()
    train: Mapping[str, float] = field(default_factory=dict)
    ledger: Mapping[str, int] = field(default_factory=dict)
    stages: Sequence[StageCost] = ()
    totals: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, str] = field(default_factory=dict)
    rows: Sequence[Mapping[str, Cell]] = ()
    rank_by: str = ""
    pictures: Mapping[str, Path] = field(default_factory=dict)
    figures: Mapping[str, Path] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)
    spreads: Mapping[str, float] = field(default_factory=dict)
    reading_notes: Sequence[tuple[str, str, str]] = ()
    refines: bool = False
    classes: Sequence[str] = ()
    confusion: Sequence[Sequence[int]] = ()
    folded: Sequence[Folded] = ()
