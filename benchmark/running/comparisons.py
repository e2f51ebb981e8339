"""After a matrix: which refiners differ, slide by slide."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from benchmark.registry import methods
from benchmark.reporting.paired import paired_table, too_few
from benchmark.running.closing_table import names_of
from benchmark.supervision import Supervision

if TYPE_CHECKING:
    from rich.table import Table

    from benchmark.running.outcome import Outcome

METRICS = ("pixel/f1", "pixel/accuracy")
"""What LC-MIL's pairwise tests compare."""


COLUMNS = {
    "slide/accuracy": "accuracy",
    "slide/tpr": "TPR",
    "slide/ppv": "PPV",
    "slide/f1": "F1",
    "slide/cleaned": "cleaned %",
    "slide/mis_modified": "mis-mod. %",
}
"""LC-MIL's Table I."""


def refinement_tables(outcomes: Sequence[Outcome]) -> Iterator[Table]:
    """Per dataset, the columns of LC-MIL's Table I of the runs that refine annotations."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    refined = [outcome for outcome in outcomes if _refines(outcome) and "slide/f1" in outcome.metrics]
    for dataset in dict.fromkeys(outcome.spec.place for outcome in refined):
        title = f"Per slide on {dataset}, mean ± standard deviation"
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=title, title_justify="left")
        table.add_column("run", overflow="fold")
        for column in COLUMNS.values():
            table.add_column(column, justify="right", no_wrap=True)
        shown = [outcome for outcome in refined if outcome.spec.place == dataset]
        names = names_of([outcome.spec for outcome in shown], preset=False)
        for name, outcome in zip(names, shown, strict=True):
            few = bool(too_few(len(outcome.rows)))
            digits = {column: 1 if heading.endswith("%") else 3 for column, heading in COLUMNS.items()}
            table.add_row(
                f"{name} seed {outcome.spec.seed}",
                *(_cell(outcome.metrics, column, places, few) for column, places in digits.items()),
            )
        yield table


def _cell(metrics: Mapping[str, float], name: str, digits: int, few: bool) -> str:
    if name not in metrics:
        return "–"
    spread = None if few else metrics.get(f"{name}.std")
    return f"{metrics[name]:.{digits}f}" + ("" if spread is None else f" ± {spread:.{digits}f}")


def _refines(outcome: Outcome) -> bool:
    return bool(outcome.rows) and Supervision.COARSE in methods().load(outcome.spec.method).supervision


def comparisons(outcomes: Sequence[Outcome]) -> Iterator[Table]:
    """Paired tables of the runs that refine coarse annotations, one per dataset, seed and metric.

    Other methods are left out: they do not differ slide by slide alone.
    """
    groups: dict[tuple[str, int], list[Outcome]] = {}
    for outcome in outcomes:
        if _refines(outcome):
            groups.setdefault((outcome.spec.place, outcome.spec.seed), []).append(outcome)
    for (dataset, seed), members in groups.items():
        names = names_of([outcome.spec for outcome in members], preset=False)
        rows = {name: outcome.rows for name, outcome in zip(names, members, strict=True)}
        for metric in METRICS:
            table = paired_table(rows, metric)
            if table is not None:
                table.title = f"{table.title or metric} on {dataset}, seed {seed}"
                yield table
