"""Means over slides and the paired test against the coarse annotation, as in LC-MIL's Table I.

Pooled metrics weigh cells equally, so large slides dominate; here slides weigh equally.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.pooled import Floats
from benchmark.metrics.statistics import percentile_interval, stars, wilcoxon
from benchmark.metrics.summary import Summary

Columns = Mapping[str, dict[str, Floats]]
"""Family of evidence → field → one entry per slide."""


def add_means(summary: Summary, names: Sequence[str], columns: dict[str, Floats], draws: Floats | None) -> None:
    """Report the mean over slides of each metric in `names`, with its standard deviation and interval.

    Args:
        summary: takes the values; `spreads` gets the standard deviation over slides, ddof = 1, where at least two
            slides have a value. The paper does not say which it prints.
        names: metrics whose `over` is "slides".
        columns: the sums that their formulas read, one entry per slide.
        draws: how often each slide is drawn in each resample, resamples × slides; None gives no interval.
    """
    for name in names:
        info = METRICS[name]
        assert info.formula is not None
        values = info.formula.many(columns)
        defined = ~np.isnan(values)
        if not defined.any():
            summary.put(name, None, f"on every slide: {info.undefined}" if values.size else "there are no slides")
            continue
        kept = values[defined]
        summary.put(name, float(kept.mean()), "", _interval(values, defined, draws))
        if kept.size > 1:
            summary.spreads[name] = float(kept.std(ddof=1))
        if kept.size < values.size:
            lacking = f"{values.size - kept.size} of {values.size} slides have no value"
            summary.facts[f"{name}:undefined"] = f"{lacking}: {info.undefined}"


def add_tests(summary: Summary, names: Sequence[str], after: dict[str, Floats], before: dict[str, Floats]) -> None:
    """Report the p value of each paired test in `names`; slides where one of the two is undefined are left out.

    `after` and `before` are the confusion counts per slide of the prediction and of the coarse annotation.
    """
    for name in names:
        info = METRICS[name]
        assert info.formula is not None
        new, old = info.formula.many(after), info.formula.many(before)
        both = ~np.isnan(new) & ~np.isnan(old)
        result = wilcoxon(new[both], old[both])
        if result is None:
            summary.put(name, None, info.undefined)
            continue
        summary.put(name, result.p, "")
        change = float(np.median(new[both] - old[both]))
        text = f"median change {change:+.4f} over {int(both.sum())} slides, {result.pairs} of which change"
        summary.facts[f"{name}:test"] = f"p = {result.p:.2g} {stars(result.p)}".rstrip() + f"; {text}"


def _interval(values: Floats, defined: NDArray[np.bool_], draws: Floats | None) -> tuple[float, float] | None:
    if draws is None or np.ptp(values[defined]) == 0:  # equal values: resampled means differ by rounding alone
        return None
    weight = draws @ defined
    total = draws @ np.where(defined, values, 0.0)
    means: Floats = np.divide(total, weight, out=np.full(len(draws), np.nan), where=weight > 0)
    return percentile_interval(means)
