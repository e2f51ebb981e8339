"""The charts of a board, drawn from its rows and their artifacts, with what has to be said where one is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.classification import clopper_pearson
from benchmark.metrics.image_facts import proportion
from benchmark.reporting.leaderboard.standings_model import TASKS, Board, MeanRanks, applies
from benchmark.reporting.report.charts import gain_chart, roc_chart
from benchmark.reporting.report.cost_chart import CostPoint, cost_chart, front, labelled
from benchmark.reporting.report.effort_chart import CEILINGS, METRIC, SHARE, Band, effort_chart, shown_part
from benchmark.reporting.report.looks import Look, look
from benchmark.reporting.report.report_tables import metric_title
from benchmark.reporting.report.row_evidence import Evidence
from benchmark.reporting.report.svg import drawing, inline
from benchmark.reporting.report.threshold_chart import spreads, threshold_chart, words
from benchmark.reporting.unit_square import gained_and_lost, slides_with_gain, specificity_at_100
from benchmark.stored import MissingError
from benchmark.supervision import Supervision

AUC = "image/auc"


@dataclass(frozen=True)
class Chart:
    """A picture with its legend (look, text) and sentences under it. `svg` is empty where nothing can be drawn."""

    title: str
    svg: str = ""
    legend: tuple[tuple[Look, str], ...] = ()
    notes: tuple[str, ...] = ()


def board_charts(board: Board, evidence: Sequence[Evidence], prefix: str) -> Iterator[Chart]:
    """ROC, thresholds, F1 against the coarse annotation, macro F1 over reviews, a metric against label cost per task.

    Args:
        board: its rows give the looks.
        evidence: of each row, in the board's order.
        prefix: unique in the page, for ids.
    """
    yield from _roc(evidence, f"{prefix}-roc")
    yield from _thresholds(evidence, f"{prefix}-threshold")
    yield from _gains(evidence, f"{prefix}-coarse")
    yield from _effort(evidence, f"{prefix}-effort")
    for place, (task, metrics) in enumerate(TASKS.items()):
        rows = [row for row in board.rows if applies(task, row)]
        present = [name for name in metrics if any(name in row.figures for row in rows)]
        if present:
            yield from _cost(board, task, present[0], f"{prefix}-cost{place}")


def rank_chart(ranks: MeanRanks, prefix: str) -> Chart:
    """Mean ranks over datasets with the critical difference."""
    from benchmark.reporting.rank_figure import critical_difference_figure

    kind = "synthetic" if ranks.synthetic else "real"
    track = f", {ranks.track}" if ranks.track else ""
    title = f"Mean ranks by {metric_title(ranks.metric)} over {ranks.datasets} {kind} datasets{track}"
    named = {ranks.names.get(label, label): rank for label, rank in ranks.ranks.items()}
    with drawing():
        drawn = critical_difference_figure(named, ranks.critical_difference, title="")
        picture = inline(drawn, prefix, title)
    friedman = "no p" if ranks.friedman_p is None else f"p = {ranks.friedman_p:.3g}"
    said = f"Friedman test: {friedman}. Critical difference (Nemenyi): {ranks.critical_difference:.2f}."
    return Chart(title, picture, notes=(said, f"Boards: {'; '.join(ranks.boards)}."))


def _roc(evidence: Sequence[Evidence], prefix: str) -> Iterator[Chart]:
    curves, legend, notes = [], [], []
    for index, each in enumerate(evidence):
        if AUC not in each.row.figures:
            continue
        try:
            labels, scores = each.units
        except MissingError as missing:
            notes.append(missing.what)
            continue
        if set(np.unique(labels).tolist()) != {0, 1}:
            notes.append(f"{each.name}: a ROC curve needs positive and negative units.")
            continue
        curves.append((look(index), labels, scores))
        positive = scores[labels == 1]
        within = clopper_pearson(positive.size, positive.size) if each.alone else None
        bound = f"score ≥ {positive.min():.4g}; found {proportion(positive.size, positive.size, within)}"
        said = f"{each.name}: specificity {specificity_at_100(labels, scores):.3f} at 100 % sensitivity ({bound})"
        legend.append((look(index), said))
    if curves or notes:
        title = "ROC of the units, lowest seed, with the point of 100 % sensitivity"
        with drawing():
            picture = inline(roc_chart(curves), prefix, title) if curves else ""
        yield Chart(title, picture, tuple(legend), tuple(notes))


def _thresholds(evidence: Sequence[Evidence], prefix: str) -> Iterator[Chart]:
    rows = [(look(index), each.name, spreads(each.row)) for index, each in enumerate(evidence)]
    rows = [row for row in rows if row[2]]
    if rows:
        title = "Threshold at 100 % sensitivity of each seed, with its range over resampled patients"
        with drawing():
            picture = inline(threshold_chart([(each, seeds) for each, _, seeds in rows]), prefix, title)
        note = "Mark: the lowest positive score of a seed. Bar: middle 95 % of the thresholds of resampled patients."
        yield Chart(title, picture, tuple((each, words(name, seeds)) for each, name, seeds in rows), (note,))


def _gains(evidence: Sequence[Evidence], prefix: str) -> Iterator[Chart]:
    marks, legend, notes = [], [], []
    for index, each in enumerate(evidence):
        if Supervision.COARSE.value not in each.row.supervision.split("+"):
            continue
        try:
            slides = slides_with_gain(each.slides)
        except MissingError as missing:
            notes.append(missing.what)
            continue
        if slides.empty:
            notes.append(f"{each.name}: no slide has both F1.")
            continue
        marks.append((look(index), slides))
        better, worse = gained_and_lost(slides)
        legend.append((look(index), f"{each.name}: {len(slides)} slides, {better} better, {worse} worse"))
    if marks or notes:
        title = "F1 of every slide against its coarse annotation's, lowest seed"
        with drawing():
            picture = inline(gain_chart(marks), prefix, title) if marks else ""
        yield Chart(title, picture, tuple(legend), tuple(notes))


def _effort(evidence: Sequence[Evidence], prefix: str) -> Iterator[Chart]:
    """Of the rows of which an expert reviewed, a chart per track: training slides, or each slide by itself."""
    reviewing = [row for row in enumerate(evidence) if Supervision.REVIEW.value in row[1].row.supervision]
    full = [each.row.figures for each in evidence if Supervision.FULL.value in each.row.supervision.split("+")]
    heights = [[row[name].mean for row in full if name in row] for name in CEILINGS]
    ceiling = max(next(filter(None, heights), []), default=None)
    for number, track in enumerate(dict.fromkeys(each.row.supervision for _, each in reviewing)):
        rows, notes = [], []
        for index, each in reviewing:
            if each.row.supervision == track:
                try:
                    rows.append((index, each, each.effort))
                except MissingError as missing:
                    notes.append(missing.what)
        part = shown_part([runs for *_, runs in rows])
        bands, legend = [], []
        for index, each, runs in rows if part else []:
            band = Band.of(look(index), [run[f"{part}/{METRIC}"] for run in runs])
            if band is not None:
                bands.append(band)
                goal = None if ceiling is None else SHARE * ceiling
                legend.append((look(index), f"{each.name}: {band.words(goal)}"))
        if bands or notes:
            title = f"Macro F1 of {(part or 'cells').replace('_', '-')} cells over reviews, track {track}"
            if ceiling is not None:
                notes.append(f"Lines: full supervision ({ceiling:.3f}, the best row of its track), and 95 % of it.")
            if any(band.half is not None for band in bands):
                notes.append("Bands: 95 % t-intervals over seeds.")
            with drawing():
                picture = inline(effort_chart(bands, ceiling=ceiling), f"{prefix}{number}", title) if bands else ""
            yield Chart(title, picture, tuple(legend), tuple(notes))


def _cost(board: Board, task: str, metric: str, prefix: str) -> Iterator[Chart]:
    points, without = [], []
    for index, row in enumerate(board.rows):
        figure = row.figures.get(metric)
        if figure is None or not applies(task, row):
            continue
        if row.minutes is None:
            without.append(board.names[row.label])
            continue
        points.append(CostPoint(board.names[row.label], look(index), row.minutes, figure.mean, figure.std))
    if not points and not without:
        return
    info = METRICS[metric]
    title = f"{info.title} against label time"
    notes = [f"Without a label time: {', '.join(without)}."] if without else []
    picture = ""
    if points:
        up = info.direction != "down"
        notes.append(f"On the line: {', '.join(point.label for point in front(points, up=up))}.")
        with drawing():
            picture = inline(cost_chart(points, info.title, up=up), prefix, title)
    legend = () if labelled(points) else tuple((point.look, point.label) for point in points)
    yield Chart(title, picture, legend, tuple(notes))
