"""The same figures for test slides that share a fact (grade, centre, scanner …), and which of these groups is worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.class_level import add_classes
from benchmark.metrics.evidence import SlideEvidence, patient_numbers
from benchmark.metrics.image_level import ImageLevel
from benchmark.metrics.pooled import Floats
from benchmark.metrics.rows import FAMILIES, columns
from benchmark.metrics.statistics import patient_draws, percentile_interval
from benchmark.metrics.summary import Summary

NOT_STATED = "(not stated)"
"""The group of slides of which a column says nothing."""

FEWEST = 5
"""A group of fewer slides has figures, but no interval, and is never called the worst."""

MOST = 20
"""A column of more values (a block number, a date) makes no groups."""


@dataclass(frozen=True)
class Group:
    """`values`, `intervals`: metric → number, 95 % interval over patients. `slides`, `patients`: how many there are."""

    name: str
    slides: int
    patients: int
    values: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def judged(self) -> bool:
        """Whether it can be the worst: its fact is stated, of enough slides."""
        return self.slides >= FEWEST and self.name != NOT_STATED


@dataclass(frozen=True)
class Column:
    """The groups of a column by name, those not stated last; or `refused`, why there are none."""

    name: str
    groups: tuple[Group, ...] = ()
    refused: str = ""

    def facts(self) -> dict[str, Any]:
        """As plain JSON."""
        return {"refused": self.refused, "groups": [vars(group) for group in self.groups]}

    @classmethod
    def read(cls, name: str, content: Mapping[str, Any]) -> Column:
        """What `facts` gave. Raises `KeyError` or `TypeError` for anything else."""
        groups = [
            Group(**{**group, "intervals": {metric: (ends[0], ends[1]) for metric, ends in group["intervals"].items()}})
            for group in content["groups"]
        ]
        return cls(name, tuple(groups), str(content["refused"]))


def by_column(
    slides: Sequence[SlideEvidence],
    facts: Mapping[str, Mapping[str, str]],
    names: Sequence[str],
    *,
    hidden: Mapping[str, str] | None = None,
    classes: Sequence[str] = (),
    resamples: int = 1000,
    seed: int = 0,
) -> list[Column]:
    """Every column of `facts` (slide id → column → group) with the figures `names` of each of its groups.

    `hidden`: as in `suite.summarise`. The same arguments give the same result, bit for bit.
    """
    found = []
    for name in dict.fromkeys(column for slide in slides for column in facts.get(slide.slide, {})):
        parts: dict[str, list[SlideEvidence]] = {}
        for slide in slides:
            parts.setdefault(facts.get(slide.slide, {}).get(name) or NOT_STATED, []).append(slide)
        stated = sorted(part for part in parts if part != NOT_STATED)
        if reason := _refused(stated, len(parts), len(slides)):
            found.append(Column(name, refused=reason))
            continue
        groups = []
        for part in [*stated, *([NOT_STATED] if NOT_STATED in parts else [])]:
            summary = figures_of(parts[part], names, classes=classes, resamples=resamples, seed=seed)
            summary.hide(hidden or {})
            patients = len({slide.patient for slide in parts[part]})
            few = len(parts[part]) < FEWEST
            groups.append(Group(part, len(parts[part]), patients, summary.values, {} if few else summary.intervals))
        found.append(Column(name, tuple(groups)))
    return found


def _refused(stated: Sequence[str], parts: int, slides: int) -> str:
    if not stated:
        return f"it says nothing of any of the {slides} test slides"
    if parts < 2:
        return f"all {slides} test slides are {stated[0]!r}, so there is nothing to compare"
    if len(stated) > MOST:
        return f"it has {len(stated)} values on {slides} test slides, more than {MOST}: no groups"
    return ""


def figures_of(
    slides: Sequence[SlideEvidence], names: Sequence[str], *, classes: Sequence[str], resamples: int, seed: int
) -> Summary:
    """Those of the metrics `names` that these slides have, pooled over them; see `suite.summarise`."""
    everything, summary = Summary(), Summary()
    if any(name.startswith("image/") for name in names):
        ImageLevel(everything, slides, "group's", resamples, seed).add(())
    patients = patient_numbers(slides)
    count = int(patients.max(initial=-1)) + 1
    draws = patient_draws(count, resamples, seed)[:, patients] if count > 1 else None
    for needs in FAMILIES:
        wanted = [name for name in names if METRICS[name].needs == needs and METRICS[name].over == "sums"]
        sums = columns(slides, needs) if wanted else None
        for name in wanted if sums is not None else ():
            _put(everything, name, sums or {}, draws)
    if any(name.startswith("class/") for name in names):
        add_classes(everything, slides, classes, draws)
    summary.values.update({name: everything.values[name] for name in names if name in everything.values})
    summary.intervals.update({name: everything.intervals[name] for name in names if name in everything.intervals})
    return summary


def _put(summary: Summary, name: str, sums: dict[str, Floats], draws: Floats | None) -> None:
    formula = METRICS[name].formula
    assert formula is not None
    value = float(formula.many({column: values.sum() for column, values in sums.items()}))
    interval = None
    if draws is not None:
        interval = percentile_interval(formula.many({column: draws @ values for column, values in sums.items()}))
    summary.put(name, None if value != value else value, METRICS[name].undefined, interval)


def worst(groups: Sequence[Group], metric: str) -> Group | None:
    """The judged group with the worst value, the first of several; None where fewer than two groups are judged."""
    having = [group for group in groups if group.judged and metric in group.values]
    sign = -1 if METRICS[metric].direction == "down" else 1
    return min(having, key=lambda group: sign * group.values[metric]) if len(having) > 1 else None
