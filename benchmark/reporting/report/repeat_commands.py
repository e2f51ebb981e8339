"""The command that repeats a row."""

from __future__ import annotations

from benchmark.reporting.command import miniature_words, run_command
from benchmark.reporting.leaderboard.standings_model import Board, Row


def repeat_command(board: Board, row: Row) -> str:
    """`bench run …` with everything that makes the row, for a shell; data of a folder is found by BENCH_DATA."""
    return run_command(
        method=row.method,
        dataset=board.dataset,
        preset=row.preset,
        seeds=row.seeds,
        variant=row.variant,
        refit=row.refit,
        settings=board.settings,
        extra=miniature_words(board.miniature),
    )
