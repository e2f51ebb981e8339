"""`bench publish`: finished runs as a folder of open files that others rank beside their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.leaderboard import Datasets, Methods, Presets, Supervisions, Tags, chosen, nothing_found
from benchmark.commands.options import Store

if TYPE_CHECKING:
    from benchmark.publishing.board_writing import Published
    from benchmark.reporting.leaderboard.build_boards import Filters
    from benchmark.stored import StoredRun
    from benchmark.tracking.store import Tracker

EXAMPLES = """\
Examples:

\b
  bench publish ours/                            # every run that stands on the leaderboard
  bench publish glas/ --dataset glas --preset paper
  bench leaderboard --from ours/                 # ranks it again, with one's own store
  bench leaderboard --from ours/ --no-store      # the folder alone

The folder holds figures per slide, scores of units, settings and digests (docs/published-boards.md), no pixels and no
model. Names of slides and patients are in it as the dataset has them.
"""


def publish(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Output folder: a new one, or an empty one.")],
    method: Methods = None,
    dataset: Datasets = None,
    supervision: Supervisions = None,
    preset: Presets = None,
    tag: Tags = None,
    force: Annotated[bool, typer.Option("--force", help="Replace a board that bench publish wrote.")] = False,
    store: Store = None,
) -> None:
    """Write the runs of the leaderboard as Parquet and JSON, to be ranked again anywhere."""
    from rich.text import Text

    from benchmark.commands.printing import aside, console
    from benchmark.errors import ConfigError
    from benchmark.metrics.catalogue import SCHEMA
    from benchmark.publishing.board_writing import require_place, write_board
    from benchmark.tracking.artifacts import StoreArtifacts
    from benchmark.tracking.offline_store import open_store

    require_place(out, force=force)
    tracker, filters = open_store(store), chosen(method, dataset, None, supervision, preset, tag)
    with aside("reading the store"):
        ranked = ranked_runs(tracker, filters)
        runs = [run for run in ranked if run.tag("metrics_schema") == SCHEMA]
        if not ranked:
            raise nothing_found(tracker.shown, filters)
        if not runs:
            msg = f"the {len(ranked)} runs were measured by other metric schemas than {SCHEMA}, this version's"
            raise ConfigError(msg, fix="repeat them: bench run … --force")
        with StoreArtifacts(tracker) as artifacts:
            done = write_board(out, [_whole(tracker, run) for run in runs], artifacts, force=force)
    terminal = console()
    for line in told(done, others=len(ranked) - len(runs)):
        terminal.print(Text(line), soft_wrap=True)


def ranked_runs(tracker: Tracker, filters: Filters) -> list[StoredRun]:
    """The runs that stand on a board: the newest complete one of every method, setting and seed."""
    from benchmark.notebook import read_leaderboard

    found = read_leaderboard(tracker, filters, tests=False)
    return [run for board in found.boards for row in board.rows for run in row.runs]


def _whole(tracker: Tracker, run: StoredRun) -> StoredRun:
    """The run with its parameters and all numbers of its record."""
    return replace(tracker.find(run.id), experiment=run.experiment)


def told(done: Published, *, others: int) -> list[str]:
    """What a user has to know of the folder."""
    lines = [
        f"{done.runs} runs: {done.folder.absolute()}",
        f"It names {done.slides} slides and {done.patients} patients as the datasets do: look before you send it.",
    ]
    if done.places:
        lines.append(f"Settings name places on this machine: {', '.join(done.places[:3])}")
    if done.without_slides:
        names = ", ".join(done.without_slides[:3])
        lines.append(f"{len(done.without_slides)} runs without figures per slide, ranked without tests: {names}")
    if others:
        lines.append(f"{others} runs measured by other metric schemas were left out")
    return [*lines, f"SHA-256 of its manifest, to be cited: {done.digest}"]
