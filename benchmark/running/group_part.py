"""The figures of subgroups as the folded part of a run's page."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.subgroups import FEWEST, Column, Group, worst
from benchmark.reporting.folded import Folded, Sheet
from benchmark.reporting.templating import number


def group_part(columns: Sequence[Column]) -> Folded:
    """A table per column: its groups with the headline figures, the worst of each marked."""
    made = [column for column in columns if column.groups]
    said = [f"by {column.name}: {len(column.groups)} groups" for column in made]
    return Folded(
        title="Subgroups",
        summary="; ".join(said) or "no column of the data makes groups",
        sheets=[_sheet(column) for column in made],
        notes=[
            *(f"{column.name}: {column.refused}" for column in columns if column.refused),
            "95 % intervals over patients. ▼: the worst group, of those with a stated fact and at least "
            f"{FEWEST} slides; smaller groups have no interval.",
        ],
    )


def _sheet(column: Column) -> Sheet:
    metrics = list(dict.fromkeys(metric for group in column.groups for metric in group.values))
    lowest = {metric: worst(column.groups, metric) for metric in metrics}
    rows = [
        [
            group.name + (f" (only {group.slides})" if group.slides < FEWEST else ""),
            str(group.slides),
            str(group.patients),
            *(_cell(group, metric, lowest[metric] is group) for metric in metrics),
        ]
        for group in column.groups
    ]
    return Sheet([column.name, "slides", "patients", *(METRICS[metric].title for metric in metrics)], rows, column.name)


def _cell(group: Group, metric: str, lowest: bool) -> str:
    if metric not in group.values:
        return "–"
    ends = group.intervals.get(metric)
    within = f" [{number(ends[0])}, {number(ends[1])}]" if ends else ""
    return f"{number(group.values[metric])}{within}{' ▼' if lowest else ''}"
