"""Results from published boards: a page of all, and what stands in them of each method."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import yaml
from tables import table

if TYPE_CHECKING:
    from pandas import DataFrame

    from benchmark.reporting.leaderboard.standings_model import Leaderboard

BOARDS = Path(__file__).parent.parent / "boards"
HEADLINES = ("pixel/miou", "image/auc", "image/specificity_at_100", "slide/f1", "class/f1_macro", "instance/auc")


@cache
def listed() -> Mapping[str, Mapping[str, str]]:
    """Folder → its heading, command and note, as `boards.yaml` has them."""
    return yaml.safe_load((BOARDS / "boards.yaml").read_text(encoding="utf-8"))


@cache
def _read(folder: str) -> Leaderboard:
    from benchmark.notebook import read_leaderboard
    from benchmark.publishing.board_reading import read_boards
    from benchmark.reporting.label_cost import read_cost_model
    from benchmark.reporting.leaderboard.build_boards import Filters

    boards = read_boards([BOARDS / folder], alone=True)
    return read_leaderboard(None, Filters(), cost=read_cost_model(None), folders=boards)


@cache
def _frame(folder: str) -> DataFrame:
    from benchmark.reporting.leaderboard.build_boards import Filters
    from benchmark.reporting.leaderboard.leaderboard_frame import as_frame

    return as_frame(_read(folder), Filters())


def page() -> str:
    """All boards, ranked anew."""
    return "\n".join(_boards())


def _boards() -> Iterator[str]:
    from benchmark.reporting.leaderboard.build_boards import Filters
    from benchmark.reporting.leaderboard.leaderboard_tables import as_markdown

    yield "# Boards\n\nRanked anew from stored runs, the folders that [`bench publish`](published-boards.md) wrote to"
    yield "`docs/boards`: `bench leaderboard --from docs/boards/NAME --no-store` says the same. What they say and do"
    yield "not say: [results](results.md).\n"
    for folder, facts in listed().items():
        yield f"## {facts['title']}\n\n```bash\n{facts['command']}\n```\n\n{facts['note']}\n"
        yield as_markdown(_read(folder), Filters(), pairs=False, rows=40, published=False)


def of_method(name: str) -> Iterator[str]:
    """The rows of one method, or nothing."""
    rows = []
    for folder, facts in listed().items():
        frame = _frame(folder)
        frame = frame[(frame["method"] == name) & frame["metric"].isin(HEADLINES) & frame["mean"].notna()]
        for row in frame.to_dict("records"):
            setting = " ".join(word for word in (row["preset"], row["variant"], "refit" * row["refit"]) if word)
            interval = "" if row["low"] != row["low"] else f" [{row['low']:.3f}, {row['high']:.3f}]"
            spread = "" if row["std"] != row["std"] else f" ± {row['std']:.3f}"
            figure = f"{row['mean']:.3f}{spread}{interval}"
            where = f"[{row['dataset']}](../../boards.md)"
            rows.append((where, setting, row["seeds"], f"`{row['metric']}`", figure, facts["title"]))
    if rows:
        yield "## Results\n\nMean over seeds ± deviation [95 % interval over patients]."
        yield "What can be read from them: [results](../../results.md).\n"
        yield from table(("dataset", "setting", "seeds", "metric", "", "board"), rows)
