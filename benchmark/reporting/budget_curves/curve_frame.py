"""The points of curves as CSV."""

from __future__ import annotations

from collections.abc import Iterable

from benchmark.csv_text import csv_text
from benchmark.reporting.budget_curves.curve_set import CurveSet
from benchmark.reporting.leaderboard import leaderboard_words as words

COLUMNS = (
    *("dataset", "title", "metric", "method", "supervision", "seeds", "budget", "labels"),
    *("minutes", "mean", "half"),
)


def curves_csv(sets: Iterable[CurveSet]) -> str:
    """A line per dataset, metric, method and budget, with nothing rounded; `half` as in `LabelCurve.half`."""
    from pandas import DataFrame

    lines = []
    for found in sets:
        common = {"dataset": found.dataset, "title": found.title, "metric": found.metric}
        for name, mean in found.levels.items():
            lines.append({**common, "method": name, "supervision": "none", "minutes": 0.0, "mean": mean})
        for curve in found.curves:
            own = {**common, "method": curve.name, "supervision": curve.track, "seeds": " ".join(map(str, curve.seeds))}
            half = curve.half if curve.half is not None else [None] * len(curve.budgets)
            for place, budget in enumerate(curve.budgets):
                counts = {"budget": budget, "labels": words.labels(curve.counts[place])}
                numbers = {"minutes": curve.minutes[place], "mean": curve.mean[place], "half": half[place]}
                lines.append({**own, **counts, **numbers})
    return csv_text(DataFrame(lines, columns=list(COLUMNS)))
