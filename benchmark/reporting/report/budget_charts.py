"""The charts of curves over budgets as the page and a file have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.errors import ConfigError
from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.budget_curves.curve_set import CurveSet
from benchmark.reporting.budget_curves.curve_words import page_notes
from benchmark.reporting.report.board_charts import Chart
from benchmark.reporting.report.budget_chart import budget_chart, label_chart
from benchmark.reporting.report.looks import look
from benchmark.reporting.report.svg import drawing, inline
from benchmark.storage import require_place, whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".svg", ".pdf")

HALF_A_LINE = 40
"""Letters of a name that leave room for a second column of names."""


def curve_charts(found: CurveSet, prefix: str) -> Iterator[Chart]:
    """Against minutes with everything that is to be said, and against labels."""
    title, bands = METRICS[found.metric].title, any(curve.half is not None for curve in found.curves)
    marks = [crossing.minutes for crossing in found.crossings if crossing.crosses]
    legend = tuple(
        (look(number), f"{curve.name} ({curve.track}), {len(curve.seeds)} seed{'s' * (len(curve.seeds) != 1)}")
        for number, curve in enumerate(found.curves)
    )
    lines = "Dashed: the quality that minutes are counted to. Dotted: crossings."
    notes = (*(["Bands: 95 % t-intervals over seeds."] if bands else []), lines, *page_notes(found))
    with drawing():
        picture = inline(
            budget_chart(found.curves, METRICS[found.metric], goal=found.goal, marks=marks), f"{prefix}-minutes", title
        )
        counted = inline(label_chart(found.curves, title), f"{prefix}-labels", title)
    yield Chart(f"{title} against label time, by budget", picture, legend, notes)
    yield Chart(f"{title} against labels, by budget", counted, legend)


def write_plot(sets: Sequence[CurveSet], out: Path) -> None:
    """The curves against minutes of one dataset and metric as a picture.

    Raises `ConfigError` for several, none, or another suffix than those of `SUFFIXES`.
    """
    if out.suffix not in SUFFIXES:
        raise ConfigError(f"--plot {out}: expected a name that ends in {', '.join(SUFFIXES)}", fix="--plot curves.png")
    if len(sets) != 1:
        told = "; ".join(each.title for each in sets) or "no curves"
        raise ConfigError(f"--plot draws one dataset and metric, here are {told}", fix="--dataset NAME --metric NAME")
    require_place(out)
    (found,) = sets
    marks = [crossing.minutes for crossing in found.crossings if crossing.crosses]
    with drawing():
        drawn = budget_chart(found.curves, METRICS[found.metric], goal=found.goal, marks=marks)
        names = [f"{curve.name} ({curve.track})" for curve in found.curves]
        name_lines(drawn, names)
        with whole_file(out) as temporary:
            drawn.savefig(temporary, format=out.suffix[1:])


def name_lines(drawn: Figure, names: Sequence[str]) -> None:
    """A legend of the first lines of a figure below it, in one column where two would run over its edge."""
    lines = list(drawn.axes[0].get_lines()[: len(names)])
    columns = 2 if max(map(len, names)) <= HALF_A_LINE else 1
    drawn.legend(lines, names, loc="outside lower left", ncols=columns, fontsize=8, frameon=False)
