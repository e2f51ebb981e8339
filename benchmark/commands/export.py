"""`bench export`: the refined annotations of a stored run, for a viewer."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.options import Store

EXAMPLES = """\
Examples:

\b
  bench export 3f2a9c41                          # annotations-3f2a9c41-geojson/<slide>.geojson
  bench export 3f2a9c41 --format asap --out refined

The id of a run is on its page (bench ui); the first four or more of its characters are enough.
"""


class Format(StrEnum):
    """Formats that `bench export` writes."""

    geojson = "geojson"
    asap = "asap"


OPENING = {
    Format.geojson: "QuPath: open the slide and drag its .geojson onto it (or File › Import objects from file).",
    Format.asap: "ASAP: open the slide, then its .xml (File › Open). QuPath reads the other format: --format geojson",
}


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="The run's id, or its beginning.")],
    kind: Annotated[Format, typer.Option("--format", help="Format of the files.")] = Format.geojson,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Output folder. Default: ./annotations-RUN-FORMAT.")
    ] = None,
    store: Store = None,
    force: Annotated[bool, typer.Option("--force", help="Also replace files that no export wrote.")] = False,
) -> None:
    """Write a run's refined annotations, one file per test slide, for QuPath or ASAP."""
    from rich.progress import track
    from rich.text import Text

    from benchmark.applying.export_run import export_run
    from benchmark.commands.printing import console
    from benchmark.tracking.artifacts import StoreArtifacts
    from benchmark.tracking.offline_store import open_store

    terminal = console()

    def shown(slides: Iterable[str]) -> Iterable[str]:
        quiet = not terminal.is_terminal
        return track(list(slides), "outlining slides", console=terminal, transient=True, disable=quiet)

    tracker = open_store(store)
    with StoreArtifacts(tracker) as artifacts:
        done = export_run(tracker.find(run), artifacts, kind.value, out, force=force, track=shown)
    empty = f" ({done.empty} of them without any)" if done.empty else ""
    files = f"{done.slides} slides{empty}, {done.regions} regions of class {done.name}"
    terminal.print(Text(f"{files}: {done.folder.absolute()}"), soft_wrap=True)
    terminal.print(Text(OPENING[kind], "cyan"), soft_wrap=True)
