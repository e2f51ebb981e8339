"""How far the scores of a run's test slides are probabilities, at the level of units and of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.calibration import (
    MOST_BINS,
    bins_for,
    brier_parts,
    brier_score,
    ece_by_chance,
    expected_calibration_error,
)
from benchmark.metrics.classification import clopper_pearson
from benchmark.metrics.evidence import SlideEvidence, patient_numbers
from benchmark.metrics.pooled import ratio
from benchmark.metrics.score_sums import Floats, ScoreSums
from benchmark.metrics.statistics import patient_draws, percentile_interval
from benchmark.seeds import generator

Kind = Literal["unit", "cell"]
KINDS: tuple[Kind, ...] = ("unit", "cell")


@dataclass(frozen=True)
class Bin:
    """A point of a reliability diagram: `count` scores, their mean, the share of positives with its 95 % interval."""

    count: int
    score: float
    share: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Level:
    """The calibration of units or of cells. `absent`: why there is none; all else is empty then.

    `values`: `ece`, `brier` and its parts (`reliability`, `resolution`, `uncertainty`, `remainder`), of units also
    `ece_chance`, the mean ECE of calibrated scores like these. `intervals`: 95 %, over patients, the bins held fixed.
    """

    absent: str = ""
    values: Mapping[str, float] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    bins: tuple[Bin, ...] = ()


def score_sums(slides: Sequence[SlideEvidence], kind: Kind) -> list[ScoreSums] | str:
    """The sums of each slide, or why the scores of this kind are no probabilities with known outcomes."""
    if not slides:
        return "there are no slides"
    if kind == "cell":
        parts = [slide.sums for slide in slides if slide.sums is not None]
        if len(parts) < len(slides):
            return f"{len(slides) - len(parts)} of {len(slides)} slides lack a fine annotation"
        return parts if any(part.count for part in parts) else "no cell counts"
    scores = np.concatenate([slide.unit_scores for slide in slides])
    if not scores.size:
        return "there are no units"
    if wrong := int((~((scores >= 0) & (scores <= 1))).sum()):
        return f"{wrong} of {scores.size} unit scores are no numbers in [0, 1], so they are no probabilities"
    return [ScoreSums.of(slide.unit_labels, slide.unit_scores) for slide in slides]


def level_of(slides: Sequence[SlideEvidence], kind: Kind, *, resamples: int = 1000, seed: int = 0) -> Level:
    """Calibration error, Brier score with its parts and reliability diagram. The same arguments give the same bits."""
    if kind == "unit":  # a patient without a unit is none of those that are drawn
        slides = [slide for slide in slides if slide.unit_labels.size] or slides
    parts = score_sums(slides, kind)
    if isinstance(parts, str):
        return Level(parts)
    pooled = ScoreSums.pooled(parts)
    bins = pooled.equal_mass(bins_for(pooled.count) if kind == "unit" else MOST_BINS)
    table = pooled.binned(bins)
    split = brier_parts(table)
    assert split is not None
    values = {"ece": float(expected_calibration_error(table)), **vars(split)}
    if kind == "unit":
        chance = ece_by_chance(pooled, bins, generator("metrics", "calibrated", seed), resamples)
        values["ece_chance"] = float(chance.mean())
    patients = patient_numbers(slides)
    drawn = _resampled(parts, pooled, bins, patients, resamples, seed)
    intervals = {}
    for name, formula in (("ece", expected_calibration_error), ("brier", brier_score)):
        within = None if drawn is None else percentile_interval(formula(drawn))
        intervals.update({} if within is None else {name: within})
    alone = kind == "unit" and len(set(patients.tolist())) == pooled.count
    return Level("", values, intervals, tuple(_diagram(table, drawn, alone)))


def _resampled(
    parts: Sequence[ScoreSums],
    pooled: ScoreSums,
    bins: NDArray[np.int64],
    patients: NDArray[np.int64],
    resamples: int,
    seed: int,
) -> Floats | None:
    """The bins of every resample of patients, resamples × 5 × M; None for one patient."""
    count = int(patients.max()) + 1
    if count < 2:
        return None
    tables = np.zeros((count, len(pooled.sums), int(bins.max()) + 1))
    for part, patient in zip(parts, patients, strict=True):
        tables[patient] += part.binned(bins, pooled.keys) if part.keys.size else 0.0
    draws = patient_draws(count, resamples, seed)
    return np.asarray((draws @ tables.reshape(count, -1)).reshape(resamples, *tables.shape[1:]), np.float64)


def _diagram(table: Floats, drawn: Floats | None, alone: bool) -> list[Bin]:
    """`alone`: every patient has one score, so that the interval of a share is exact."""
    diagram = []
    for number, (count, positive, total) in enumerate(table[:3].T):
        if alone:
            within = clopper_pearson(int(positive), int(count))
        else:
            within = None if drawn is None else percentile_interval(ratio(drawn[:, 1, number], drawn[:, 0, number]))
        diagram.append(Bin(int(count), float(total / count), float(positive / count), *(within or (None, None))))
    return diagram
