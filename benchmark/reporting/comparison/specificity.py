"""The specificities of two runs on the same negative units, each run at its own threshold, which is held fixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from benchmark.errors import PredictionError
from benchmark.metrics.classification import spec_at_sensitivity
from benchmark.metrics.mcnemar import SpecificityTest, compare_specificity
from benchmark.metrics.statistics import holm
from benchmark.reporting.paired import pair_units
from benchmark.stored import StoredRun

if TYPE_CHECKING:
    from pandas import DataFrame

AT_100, AT_VALIDATION, AT_HALF = "image/specificity_at_100", "image/specificity_at_val", "image/specificity"
RULES = {
    AT_100: "100 % sensitivity on these test units",
    AT_VALIDATION: "100 % sensitivity on the validation units",
    AT_HALF: "0.5, declared",
}
"""Metric → how its threshold comes about."""

SHORT_RULES = {AT_100: "test units", AT_VALIDATION: "validation units", AT_HALF: "declaration"}

THRESHOLD = "image/threshold_at_val"


@dataclass(frozen=True)
class PairedSpecificity:
    """One specificity of two runs, compared on the same negatives; or `refused`, the reason why not.

    `corrected`: p by Holm's rule over the specificities of the comparison; None where no negative is judged
    differently.
    """

    metric: str
    thresholds: tuple[float, float] | None = None
    test: SpecificityTest | None = None
    corrected: float | None = None
    refused: str = ""

    @property
    def rule(self) -> str:
        """How the two thresholds were chosen."""
        return RULES[self.metric]

    @property
    def short_rule(self) -> str:
        """The same in a column of a terminal."""
        return SHORT_RULES[self.metric]


def paired_specificities(
    runs: tuple[StoredRun, StoredRun], units: tuple[DataFrame, DataFrame]
) -> tuple[PairedSpecificity, ...]:
    """Every specificity that both runs have, in the order of `RULES`.

    Args:
        runs: one, other.
        units: their test units, see `benchmark.stored.unit_table`.
    """
    metrics = [name for name in RULES if all(name in run.metrics for run in runs)]
    if not metrics:
        return ()
    pairs = pair_units(*units)
    if isinstance(pairs, str):
        return tuple(PairedSpecificity(name, refused=pairs) for name in metrics)
    try:
        return tuple(_corrected([_compared(name, runs, pairs) for name in metrics]))
    except PredictionError as error:
        return tuple(PairedSpecificity(name, refused=error.what) for name in metrics)


def _compared(metric: str, runs: tuple[StoredRun, StoredRun], pairs: DataFrame) -> PairedSpecificity:
    labels, one, other = (pairs[column].tolist() for column in ("label", "score", "score_other"))
    if metric == AT_100:
        points = [spec_at_sensitivity(labels, scores) for scores in (one, other)]
        thresholds = [None if point is None else point.threshold for point in points]
    elif metric == AT_VALIDATION:
        thresholds = [run.metrics.get(THRESHOLD) for run in runs]
    else:
        thresholds = [0.5, 0.5]
    first, second = thresholds
    if first is None or second is None:
        return PairedSpecificity(metric, refused="a run does not say at which threshold")
    test = compare_specificity(labels, one, other, (first, second), pairs["patient"].tolist())
    return PairedSpecificity(metric, (first, second), test, refused="" if test else "no unit is negative")


def _corrected(found: Sequence[PairedSpecificity]) -> list[PairedSpecificity]:
    """The same with p corrected for their number; no p where no negative is judged differently."""
    made = list(found)
    differing = {
        number: pair.test.test.p
        for number, pair in enumerate(made)
        if pair.test is not None and pair.test.test.only_one + pair.test.test.only_other
    }
    for number, p in zip(differing, holm(list(differing.values())), strict=True):
        made[number] = replace(made[number], corrected=p)
    return made
