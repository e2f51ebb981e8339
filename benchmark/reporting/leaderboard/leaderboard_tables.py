"""The leaderboard on a terminal, in Markdown and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from benchmark.metrics.catalogue import METRICS
from benchmark.reporting.budget_curves.curve_set import curve_facts
from benchmark.reporting.leaderboard import leaderboard_words as words
from benchmark.reporting.leaderboard.build_boards import Filters
from benchmark.reporting.leaderboard.standings_model import (
    TASKS,
    Board,
    Leaderboard,
    MeanRanks,
    PairTest,
    Published,
    Row,
    applies,
)
from benchmark.reporting.paired import mark

if TYPE_CHECKING:
    from rich.console import RenderableType

MOST_METRICS = 4
"""Metrics in one table of the terminal and of Markdown; CSV, JSON and the report have all."""

WIDE = frozenset(
    (
        *("group", "supervision", "method", "pair", "labels", "reason", "run", "our row", "source", "metric"),
        *("metric, supervision", "prices", "better"),
    )
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

LEAST = {"group": 16, "supervision": 8, "method": 20, "labels": 12, "pair": 30}
"""Columns that a narrow terminal must not squeeze further."""

MOST_ROWS = 15
"""Rows of a track in one table of the terminal and of Markdown."""

NOTES = (
    "rank: 1 + rows of the same track that are significantly better (p ≤ 0.05, Holm); = a tie, ( ) not tested.",
    "±: standard deviation over seeds. [ ]: 95 % interval over patients, mean of the seeds' ends.",
    "spec@100: specificity at 100 % sensitivity, threshold from the test units; @val: threshold from validation.",
    "label cost: minutes of an expert by the cost model (--cost-model), an estimate. s: wall seconds as if run alone.",
)


@dataclass(frozen=True)
class Sheet:
    """One table: a title, the columns, and groups of rows, whose first column says what they have in common."""

    title: str
    columns: tuple[str, ...]
    groups: tuple[tuple[tuple[str, ...], ...], ...]
    notes: tuple[str, ...] = ()


def sheets(
    leaderboard: Leaderboard, filters: Filters, *, pairs: bool, rows: int = MOST_ROWS, published: bool = True
) -> Iterator[Sheet]:
    """Every table of the leaderboard as text: per board and task the rows, then tests, published numbers, ranks.

    `pairs`: with every paired test; the ranks already say what follows from them. `rows`: of one track, at most.
    `published`: also published numbers of methods that no row is.
    """
    for board in leaderboard.boards:
        for task in TASKS:
            rows_of_task = [row for row in board.rows if applies(task, row)]
            columns = [name for name in filters.columns(task) if any(name in row.figures for row in rows_of_task)]
            if columns:
                yield _task_sheet(board, task, columns[:MOST_METRICS], rows)
        if board.tests and pairs:
            yield _test_sheet(board)
        if board.published:
            yield _published_sheet(board, published)
    for ranks in leaderboard.ranks:
        yield _rank_sheet(ranks, rows)
    if leaderboard.failures:
        head = ("run", "dataset", "seed", "state", "reason")
        lost = tuple((f.name or f.label, f.dataset, f.seed, f.state, f.reason) for f in leaderboard.failures)
        yield Sheet("Not finished", head, (lost,))


def _task_sheet(board: Board, task: str, columns: Sequence[str], most: int) -> Sheet:
    titles = [SHORT.get(name, METRICS[name].title.removesuffix(" per slide")) for name in columns]
    head = ("supervision", "rank", "method", "seeds", *titles, "labels", "label cost", "s", "MiB")
    groups = []
    for track, rows in board.tracks().items():
        shown = [row for row in rows if applies(task, row) and any(name in row.figures for name in columns)]
        order = board.ordered(columns[0], shown)
        lines = [(track, *_line(board, row, columns)) for row in order[:most]]
        if len(order) > most:
            lines.append(("", "", f"… and {len(order) - most} more", *("" for _ in head[3:])))
        groups += [_once(lines)] if lines else []
    notes = tuple(filter(None, (board.shared, *board.notes)))
    return Sheet(f"{board.title}: {task}{_OVER.get(task, '')}", head, tuple(groups), notes)


def _once(lines: Sequence[tuple[str, ...]]) -> tuple[tuple[str, ...], ...]:
    """The lines with their first cell in the first line alone."""
    return tuple(("" if place else line[0], *line[1:]) for place, line in enumerate(lines))


def _line(board: Board, row: Row, columns: Sequence[str]) -> tuple[str, ...]:
    standing = board.standings.get(columns[0], {}).get(row.label)
    figures = [words.number(row.figures.get(name), name, full=place == 0) for place, name in enumerate(columns)]
    rank = "–" if standing is None else standing.text
    cost = (words.labels(row.labels), words.minutes(row.minutes), words.seconds(row), words.memory(row))
    return (rank, board.names[row.label], str(len(row.seeds)), *figures, *cost)


def _test_sheet(board: Board) -> Sheet:
    groups: dict[str, list[tuple[str, ...]]] = {}
    for test in board.tests:
        common = f"{METRICS[test.metric].title}, {test.track}"
        groups.setdefault(common, []).append((common, *_test_line(test, board.names)))
    columns = ("metric, supervision", "pair", "test", "pairs", "difference", "p (Holm)", "")
    return Sheet(f"{board.title}: paired tests", columns, tuple(map(_once, groups.values())))


def _test_line(test: PairTest, names: Mapping[str, str]) -> tuple[str, ...]:
    pair = f"{names[test.one]} – {names[test.other]}"
    if test.refused:
        return (pair, test.kind, "–", "–", "–", test.refused)
    difference = "–" if test.difference is None else f"{test.difference:+.{words.digits(test.metric)}f}"
    if test.p is None:
        return (pair, test.kind, str(test.pairs), difference, "–", "equal everywhere")
    return (
        pair,
        test.kind,
        str(test.pairs),
        difference,
        f"{test.p:.2g}",
        mark(test.p, test.direction, test.difference),
    )


def _published_sheet(board: Board, everything: bool) -> Sheet:
    groups: dict[str, list[tuple[str, ...]]] = {}
    shown = [number for number in board.published if everything or number.ours is not None]
    for number in shown:
        source = f"{number.reference.paper}, {number.reference.source}"
        line = (source, *_beside(number, board.names))
        protocol = f"quoted, {number.reference.quoted}" if number.reference.quoted else number.reference.protocol
        groups.setdefault(f"{source}: {protocol}", []).append(line)
    columns = ("source", "method", "metric", "published", "ours", "gap", "our row")
    left = len(board.published) - len(shown)
    more = (f"{left} published numbers of methods that have no row here: --published shows them",) if left else ()
    return Sheet(f"{board.title}: published numbers", columns, tuple(map(_once, groups.values())), (*groups, *more))


def _beside(number: Published, names: Mapping[str, str]) -> tuple[str, ...]:
    reference = number.reference
    places = words.digits(reference.stored)
    spread = "" if reference.spread is None else f" ± {reference.spread:.{places}f}"
    printed = (reference.label, reference.stored, f"{reference.value:.{places}f}{spread}")
    if number.ours is None or number.row is None:
        return (*printed, "–", "–", "–")
    gap = "other protocol" if number.gap is None else f"{number.gap:+.{places}f}"
    return (*printed, f"{number.ours:.{places}f}", gap, names[number.row])


def _rank_sheet(ranks: MeanRanks, most: int) -> Sheet:
    kind = "synthetic" if ranks.synthetic else "real"
    ordered = sorted(ranks.ranks.items(), key=lambda item: (item[1], item[0]))
    friedman = "" if ranks.friedman_p is None else f"; Friedman p = {ranks.friedman_p:.2g}"
    note = f"critical difference (Nemenyi, 0.05): {ranks.critical_difference:.2f}{friedman}"
    over = f"over {ranks.datasets} {kind} datasets, supervision: {ranks.track}"
    title = f"Mean ranks by {METRICS[ranks.metric].title} {over}"
    lines = [(ranks.names.get(label, label), f"{rank:.2f}") for label, rank in ordered[:most]]
    lines += [(f"… and {len(ordered) - most} more", "")] if len(ordered) > most else []
    return Sheet(title, ("method", "mean rank"), (tuple(lines),), (note,))


def as_tables(
    leaderboard: Leaderboard, filters: Filters, *, pairs: bool, rows: int = MOST_ROWS, published: bool = True
) -> Iterator[RenderableType]:
    """For the terminal."""
    yield from rich_tables(sheets(leaderboard, filters, pairs=pairs, rows=rows, published=published))


def rich_tables(found: Iterable[Sheet]) -> Iterator[RenderableType]:
    """Tables for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    for sheet in found:
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
    leaderboard: Leaderboard, filters: Filters, *, pairs: bool, rows: int = MOST_ROWS, published: bool = True
) -> str:
    """GitHub's tables."""
    return markdown(sheets(leaderboard, filters, pairs=pairs, rows=rows, published=published), remarks_of(leaderboard))


def remarks_of(leaderboard: Leaderboard) -> tuple[str, ...]:
    """What stands under the tables of the terminal and of Markdown."""
    painted = "(synthetic): painted or composed slides; numbers of papers are not shown beside them."
    return (*NOTES, *([painted] if any(board.synthetic for board in leaderboard.boards) else []))


def markdown(found: Iterable[Sheet], remarks: Sequence[str] = NOTES) -> str:
    """GitHub's tables, with the remarks under them."""
    lines: list[str] = []
    for sheet in found:
        lines += [
            f"### {sheet.title}",
            "",
            _row(sheet.columns),
            "|" + "---|" * len(sheet.columns),
        ]
        lines += [_row(line) for group in sheet.groups for line in group]
        lines += ["", *(f"* {note}" for note in sheet.notes), *([""] if sheet.notes else [])]
    return "\n".join([*lines, *(f"* {note}" for note in remarks)]) + "\n"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def as_json(leaderboard: Leaderboard) -> str:
    """Everything, as nested objects; a run is its id."""
    content = {
        "store": leaderboard.store,
        "boards": [_board_content(board) for board in leaderboard.boards],
        **({"curves": [curve_facts(found) for found in leaderboard.curves]} if leaderboard.curves else {}),
        "mean_ranks": [_without(asdict(ranks), "names") for ranks in leaderboard.ranks],
        "not_finished": [_without(asdict(failure), "name") for failure in leaderboard.failures],
    }
    return json.dumps(content, indent=1, allow_nan=False) + "\n"


def _without(fields: dict[str, Any], name: str) -> dict[str, Any]:
    """The fields without the names of a table, which are for the eye."""
    return {key: value for key, value in fields.items() if key != name}


def _board_content(board: Board) -> dict[str, Any]:
    return {
        "dataset": board.dataset,
        "settings": board.told_apart,
        **{name: getattr(board, name) for name in ("synthetic", "used", "expected", "notes")},
        "rows": [_row_content(board, row) for row in board.rows],
        "tests": [asdict(test) for test in board.tests],
        "published": [asdict(published) for published in board.published],
    }


def _row_content(board: Board, row: Row) -> dict[str, Any]:
    fields = ("label", "method", "refit", "variant", "preset", "supervision", "seeds", "minutes")
    standings = {metric: ranks[row.label] for metric, ranks in board.standings.items() if row.label in ranks}
    return {
        **{name: getattr(row, name) for name in fields},
        "runs": [run.id for run in row.runs],
        "published_in": row.origin,
        "labels": row.labels,
        "figures": {name: asdict(figure) for name, figure in row.figures.items()},
        "ranks": {metric: asdict(standing) for metric, standing in standings.items()},
    }
