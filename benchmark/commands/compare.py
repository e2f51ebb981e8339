"""`bench compare`: the difference of two finished runs."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.options import Store

if TYPE_CHECKING:
    from benchmark.dataset import Dataset
    from benchmark.reporting.comparison import Difference
    from benchmark.stored import Artifacts

EXAMPLES = """\
Examples:

\b
  bench compare 3f2a9c41 9b01d2ee                  # tables here, pictures in compare.html
  bench compare 3f2a 9b01 --metric pixel/miou --slides 12 --out oeem.html
  bench compare 3f2a 9b01 --data /data/glas        # where the slides are now
  bench compare 3f2a 9b01 --format json            # nothing rounded

The id of a run is on its page (bench ui); the first four or more of its characters are enough. Every difference is
that of the first run minus the second. Runs on different data, or different slides of them, are not tested.
"""


class Format(StrEnum):
    """Output formats of `bench compare`."""

    table = "table"
    json = "json"


def compare(
    one: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or its beginning.")],
    other: Annotated[str, typer.Argument(metavar="RUN", help="The run to compare it with.")],
    metric: Annotated[str, typer.Option(metavar="NAME", help="Metric by which slides are chosen.")] = "pixel/dice",
    slides: Annotated[
        int, typer.Option(metavar="N", min=1, max=100, help="Slides by the metric, and as many by differing cells.")
    ] = 6,
    data: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where the slides are. Default: where the run found them.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="HTML page to write.")] = Path("compare.html"),
    form: Annotated[Format, typer.Option("--format", help="Output format.")] = Format.table,
    store: Store = None,
) -> None:
    """Compare two runs: settings, metrics with paired tests, cost, and the slides they disagree on most."""
    from rich.progress import track
    from rich.text import Text

    from benchmark.commands.printing import aside, console
    from benchmark.reporting.comparison import compare_runs, require_pair, write_page
    from benchmark.reporting.comparison.comparison_tables import WIDTH, as_json, as_tables
    from benchmark.storage import require_place
    from benchmark.terminal import PlainConsole
    from benchmark.tracking.artifacts import StoreArtifacts
    from benchmark.tracking.offline_store import open_store

    require_place(out)
    tracker, talk = open_store(store), PlainConsole(stderr=True)

    def shown(names: Iterable[str]) -> Iterable[str]:
        quiet = not talk.is_terminal
        return track(list(names), "comparing slides", console=talk, transient=True, disable=quiet)

    pair = tracker.find(one), tracker.find(other)
    require_pair(*pair)
    with StoreArtifacts(tracker) as artifacts:
        found = compare_runs(artifacts, pair, metric=metric, count=slides, track=shown)
        with aside("drawing"):
            datasets, closed = _opened(found, artifacts, data)
            write_page(found, out, datasets, closed)
    if form is Format.json:
        sys.stdout.write(as_json(found))
    else:
        terminal = console(WIDTH)
        for part in as_tables(found):
            terminal.print(part)
    if closed:
        talk.print(Text(f"note: drawn without tissue, because the data could not be opened: {closed}", "yellow"))
    talk.print(Text(f"written: {out.absolute()}"), soft_wrap=True)


def _opened(found: Difference, artifacts: Artifacts, data: str | None) -> tuple[list[Dataset], str]:
    """The data as the two runs read them, as `draw` takes them, or none and the reason why."""
    from benchmark.cachehome import cache_home
    from benchmark.errors import BenchError, ConfigError
    from benchmark.running.reopen import reopen

    if not found.shown:
        return [], ""
    alike = not any(pair.kind == "option" for pair in found.settings)
    datasets: list[Dataset] = []
    reason = ""
    for run in (found.one, found.other):
        try:
            path = next(iter(artifacts.fetch(run, "config.yaml")), None)
            if path is None:
                raise ConfigError(f"run {run.id[:8]} has no config.yaml among its artifacts")
            datasets.append(reopen(path, run.tags["bench.data_digest"], cache_home(), data))
        except BenchError as error:
            reason = reason or str(error)
        if datasets and alike:
            return datasets, ""
    return ([], reason) if reason else (datasets, "")
