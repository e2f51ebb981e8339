"""`bench leaderboard`: which method is best, by how much, is it significant, and what did its labels cost."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands import complete
from benchmark.commands.options import Store
from benchmark.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import RenderableType

    from benchmark.publishing.published_board import PublishedBoard
    from benchmark.reporting.leaderboard.build_boards import Filters
    from benchmark.reporting.leaderboard.standings_model import Leaderboard
    from benchmark.stored import Artifacts
    from benchmark.tracking.store import Tracker

EXAMPLES = """\
Examples:

\b
  bench leaderboard                                     # everything in the store
  bench leaderboard --dataset glas --supervision patch
  bench leaderboard --metric pixel/miou --metric object/f1
  bench leaderboard --preset quick --tag device=cpu
  bench leaderboard --format csv --out results.csv      # nothing rounded
  bench leaderboard --dataset glas --by grade           # per group, with the worst
  bench leaderboard --calibration                       # are scores probabilities?
  bench leaderboard --cost-model ours.yaml --references ours.yaml
  bench leaderboard --from theirs/ --from ours-2025/    # published boards beside the runs of the store
  bench leaderboard --dataset glas --curve --goal 0.8 --metric pixel/dice --plot curves.png

A board compares runs on the same slides of the same data, measured by the same metrics; synthetic and real data are
never mixed. bench report adds curves and pictures.
"""

WIDTH = 150


class Format(StrEnum):
    """Output formats of the leaderboard."""

    table = "table"
    markdown = "markdown"
    csv = "csv"
    json = "json"


Methods = Annotated[
    str | None,
    typer.Option("--method", metavar="NAMES", help="Only these methods.", autocompletion=complete.method_list),
]
Datasets = Annotated[
    str | None,
    typer.Option("--dataset", metavar="NAMES", help="Only these datasets.", autocompletion=complete.dataset_list),
]
Metrics = Annotated[
    list[str] | None, typer.Option("--metric", metavar="NAME", help="Only this metric (pixel/miou); repeatable.")
]
Supervisions = Annotated[
    str | None, typer.Option("--supervision", metavar="TRACKS", help="Only these tracks: patch, coarse, none, …")
]
Presets = Annotated[str | None, typer.Option("--preset", metavar="NAMES", help="Only these presets.")]
Tags = Annotated[
    list[str] | None, typer.Option("--tag", metavar="NAME=VALUE", help="Only runs with this tag; repeatable.")
]
CostFile = Annotated[
    Path | None, typer.Option("--cost-model", metavar="FILE", help="YAML file: minutes per label. Default: ours.")
]
ReferenceFile = Annotated[
    Path | None, typer.Option("--references", metavar="FILE", help="YAML file of further published numbers.")
]


def leaderboard(
    method: Methods = None,
    dataset: Datasets = None,
    metric: Metrics = None,
    supervision: Supervisions = None,
    preset: Presets = None,
    tag: Tags = None,
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.table,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Output file. Default: the terminal.")] = None,
    cost_model: CostFile = None,
    references: ReferenceFile = None,
    tests: Annotated[bool, typer.Option("--tests/--no-tests", help="Run the paired tests that ranks rest on.")] = True,
    pairs: Annotated[bool, typer.Option("--pairs", help="Show every paired test.")] = False,
    rows: Annotated[int, typer.Option(metavar="N", min=1, help="Rows per track and table.")] = 15,
    everything: Annotated[
        bool, typer.Option("--published", help="Also list published numbers of methods without a row.")
    ] = False,
    published_in: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="DIR", help="Also rank a folder that bench publish wrote; repeatable."),
    ] = None,
    alone: Annotated[bool, typer.Option("--no-store", help="With --from: those folders alone.")] = False,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Figures per group of this column of the data: grade, centre, …"),
    ] = None,
    calibration: Annotated[
        bool, typer.Option("--calibration", help="Are scores probabilities? And is the threshold stable?")
    ] = False,
    curve: Annotated[
        bool, typer.Option("--curve", help="Quality against labels and minutes, of runs with budgets.")
    ] = False,
    goal: Annotated[
        float | None,
        typer.Option(metavar="VALUE", help="Quality that --curve counts minutes to. Default: 95 % of the best."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw the curves into a .png, .svg or .pdf.")
    ] = None,
    transfers: Annotated[
        bool, typer.Option("--transfers", help="What methods lose on other datasets (bench run --test).")
    ] = False,
    store: Store = None,
) -> None:
    """Rank the methods in the store, with intervals, paired tests, label cost and published numbers."""
    from benchmark.notebook import board_artifacts, read_leaderboard
    from benchmark.reporting.label_cost import read_cost_model
    from benchmark.reporting.leaderboard import leaderboard_tables as show
    from benchmark.reporting.leaderboard.leaderboard_frame import as_csv
    from benchmark.reporting.references import references as published

    filters = chosen(method, dataset, metric, supervision, preset, tag)
    views = {"--by": by is not None, "--calibration": calibration, "--curve": curve, "--transfers": transfers}
    asked = [name for name, given in views.items() if given]
    if len(asked) > 1:
        raise ConfigError(f"both {asked[0]} and {asked[1]} are given", fix="use one of them")
    if plot is not None and asked not in ([], ["--curve"]):
        raise ConfigError(f"--plot draws the curves of --curve, not {asked[0]}", fix="drop one of the two")
    if goal is not None and not (curve or plot or form is Format.json):
        raise ConfigError(f"--goal {goal} has no effect without --curve", fix=f"--curve --goal {goal}")
    tests = tests and asked in ([], ["--curve"])
    cost, known = read_cost_model(cost_model), published(references)
    tracker, folders = sources(store, published_in or [], alone=alone)
    found = read_leaderboard(
        tracker,
        filters,
        cost=cost,
        published=known,
        tests=tests,
        options=store_words(store),
        folders=folders,
        goal=goal,
    )
    if not found.boards and not found.failures:
        raise nothing_found(found.store, filters)
    if by is not None:
        with board_artifacts(tracker, folders) as artifacts:
            return _by(found, artifacts, filters, by, form, out)
    if calibration and form is not Format.json:
        return _calibration(found, filters, form, out)
    if transfers:
        return _transfers(found, filters, rows, form, out)
    if plot is not None:
        _plot(found, plot)
    if curve:
        _curves(found, form, out)
    elif form is Format.table and out is None:
        _print(show.as_tables(found, filters, pairs=pairs, rows=rows, published=everything), show.remarks_of(found))
    elif form is Format.csv:
        _write(as_csv(found, filters), out)
    elif form is Format.json:
        _write(show.as_json(found), out)
    else:
        _write(show.as_markdown(found, filters, pairs=pairs, rows=rows, published=everything), out)


def _by(
    found: Leaderboard, artifacts: Artifacts, filters: Filters, column: str, form: Format, out: Path | None
) -> None:
    """The figures of the rows by groups of a column."""
    from benchmark.reporting.leaderboard import groups_board as groups
    from benchmark.reporting.leaderboard.leaderboard_tables import markdown, rich_tables

    boards = groups.grouped(found, artifacts, column)
    sheets = groups.group_sheets(boards, column, filters)
    if form is Format.table and out is None:
        _print(rich_tables(sheets), groups.REMARKS)
    elif form is Format.csv:
        _write(groups.as_csv(boards, column, filters), out)
    elif form is Format.json:
        _write(groups.as_json(boards, column, filters), out)
    else:
        _write(markdown(sheets, groups.REMARKS), out)


def _calibration(found: Leaderboard, filters: Filters, form: Format, out: Path | None) -> None:
    """How far the rows' scores are probabilities."""
    from benchmark.metrics.calibration_report import CALIBRATION
    from benchmark.reporting.leaderboard.calibration_sheets import REMARKS, calibration_sheets
    from benchmark.reporting.leaderboard.leaderboard_frame import as_csv
    from benchmark.reporting.leaderboard.leaderboard_tables import markdown, rich_tables

    sheets = list(calibration_sheets(found))
    if not sheets:
        msg = "none of these runs has figures of calibration: they are older, or their scores are no probabilities"
        raise ConfigError(msg, fix="repeat a run with --force (docs/calibration.md)")
    if form is Format.csv:
        _write(as_csv(found, filters, [*CALIBRATION, "calibration/threshold"]), out)
    elif form is Format.table and out is None:
        _print(rich_tables(sheets), REMARKS)
    else:
        _write(markdown(sheets, REMARKS), out)


def _curves(found: Leaderboard, form: Format, out: Path | None) -> None:
    """Print or write the curves. Raises `ConfigError` where no method has run at two budgets."""
    from benchmark.reporting.budget_curves.curve_frame import curves_csv
    from benchmark.reporting.budget_curves.curve_words import NOTES, price_list, sheets
    from benchmark.reporting.leaderboard import leaderboard_tables as show

    require_curves(found)
    pages = [sheet for each in found.curves for sheet in sheets(each)]
    notes = [*NOTES, *dict.fromkeys(line for each in found.curves for line in price_list(each))]
    if form is Format.table and out is None:
        _print(show.rich_tables(pages), tuple(notes))
    elif form is Format.csv:
        _write(curves_csv(found.curves), out)
    elif form is Format.json:
        _write(show.as_json(found), out)
    else:
        _write(show.markdown(pages, notes), out)


def _plot(found: Leaderboard, plot: Path) -> None:
    from benchmark.reporting.report.budget_charts import write_plot

    require_curves(found)
    write_plot(found.curves, plot)
    typer.echo(f"written: {plot.absolute()}")


def require_curves(found: Leaderboard) -> None:
    """Raise `ConfigError` where there is no curve over budgets."""
    from benchmark.reporting.budget_curves.curve_rows import no_time

    if found.curves:
        return
    paid = [(board.names[row.label], row) for board in found.boards if board.budget for row in board.rows if row.labels]
    timeless = [f"{name}: {no_time(row)}" for name, row in paid if not row.minutes]
    if timeless:
        msg = f"no method in {found.store} has run at two budgets that take time; {timeless[0]}"
        raise ConfigError(msg, fix="--cost-model FILE   # with minutes above 0 for its labels")
    fix = "bench run --method a,b --dataset NAME --budget 3%,10%,30%,100% --seeds 0,1,2"
    raise ConfigError(f"no method in {found.store} has run at two budgets", fix=fix)


def _transfers(found: Leaderboard, filters: Filters, rows: int, form: Format, out: Path | None) -> None:
    """Write the board of transfers. Raises `ConfigError` where no run was tested elsewhere and at home."""
    from benchmark.reporting.leaderboard import transfer_tables as show
    from benchmark.reporting.leaderboard.leaderboard_tables import markdown, rich_tables
    from benchmark.reporting.leaderboard.transfers import transfers

    pairs = transfers(found, filters)
    if not pairs:
        msg = f"no run in {found.store} was tested on another dataset and on its own"
        raise ConfigError(msg, fix="bench run --method NAME --train NAME --test NAME")
    if form is Format.table and out is None:
        _print(rich_tables(show.transfer_sheets(pairs, rows)), show.NOTES)
    elif form is Format.csv:
        _write(show.as_csv(pairs), out)
    elif form is Format.json:
        _write(show.as_json(pairs), out)
    else:
        _write(markdown(show.transfer_sheets(pairs, rows), show.NOTES), out)


def chosen(
    method: str | None,
    dataset: str | None,
    metric: list[str] | None,
    supervision: str | None,
    preset: str | None,
    tag: list[str] | None,
) -> Filters:
    """The filters of the options. Raises `ConfigError` for an unknown metric or a tag without a value."""
    from benchmark.reporting.leaderboard.build_boards import Filters

    pairs = [text.partition("=") for text in tag or ()]
    for name, equals, _ in pairs:
        if not equals or not name:
            raise ConfigError(f"cannot read --tag {name!r}", fix="--tag device=cpu")
    return Filters(
        methods=_names(method),
        datasets=_names(dataset),
        metrics=tuple(metric or ()),
        supervision=_names(supervision),
        presets=_names(preset),
        tags=tuple((name, value) for name, _, value in pairs),
    )


def sources(store: str | None, folders: Sequence[Path], *, alone: bool) -> tuple[Tracker | None, list[PublishedBoard]]:
    """The store and the published boards. Without runs of one's own, published boards stand alone.

    Raises `ConfigError` for options that contradict each other, `DataError` for a folder that cannot be used.
    """
    from benchmark.tracking.address import sqlite_path, store_uri
    from benchmark.tracking.offline_store import open_store

    if alone and (store is not None or not folders):
        msg = "--no-store goes with --from alone" if folders else "--no-store leaves nothing to rank without --from"
        raise ConfigError(msg, fix="bench leaderboard --from DIR --no-store")
    boards = []
    if folders:
        from benchmark.publishing.board_reading import read_boards

        boards = read_boards(folders, alone=alone)
    file = sqlite_path(store_uri(store))
    absent = bool(folders) and store is None and file is not None and not file.exists()
    return (None if alone or absent else open_store(store)), boards


def store_words(store: str | None) -> list[str]:
    """The option that names the store in printed commands, without a password; none where no option named it."""
    from benchmark.tracking.address import shown, store_uri

    return ["--store", shown(store_uri(store))] if store else []


def nothing_found(store: str, filters: Filters) -> ConfigError:
    """The error when no run matches."""
    from benchmark.tracking.address import FIRST_RUN

    if filters == type(filters)(metrics=filters.metrics):
        return ConfigError(f"no run is stored in {store}", fix=FIRST_RUN)
    return ConfigError(f"no run in {store} matches", fix="bench leaderboard   # without filters")


def _names(text: str | None) -> tuple[str, ...]:
    names = tuple(part.strip() for part in (text or "").split(",") if part.strip())
    return () if names == ("all",) else names


def _print(tables: Iterable[RenderableType], notes: tuple[str, ...]) -> None:
    from rich.text import Text

    from benchmark.commands.printing import console

    terminal = console(WIDTH)
    for table in tables:
        terminal.print(table)
    for note in notes:
        terminal.print(Text(note, style="dim"))


def _write(text: str, out: Path | None) -> None:
    if out is None:
        sys.stdout.write(text)
        return
    from benchmark.storage import require_place, whole_file

    require_place(out)
    with whole_file(out) as temporary:
        temporary.write_text(text, encoding="utf-8")
    typer.echo(f"written: {out.absolute()}")
