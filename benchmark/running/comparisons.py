"""After a matrix: which refiners differ, slide by slide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmark.registry import methods
from benchmark.reporting.paired import paired_table
from benchmark.supervision import Supervision

if TYPE_CHECKING:
    from rich.table import Table

    from benchmark.running.run import Outcome

METRICS = ("pixel/f1", "pixel/accuracy")
"""What LC-MIL's pairwise tests compare."""


def comparisons(outcomes: Sequence[Outcome]) -> Iterator[Table]:
    """Paired tables of the runs that refine coarse annotations, one per dataset, seed and metric.

    Runs of other methods are not among them: what tells those apart is no matter of single slides alone.
    """
    groups: dict[tuple[str, int], dict[str, Sequence[Mapping[str, Any]]]] = {}
    for outcome in outcomes:
        spec = outcome.spec
        if outcome.rows and Supervision.COARSE in methods().load(spec.method).supervision:
            label = " ".join(filter(None, (spec.method, spec.variant)))
            groups.setdefault((spec.dataset, spec.seed), {})[label] = outcome.rows
    for (dataset, seed), rows in groups.items():
        for metric in METRICS:
            table = paired_table(rows, metric)
            if table is not None:
                table.title = f"{table.title or metric} on {dataset}, seed {seed}"
                yield table
