"""How much the test patients move a metric of runs, read from the tables of the runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from benchmark.reporting.budget_curves.label_curve import Floats
from benchmark.reporting.budget_curves.resamples import influence_of_auc, influence_of_mean
from benchmark.reporting.leaderboard.standings import column_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from benchmark.stored import StoredRun

AUC = "image/auc"

Table = Callable[["StoredRun"], "DataFrame"]
"""Gives a table of a run, empty where the run has none."""


def influence_of_runs(
    metric: str, runs: Sequence[Sequence[StoredRun]], slides: Table | None, units: Table | None
) -> tuple[tuple[str, ...], Floats]:
    """The patients, and how much each moves the mean over seeds at each budget; none where a table is missing."""
    nothing: tuple[tuple[str, ...], Floats] = ((), np.zeros((0, 0)))
    if slides is None or units is None or (metric.startswith("image/") and metric != AUC):
        return nothing
    owner: dict[str, str] = {}
    for of_budget in runs:
        for run in of_budget:
            for table in [units(run), *([slides(run)] if metric != AUC else [])]:
                if "patient" in table:
                    known_of = table[table["patient"].notna()]
                    owner.update(zip(known_of["slide"], known_of["patient"].astype(str), strict=True))
    known = sorted(set(owner.values()))
    number = {patient: index for index, patient in enumerate(known)}
    rows = []
    for of_budget in runs:
        found = [_of_run(metric, run, slides, units, owner, number) for run in of_budget]
        if any(each is None for each in found):
            return nothing
        rows.append(np.mean([each for each in found if each is not None], axis=0))
    return tuple(known), np.array(rows)


def _of_run(
    metric: str,
    run: StoredRun,
    slides: Table,
    units: Table,
    owner: Mapping[str, str],
    number: Mapping[str, int],
) -> Floats | None:
    if metric == AUC:
        table = units(run)
        if table.empty or not np.isfinite(table["score"]).all() or table["label"].nunique() < 2:
            return None
        patients = [number[owner[slide]] for slide in table["slide"]]
        return influence_of_auc(table["label"].tolist(), table["score"].to_numpy(), patients, len(number))
    table, column = slides(run), column_of(metric)
    if column not in table or not set(table["slide"]) <= owner.keys():
        return None
    values: Floats = table[column].to_numpy(np.float64)
    if np.isnan(values).all():
        return None
    return influence_of_mean(values, [number[owner[slide]] for slide in table["slide"]], len(number))
