"""`bench leaderboard --calibration`: which rows' scores are probabilities, and whose threshold is stable."""

from __future__ import annotations

from collections.abc import Iterator

from benchmark.metrics.calibration_report import CALIBRATION
from benchmark.reporting.leaderboard.leaderboard_tables import Sheet
from benchmark.reporting.leaderboard.leaderboard_words import number
from benchmark.reporting.leaderboard.standings_model import Board, Figure, Leaderboard, Row

SHOWN = tuple(
    f"calibration/{kind}_{name}" for kind in ("unit", "cell") for name in ("ece", "brier", "reliability", "resolution")
)
THRESHOLD, MISSED = "calibration/threshold", "calibration/threshold_missed"
REMARKS = (
    "by chance: the ECE that calibrated scores like these would have; an ECE below it says nothing. Resampling adds to "
    "the ECE, so that its interval may begin at it.",
    "ECE, Brier score, reliability: lower is better; resolution: higher is better (docs/calibration.md).",
    "±: standard deviation over seeds. [ ]: 95 % interval over patients, mean of the seeds' ends.",
    "resamples: middle 95 % of the thresholds that fewer patients (m = n^0.7) give; missed: the positives below them.",
)


def calibration_sheets(leaderboard: Leaderboard) -> Iterator[Sheet]:
    """Per board the figures of units and of cells, then the threshold at 100 % sensitivity over seeds and resamples."""
    for board in leaderboard.boards:
        for kind in ("unit", "cell"):
            names = [name for name in SHOWN if name.startswith(f"calibration/{kind}_")]
            rows = _ordered(board, names[1])
            if rows:
                yield Sheet(
                    f"{board.title}: calibration of {kind}s", _head(names), (tuple(_lines(board, rows, names)),)
                )
        rows = [row for row in board.rows if THRESHOLD in row.figures]
        if rows:
            head = ("supervision", "method", "seeds", "lowest", "highest", "resamples", "missed")
            lines = tuple(_threshold_line(board, row) for row in rows)
            yield Sheet(f"{board.title}: threshold at 100 % sensitivity", head, (lines,))


def _head(names: list[str]) -> tuple[str, ...]:
    titles = [CALIBRATION[name].title.partition(" of ")[0] for name in names]
    return ("supervision", "method", "seeds", titles[0], "by chance", *titles[1:])


def _ordered(board: Board, name: str) -> list[Row]:
    """Rows that have the figure, the best Brier score first."""
    rows = [row for row in board.rows if name in row.figures]
    return sorted(rows, key=lambda row: (row.figures[name].mean, row.label))


def _lines(board: Board, rows: list[Row], names: list[str]) -> Iterator[tuple[str, ...]]:
    for row in rows:
        figures = [number(row.figures.get(name), name) for name in names]
        chance = row.figures.get(f"{names[0]}_chance")
        figures.insert(1, "–" if chance is None else f"{chance.mean:.4f}")
        yield (row.supervision, board.names[row.label], str(len(row.seeds)), *figures)


def _threshold_line(board: Board, row: Row) -> tuple[str, ...]:
    seeds = [run.metrics[THRESHOLD] for run in row.runs if THRESHOLD in run.metrics]
    figure, missed = row.figures[THRESHOLD], row.figures.get(MISSED, Figure(float("nan")))
    ends = "–" if figure.low is None or figure.high is None else f"{figure.low:.4g} to {figure.high:.4g}"
    words = (f"{min(seeds):.4g}", f"{max(seeds):.4g}", ends, f"{missed.mean:.1%}")
    return (row.supervision, board.names[row.label], str(len(row.seeds)), *words)
