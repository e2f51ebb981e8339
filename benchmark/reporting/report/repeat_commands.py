"""The command that repeats a row."""

from __future__ import annotations

from collections.abc import Sequence

from benchmark.reporting.command import run_command, stored_words
from benchmark.reporting.leaderboard.standings_model import Board, Row


def repeat_command(board: Board, row: Row, options: Sequence[str] = ()) -> str:
    """`bench run …` with everything that makes the row, for a shell; `options` stand at its end.

    The row is finished, so that without `--force` the command would find it done.
    """
    return run_command(
        method=row.method,
        dataset=board.dataset,
        preset=row.preset,
        seeds=row.seeds,
        variant=row.variant,
        refit=row.refit,
        settings=board.settings,
        extra=[*stored_words(row.runs[0].tags), *options, "--force"],
    )
