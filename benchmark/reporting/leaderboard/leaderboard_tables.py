"""The leaderboard on a terminal, in Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmark.metrics.catalogue import METRICS
from benchmark.metrics.statistics import stars
from benchmark.reporting.leaderboard import leaderboard_words as words
from benchmark.reporting.leaderboard.rows import Filters
from benchmark.reporting.leaderboard.standings_model import (
    TASKS,
    Board,
    Leaderboard,
    MeanRanks,
    PairTest,
    Published,
    Row,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_METRICS = 4
"""Metrics in one table of the terminal and of Markdown; CSV, JSON and the report have all."""

WIDE = frozenset(
    ("supervision", "method", "pair", "labels", "reason", "run", "our row", "source", "metric", "metric, supervision")
)
"""Columns of words; the others hold numbers."""

SHORT = {
    "image/specificity_at_100": "spec@100",
    "image/specificity_at_99": "spec@99",
    "image/sensitivity_at_val": "sens@val",
    "image/specificity_at_val": "spec@val",
    "object/hausdorff": "Hausdorff",
    "slide/mis_modified": "mis-mod.",
}
"""Headings that fit; the notes say what they are."""

_OVER = {"refinement": " (means over slides)"}

CSV_COLUMNS = (
    *("dataset", "settings", "data", "slides", "expected"),
    *("supervision", "method", "refit", "variant", "preset", "seeds"),
    *(
        "metric",
        "mean",
        "std",
        "low",
        "high",
        "rank",
        "labels",
        "minutes",
        "seconds",
        "cpu_seconds",
        "peak_mib",
        "runs",
    ),
)

LEAST = {"supervision": 8, "method": 20, "labels": 12, "pair": 30}
"""Columns that a narrow terminal must not squeeze further."""

MOST_ROWS = 15
"""Rows of a track in one table of the terminal and of Markdown."""

NOTES = (
    "rank: 1 + rows of the same track that are significantly better (p ≤ 0.05, Holm); = a tie, ( ) not tested.",
    "±: standard deviation over seeds. [ ]: 95 % interval over patients, mean of the seeds' ends.",
    "spec@100: specificity at 100 % sensitivity, threshold from the test units; @val: threshold from validation.",
    "label cost: minutes of an expert by the cost model (--cost-model), an estimate. s: wall seconds as if alone.",
)


@dataclass(frozen=True)
class Sheet:
    """One table: a title, the columns, and groups of rows, whose first column says what they have in common."""

    title: str
    columns: tuple[str, ...]
    groups: tuple[tuple[tuple[str, ...], ...], ...]
    notes: tuple[str, ...] = ()


def sheets(
    board: Leaderboard, filters: Filters, *, pairs: bool, rows: int = MOST_ROWS, published: bool = True
) -> Iterator[Sheet]:
    """Every table of the leaderboard as text: per board and task the rows, then tests, published numbers, ranks.

    `pairs`: with every paired test; the ranks already say what follows from them. `rows`: of one track, at most.
    `published`: also published numbers of methods that no row is.
    """
    for one in board.boards:
        for task in TASKS:
            columns = [name for name in filters.columns(task) if any(name in row.figures for row in one.rows)]
            if columns:
                yield _task_sheet(one, task, columns[:MOST_METRICS], rows)
        if one.tests and pairs:
            yield _test_sheet(one)
        if one.published:
            yield _published_sheet(one, published)
    for ranks in board.ranks:
        yield _rank_sheet(ranks, rows)
    if board.failures:
        head = ("run", "dataset", "seed", "state", "reason")
        lost = tuple((f.label, f.dataset, f.seed, f.state, f.reason) for f in board.failures)
        yield Sheet("Not finished", head, (lost,))


def _task_sheet(board: Board, task: str, columns: Sequence[str], most: int) -> Sheet:
    titles = [SHORT.get(name, METRICS[name].title.removesuffix(" per slide")) for name in columns]
    head = ("supervision", "rank", "method", "seeds", *titles, "labels", "label cost", "s", "MiB")
    groups = []
    for track, rows in board.tracks().items():
        shown = [row for row in rows if any(name in row.figures for name in columns)]
        best = columns[0]
        order = sorted(shown, key=lambda row: _order(board, best, row))
        lines = [(track, *_line(board, row, columns)) for row in order[:most]]
        if len(order) > most:
            lines.append(("", "", f"… and {len(order) - most} more", *("" for _ in head[3:])))
        groups += [_once(lines)] if lines else []
    return Sheet(f"{board.title}: {task}{_OVER.get(task, '')}", head, tuple(groups), board.notes)


def _once(lines: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The lines with their first cell in the first line alone."""
    return tuple(("" if place else line[0], *line[1:]) for place, line in enumerate(lines))


def _order(board: Board, metric: str, row: Row) -> tuple[float, float, str]:
    standing = board.standings.get(metric, {}).get(row.label)
    mean = row.mean(metric)
    direction = -1 if METRICS[metric].direction == "down" else 1
    rank = float("inf") if standing is None else float(standing.rank)
    return (rank, float("inf") if mean is None else -direction * mean, row.label)


def _line(board: Board, row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    standing = board.standings.get(columns[0], {}).get(row.label)
    figures = [words.number(row.figures.get(name), name, full=place == 0) for place, name in enumerate(columns)]
    rank = "–" if standing is None else standing.text
    cost = (words.labels(row.labels), words.minutes(row.minutes), words.seconds(row), words.memory(row))
    return (rank, row.label, str(len(row.seeds)), *figures, *cost)


def _test_sheet(board: Board) -> Sheet:
    groups: dict[str, list[tuple[str, ...]]] = {}
    for test in board.tests:
        common = f"{METRICS[test.metric].title}, {test.track}"
        groups.setdefault(common, []).append((common, *_test_line(test)))
    columns = ("metric, supervision", "pair", "test", "pairs", "difference", "p (Holm)", "")
    return Sheet(f"{board.title}: paired tests", columns, tuple(map(_once, groups.values())))


def _test_line(test: PairTest) -> tuple[str, ...]:
    pair = f"{test.one} – {test.other}"
    if test.refused:
        return (pair, test.kind, "–", "–", "–", test.refused)
    difference = "–" if test.difference is None else f"{test.difference:+.{words.digits(test.metric)}f}"
    if test.p is None:
        return (pair, test.kind, str(test.pairs), difference, "–", "equal everywhere")
    return (pair, test.kind, str(test.pairs), difference, f"{test.p:.2g}", stars(test.p))


def _published_sheet(board: Board, everything: bool) -> Sheet:
    groups: dict[str, list[tuple[str, ...]]] = {}
    shown = [one for one in board.published if everything or one.ours is not None]
    for one in shown:
        source = f"{one.reference.paper}, {one.reference.source}"
        groups.setdefault(f"{source}: {one.reference.protocol}", []).append((source, *_beside(one)))
    columns = ("source", "method", "metric", "published", "ours", "gap", "our row")
    left = len(board.published) - len(shown)
    more = (f"{left} published numbers of methods that have no row here: --published shows them",) if left else ()
    return Sheet(f"{board.title}: published numbers", columns, tuple(map(_once, groups.values())), (*groups, *more))


def _beside(one: Published) -> tuple[str, ...]:
    reference = one.reference
    places = words.digits(reference.stored)
    spread = "" if reference.spread is None else f" ± {reference.spread:.{places}f}"
    ours = ("–", "–", "–") if one.ours is None else (f"{one.ours:.{places}f}", f"{one.gap:+.{places}f}", one.row or "")
    return (reference.label, reference.stored, f"{reference.value:.{places}f}{spread}", *ours)


def _rank_sheet(ranks: MeanRanks, most: int) -> Sheet:
    kind = "synthetic" if ranks.synthetic else "real"
    ordered = sorted(ranks.ranks.items(), key=lambda item: (item[1], item[0]))
    friedman = "" if ranks.friedman_p is None else f"; Friedman p = {ranks.friedman_p:.2g}"
    note = f"critical difference (Nemenyi, 0.05): {ranks.critical_difference:.2f}{friedman}"
    over = f"over {len(ranks.boards)} {kind} datasets, supervision: {ranks.track}"
    title = f"Mean ranks by {METRICS[ranks.metric].title} {over}"
    lines = [(label, f"{rank:.2f}") for label, rank in ordered[:most]]
    lines += [(f"… and {len(ordered) - most} more", "")] if len(ordered) > most else []
    return Sheet(title, ("method", "mean rank"), (tuple(lines),), (note,))


def as_tables(
    board: Leaderboard, filters: Filters, *, pairs: bool, rows: int = MOST_ROWS, published: bool = True
) -> Iterator[RenderableType]:
    """For the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    for sheet in sheets(board, filters, pairs=pairs, rows=rows, published=published):
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=sheet.title, title_justify="left", title_style="bold")
        for column in sheet.columns:
            wide = column in WIDE
            least = LEAST.get(column)
            table.add_column(
                column, overflow="fold", justify="left" if wide else "right", no_wrap=not wide, min_width=least
            )
        for group in sheet.groups:
            for line in group:
                table.add_row(*line)
            table.add_section()
        if sheet.groups:
            yield table
        yield from (Text(f"note: {note}", style="dim") for note in sheet.notes)


def as_markdown(
    board: Leaderboard, filters: Filters, *, pairs: bool, rows: int = MOST_ROWS, published: bool = True
) -> str:
    """GitHub's tables."""
    lines: list[str] = []
    for sheet in sheets(board, filters, pairs=pairs, rows=rows, published=published):
        lines += [
            f"### {sheet.title}",
            "",
            _row(sheet.columns),
            "|" + "---|" * len(sheet.columns),
        ]
        lines += [_row(line) for group in sheet.groups for line in group]
        lines += ["", *(f"* {note}" for note in sheet.notes), *([""] if sheet.notes else [])]
    return "\n".join([*lines, *(f"* {note}" for note in NOTES)]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_csv(board: Leaderboard, filters: Filters) -> str:
    """One line per board, row and metric, with nothing rounded."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    for one in board.boards:
        for row in one.rows:
            for name in _metrics(row, filters):
                figure = row.figures[name]
                standing = one.standings.get(name, {}).get(row.label)
                writer.writerow(
                    (
                        *(one.dataset, one.settings, "synthetic" if one.synthetic else "real", one.used, one.expected),
                        *(row.supervision, row.method, str(row.refit).lower(), row.variant, row.preset),
                        " ".join(map(str, row.seeds)),
                        *(name, figure.mean, figure.std, figure.low, figure.high),
                        *("" if standing is None else standing.text, words.labels(row.labels), row.minutes),
                        *(row.mean(f"cost/{cost}") for cost in ("seconds", "cpu_seconds", "peak_memory_mib")),
                        " ".join(run.id for run in row.runs),
                    )
                )
    return text.getvalue()


def _metrics(row: Row, filters: Filters) -> list[str]:
    shown = [name for task in TASKS for name in filters.columns(task)]
    return [name for name in dict.fromkeys((*shown, *filters.metrics)) if name in row.figures]


def as_json(board: Leaderboard) -> str:
    """Everything, as nested objects; a run is its id."""

    def plain(value: Any) -> Any:
        return value.id if hasattr(value, "artifact_uri") else asdict(value)

    content = {
        "store": board.store,
        "boards": [
            {
                **{
                    name: getattr(one, name)
                    for name in ("dataset", "settings", "synthetic", "used", "expected", "notes")
                },
                "rows": [
                    {
                        **{
                            name: getattr(row, name)
                            for name in ("label", "method", "variant", "preset", "supervision", "seeds", "minutes")
                        },
                        "refit": row.refit,
                        "runs": [plain(run) for run in row.runs],
                        "labels": row.labels,
                        "figures": {name: plain(figure) for name, figure in row.figures.items()},
                        "ranks": {
                            metric: plain(found[row.label])
                            for metric, found in one.standings.items()
                            if row.label in found
                        },
                    }
                    for row in one.rows
                ],
                "tests": [plain(test) for test in one.tests],
                "published": [plain(published) for published in one.published],
            }
            for one in board.boards
        ],
        "mean_ranks": [plain(ranks) for ranks in board.ranks],
        "not_finished": [plain(failure) for failure in board.failures],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
