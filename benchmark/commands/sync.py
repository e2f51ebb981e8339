"""`bench sync`: runs of an offline folder into the tracking store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.options import Cache, Store

if TYPE_CHECKING:
    from benchmark.tracking.offline_files import OfflineRun

EXAMPLES = """\
Examples:

\b
  bench run --method coarse --dataset glas --offline runs/     # on a node without a network
  bench leaderboard --store runs/                              # reads the folder as it is
  bench sync runs/ --store http://server:5000                  # later, from where the store can be reached

A run is delivered once, however often the command is repeated or interrupted. The folder is left as it is.
"""


def sync(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A folder that bench run --offline DIR wrote.")],
    store: Store = None,
    cache: Cache = None,
) -> None:
    """Deliver the runs of an offline folder to the store, with curves, artifacts and model."""
    from benchmark.cachehome import cache_home
    from benchmark.commands.printing import console
    from benchmark.tracking.offline_store import open_store
    from benchmark.tracking.offline_sync import sync as deliver

    out = console()
    tracker = open_store(store, cache=(cache or cache_home()) / "tracking")

    def tell(run: OfflineRun, fate: str) -> None:
        out.print(f"{run.id[:8]}  {run.experiment}  {run.name}: {fate}", soft_wrap=True, highlight=False, markup=False)

    done = deliver(folder.expanduser().absolute(), tracker, tell)
    counts = [(done.count("delivered"), "delivered"), (done.count("there already"), "there already")]
    counts += [(done.count("done elsewhere"), "done elsewhere"), (done.count("at work"), "at work, left for later")]
    counts += [(len(done.failed), "failed")]
    total = ", ".join(f"{count} {word}" for count, word in counts if count) or "no runs"
    out.print(f"{tracker.shown}: {total}", soft_wrap=True, highlight=False, markup=False)
    if done.failed:
        raise typer.Exit(2)
