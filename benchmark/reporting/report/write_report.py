"""The report: everything a leaderboard and the artifacts of its runs say, as one file that needs nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmark.errors import TrackingError
from benchmark.reporting import templating
from benchmark.reporting.leaderboard.build_boards import Filters
from benchmark.reporting.leaderboard.standings_model import Board, Leaderboard
from benchmark.reporting.leaderboard.transfer_tables import NOTES, transfer_sheets
from benchmark.reporting.leaderboard.transfers import transfers
from benchmark.reporting.report.board_charts import Chart, board_charts, rank_chart
from benchmark.reporting.report.budget_charts import curve_charts
from benchmark.reporting.report.gallery import ROWS, Strip, strips
from benchmark.reporting.report.repeat_commands import repeat_command
from benchmark.reporting.report.report_tables import (
    TaskTable,
    figure_text,
    metric_title,
    probability,
    task_tables,
    verdict,
)
from benchmark.reporting.report.row_evidence import Evidence
from benchmark.storage import require_place, whole_file
from benchmark.stored import Artifacts

TITLE = "Leaderboard"


@dataclass(frozen=True)
class BoardPart:
    """What the page shows of a board. `commands`: a row's name and what repeats it.

    Of a board with a budget: the tables; its charts are the curves over budgets, with the first board of its data.
    """

    of: Board
    tables: Sequence[TaskTable]
    charts: Sequence[Chart]
    strips: Sequence[Strip]
    left_out: int
    commands: Sequence[tuple[str, str]]


def write_report(board: Leaderboard, artifacts: Artifacts, out: Path) -> Path:
    """Write the page to `out`, whole or not at all; the same runs give the same bytes.

    Raises:
        ConfigError: the folder of `out` does not exist, or `out` is a folder.
        TrackingError: there is nothing to show.
    """
    require_place(out)
    page = render(board, artifacts)
    with whole_file(out) as temporary:
        temporary.write_text(page, encoding="utf-8", newline="\n")
    return out


def render(board: Leaderboard, artifacts: Artifacts) -> str:
    """The page as HTML, boards of real data first. Everything that comes from data is escaped.

    An artifact that a run does not have leaves a sentence in its place. Raises `TrackingError` for no run at all.
    """
    if not board.boards and not board.failures:
        msg = f"no run in {board.store} matches"
        raise TrackingError(msg, fix="bench leaderboard   # shows what there is; bench run … makes runs")
    ordered = sorted(board.boards, key=lambda each: each.synthetic)
    ranks = sorted(board.ranks, key=lambda each: each.synthetic)
    return templating.render(
        "report",
        title=TITLE,
        store=board.store,
        boards=[_part(each, artifacts, f"b{index}", board) for index, each in enumerate(ordered, start=1)],
        transfers=list(transfer_sheets(transfers(board, Filters()))),
        transfer_notes=NOTES,
        ranks=[rank_chart(each, f"r{index}") for index, each in enumerate(ranks, start=1)],
        failures=[replace(failure, label=failure.name or failure.label) for failure in board.failures],
        figure_text=figure_text,
        metric_title=metric_title,
        probability=probability,
        signed=_signed,
        verdict=verdict,
    )


def _part(board: Board, artifacts: Artifacts, prefix: str, whole: Leaderboard) -> BoardPart:
    evidence = [Evidence(artifacts, row, board.names[row.label]) for row in board.rows]
    return BoardPart(
        of=_named(board),
        tables=list(task_tables(board)),
        charts=[*_curves(board, whole, prefix), *(() if board.budget else board_charts(board, evidence, prefix))],
        strips=() if board.budget else strips(evidence),
        left_out=0 if board.budget else max(0, len(evidence) - ROWS),
        commands=[(board.names[row.label], repeat_command(board, row, whole.options)) for row in board.rows],
    )


def _curves(board: Board, whole: Leaderboard, prefix: str) -> Iterator[Chart]:
    """Curves over budgets stand with the first board of their data."""
    for number, found in enumerate(each for each in whole.curves if each.board == board.key):
        yield from curve_charts(found, f"{prefix}-curve{number}")


def _named(board: Board) -> Board:
    """The board as the page says it: rows by their names, and what tells it apart among its settings."""
    names = board.names
    return replace(
        board,
        settings=board.told_apart,
        content="",
        tests=tuple(
            replace(test, one=names.get(test.one, test.one), other=names.get(test.other, test.other))
            for test in board.tests
        ),
        published=tuple(replace(each, row=names.get(each.row or "", each.row)) for each in board.published),
        notes=tuple(filter(None, (board.shared, *board.notes))),
    )


def _signed(metric: str, value: float | None) -> str:
    if value is None:
        return "–"
    text = figure_text(metric, value)
    return text.replace("-", "−") if value < 0 else f"+{text}"
