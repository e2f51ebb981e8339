"""A comparison in the terminal, and as JSON with nothing rounded."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from benchmark.reporting.comparison import comparison_words as words
from benchmark.reporting.comparison.comparison_facts import Difference, Figure, SlideGap
from benchmark.reporting.comparison.specificity import PairedSpecificity
from benchmark.reporting.paired import TORN, PairedTest
from benchmark.stored import StoredRun

WIDTH = 110


def as_tables(difference: Difference) -> Iterator[RenderableType]:
    """Tables and sentences, each fit for 110 columns."""
    difference = words.with_short_names(difference)
    yield Text.assemble(("one    ", "bold"), words.called(difference.one))
    yield Text.assemble(("other  ", "bold"), words.called(difference.other))
    for note in difference.notes:
        yield Text(f"note: {note}", "yellow")
    if difference.refused:
        yield Text(words.caption(difference), "bold yellow")
    yield from _configuration(difference)
    yield from _figures(difference)
    yield from _specificities(difference)
    if difference.labels or difference.costs:
        yield _counts("Labels and cost", (*difference.labels, *difference.costs))
    yield from _slides(difference)


def as_json(difference: Difference) -> str:
    """The comparison as JSON; numbers as they are stored or computed."""
    content = {
        "one": _run(difference.one),
        "other": _run(difference.other),
        "difference": "one minus other",
        "refused": list(difference.refused),
        "notes": list(difference.notes),
        "settings": [asdict(setting) for setting in difference.settings],
        "equal_settings": difference.equal,
        "metrics": [_figure(figure) for figure in difference.figures],
        "specificities": [_specificity(pair) for pair in difference.specificities],
        "only_one": list(difference.lacking[0]),
        "only_other": list(difference.lacking[1]),
        "labels": [_figure(figure) for figure in difference.labels],
        "costs": [_figure(figure) for figure in difference.costs],
        "metric": difference.metric,
        "slides": [_gap(gap) for gap in difference.slides],
        "most_by_metric": [gap.slide for gap in difference.by_metric],
        "most_by_share": [gap.slide for gap in difference.by_share],
    }
    return json.dumps(_finite(content), indent=1, allow_nan=False) + "\n"


def _finite(content: Any) -> Any:
    """The same with null for numbers that JSON does not have, such as a loss that was logged as NaN."""
    if isinstance(content, dict):
        return {name: _finite(value) for name, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _run(run: StoredRun) -> dict[str, str]:
    return {"id": run.id, "name": run.name}


def _figure(figure: Figure) -> dict[str, Any]:
    return {
        "name": figure.name,
        "one": figure.one,
        "other": figure.other,
        "difference": figure.difference,
        "one_interval": figure.one_interval,
        "other_interval": figure.other_interval,
        "test": None if figure.test is None else _test(figure.test),
    }


def _test(test: PairedTest) -> dict[str, Any]:
    """The test without the means, which belong to the slides that both runs have, unlike the figures beside it."""
    return {name: value for name, value in asdict(test).items() if name != "means"}


def _specificity(pair: PairedSpecificity) -> dict[str, Any]:
    return {"rule": pair.rule, **asdict(pair)}


def _gap(gap: SlideGap) -> dict[str, Any]:
    return {**asdict(gap), "difference": gap.difference, "share": gap.share}


def _configuration(difference: Difference) -> Iterator[RenderableType]:
    folded = difference.folded
    table = _table("Configuration", ("", True), ("one", True), ("other", True))
    for pair in difference.listed:
        table.add_row(
            f"{pair.kind} {pair.name}",
            *(Text(words.DASH if value is None else value) for value in (pair.one, pair.other)),
        )
    if table.row_count:
        yield table
    more = f", of them {len(folded)} parameters that only one of the runs has (on the page)" if folded else ""
    yield Text(f"{len(difference.settings)} settings differ{more}; {difference.equal} are equal", "dim")


def _figures(difference: Difference) -> Iterator[RenderableType]:
    shown = [figure for figure in difference.figures if figure.main]
    columns = ("metric", "one", "95 %", "other", "95 %", "difference", "p (Holm)")
    table = _table("Metrics", (columns[0], True), *((column, False) for column in columns[1:]))
    for figure in shown:
        table.add_row(
            figure.name,
            words.text(figure.name, figure.one),
            words.within(figure.name, figure.one_interval),
            words.text(figure.name, figure.other),
            words.within(figure.name, figure.other_interval),
            words.signed(figure.name, figure.difference),
            "" if figure.test is None else words.p_value(figure.test.corrected),
        )
    if shown:
        yield table
        if not difference.refused:
            yield Text(words.caption(difference), "dim")
    else:
        yield Text("The two runs have no metric in common.", "yellow")
    for figure in shown:
        said = words.verdict(figure.test)
        if figure.test is not None and (figure.test.refused or figure.test.p is None or TORN in said):
            yield Text(f"{figure.name}: {said}", "dim")
    rest = len(difference.figures) - len(shown)
    if rest:
        yield Text(f"{rest} more figures (parts of the test slides, training) are on the page", "dim")
    for which, names in zip(("one", "other"), difference.lacking, strict=True):
        if names:
            yield Text(f"only `{which}` has: {', '.join(names)}", "dim")


def _specificities(difference: Difference) -> Iterator[RenderableType]:
    if not difference.specificities:
        return
    columns = ("thresholds", "one", "other", "difference", "95 %", "right alone", "p (Holm)")
    heading = "Specificity on the same negatives, at 100 % sensitivity on the units that set the threshold"
    table = _table(heading, ("threshold set by", True), *((name, False) for name in columns))
    for pair in difference.specificities:
        if pair.test is not None:
            table.add_row(pair.short_rule, *words.specificity(pair))
    if table.row_count:
        yield table
        yield Text(words.specificity_caption(difference.specificities), "dim")
    for pair in difference.specificities:
        if pair.refused:
            yield Text(f"{pair.metric}: not compared on the same negatives: {pair.refused}", "dim")


def _counts(heading: str, figures: Sequence[Figure]) -> Table:
    table = _table(heading, ("", True), ("one", False), ("other", False), ("difference", False))
    for figure in figures:
        numbers = [words.text(figure.name, value) for value in (figure.one, figure.other)]
        table.add_row(figure.name, *numbers, words.signed(figure.name, figure.difference))
    return table


def _slides(difference: Difference) -> Iterator[RenderableType]:
    name = difference.metric
    for heading, gaps in (
        (f"Slides with the largest difference of {name}", difference.by_metric),
        ("Slides on which the decisions differ most", difference.by_share),
    ):
        if not gaps:
            continue
        columns = [(column, False) for column in ("one", "other", "difference", "decisions differ on")]
        table = _table(heading, ("slide", True), *columns)
        for gap in gaps:
            values = [words.text(name, gap.one), words.text(name, gap.other), words.signed(name, gap.difference)]
            table.add_row(Text(gap.slide), *values, words.share(gap))
        yield table
    if difference.slides and not (difference.by_metric or difference.by_share):
        yield Text(f"The two runs do not differ on any of the {len(difference.slides)} slides.", "dim")


def _table(heading: str, *columns: tuple[str, bool]) -> Table:
    """An empty table; a column is a name and whether it is text, which folds, or a number, which does not."""
    table = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, title=heading, title_justify="left")
    for name, folds in columns:
        if folds:
            table.add_column(name, overflow="fold", min_width=12)
        else:
            table.add_column(name, justify="right", overflow="fold")
    return table
