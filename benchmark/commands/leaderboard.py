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
    from collections.abc import Iterable

    from rich.console import RenderableType

    from benchmark.reporting.leaderboard.build_boards import Filters

EXAMPLES = """\
Examples:

\b
  bench leaderboard                                     # everything in the store
  bench leaderboard --dataset glas --supervision patch
  bench leaderboard --metric pixel/miou --metric object/f1
  bench leaderboard --preset quick --tag device=cpu
  bench leaderboard --format csv --out results.csv      # nothing rounded
  bench leaderboard --cost-model ours.yaml --references ours.yaml

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
    store: Store = None,
) -> None:
    """Rank the methods in the store, with intervals, paired tests, label cost and published numbers."""
    from benchmark.notebook import read_leaderboard
    from benchmark.reporting.label_cost import read_cost_model
    from benchmark.reporting.leaderboard import leaderboard_tables as show
    from benchmark.reporting.leaderboard.leaderboard_frame import as_csv
    from benchmark.reporting.references import references as published
    from benchmark.tracking.offline_store import open_store

    filters = chosen(method, dataset, metric, supervision, preset, tag)
    cost, known = read_cost_model(cost_model), published(references)
    found = read_leaderboard(
        open_store(store), filters, cost=cost, published=known, tests=tests, options=store_words(store)
    )
    if not found.boards and not found.failures:
        raise nothing_found(found.store, filters)
    if form is Format.table and out is None:
        _print(show.as_tables(found, filters, pairs=pairs, rows=rows, published=everything), show.NOTES)
    elif form is Format.csv:
        _write(as_csv(found, filters), out)
    elif form is Format.json:
        _write(show.as_json(found), out)
    else:
        _write(show.as_markdown(found, filters, pairs=pairs, rows=rows, published=everything), out)


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
