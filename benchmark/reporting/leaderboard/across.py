"""Over datasets: mean ranks of the rows that stand on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean

from benchmark.metrics import comparison
from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.leaderboard.standings import primary
from benchmark.reporting.leaderboard.standings_model import Board, MeanRanks
from benchmark.reporting.run_names import distinct_names

Figures = Mapping[str, float]


def mean_ranks(boards: Sequence[Board]) -> list[MeanRanks]:
    """Per metric and track, real and synthetic data apart, over complete boards of all slides.

    Boards of one dataset (folds, other options) are not independent: their figures are averaged first, and the dataset
    counts once (Demšar, JMLR 2006). Only rows that stand on every board of at least two datasets have a mean rank; a
    board that lacks one of two rows says nothing about which is better. With fewer than two such rows there is none.
    """
    found = []
    for synthetic in (False, True):
        alike = [board for board in boards if board.synthetic == synthetic and board.complete]
        chosen = [board for board in alike if not (board.drawn or board.elsewhere)]
        metrics = dict.fromkeys(metric for board in chosen for metric in primary(board))
        tracks = dict.fromkeys(row.supervision for board in chosen for row in board.rows)
        for metric in metrics:
            for track in tracks:
                ranks = _ranks(chosen, metric, track)
                found += [ranks] if ranks is not None else []
    return found


def _ranks(boards: Sequence[Board], metric: str, track: str) -> MeanRanks | None:
    tables: dict[tuple[str, str], dict[str, Figures]] = {}
    for board in boards:
        rows = [row for row in board.rows if row.supervision == track and metric in row.figures]
        if len(rows) > 1:
            figures = {row.label: row.figures[metric].mean for row in rows}
            tables.setdefault((board.dataset, board.content), {})[board.title] = figures
    if len(tables) < 2:
        return None
    every = [figures for of_dataset in tables.values() for figures in of_dataset.values()]
    shared = sorted(set.intersection(*map(set, every)))
    if len(shared) < 2:
        return None
    values = [[fmean(figures[label] for figures in of.values()) for label in shared] for of in tables.values()]
    components = dict.fromkeys(row.component for board in boards for row in board.rows if row.label in shared)
    means = comparison.ranks(values, higher_is_better=METRICS[metric].direction != "down")
    return MeanRanks(
        metric=metric,
        synthetic=boards[0].synthetic,
        boards=tuple(title for of_dataset in tables.values() for title in of_dataset),
        datasets=len(tables),
        ranks=dict(zip(shared, map(float, means), strict=True)),
        critical_difference=comparison.critical_difference(len(shared), len(tables)),
        friedman_p=comparison.friedman(values),
        track=track,
        names={component.label: name for component, name in distinct_names(list(components)).items()},
    )
