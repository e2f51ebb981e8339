"""`bench advise`: which methods fit the labels at hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.leaderboard import CostFile
from benchmark.commands.options import Store

if TYPE_CHECKING:
    from benchmark.reporting.leaderboard.standings_model import Leaderboard

EXAMPLES = """\
Examples:

\b
  bench advise --slides 20 --labels coarse --task segment
  bench advise --labels slide,pixel --task classify
  bench advise --labels review --task annotate --cost-model ours.yaml

Labels: slide (or image), patch, pixel (masks of some patches), full (all masks), coarse, review. Tasks: segment,
classify, clean, annotate. Figures and seconds are those of your own store; where nothing was run, there are none.
"""


def advise(
    labels: Annotated[str, typer.Option(metavar="KINDS", help="Labels you have or can get: coarse,patch,…")],
    task: Annotated[str, typer.Option(metavar="NAME", help="segment, classify, clean or annotate.")] = "segment",
    slides: Annotated[int | None, typer.Option(metavar="N", min=1, help="How many slides you have.")] = None,
    cost_model: CostFile = None,
    store: Store = None,
) -> None:
    """Name the methods that fit your labels, what these cost, and what your own runs say."""
    from rich.text import Text

    from benchmark.commands.printing import aside, console, table
    from benchmark.reporting.advice import TASKS, advise, read_labels
    from benchmark.reporting.label_cost import read_cost_model
    from benchmark.reporting.paired import too_few

    having, cost = read_labels(labels), read_cost_model(cost_model)
    terminal = console(150)
    with aside("reading methods and store"):
        found = advise(task, having, slides, _leaderboard(store), cost)
    if not found:
        from benchmark.errors import ConfigError

        raise ConfigError(
            f"no method does {task} with these labels alone ({labels})", fix="bench advise --labels slide,patch,coarse"
        )
    shown = table("method", "what it is", "labels", "an expert's time", "preset", "s", TASKS[task], "your best row")
    for each in found:
        shown.add_row(
            each.method, each.title, each.labels, each.expert, each.preset, each.seconds, each.best, each.place
        )
    terminal.print(shown)
    if slides is not None and (few := too_few(slides)):
        terminal.print(f"{few}: no difference between methods can be tested")
    command = f"bench run --method {','.join(each.method for each in found[:5])} --dataset slides --data FOLDER"
    terminal.print(Text(f"compare them on yours: {command}   # bench data init slides FOLDER"), soft_wrap=True)


def _leaderboard(store: str | None) -> Leaderboard | None:
    """One's own leaderboard, without tests; None where nothing is stored yet."""
    from benchmark.errors import TrackingError
    from benchmark.notebook import read_leaderboard
    from benchmark.reporting.leaderboard.build_boards import Filters
    from benchmark.tracking.offline_store import open_store

    try:
        return read_leaderboard(open_store(store), Filters(), tests=False)
    except TrackingError:
        if store is not None:
            raise
        return None
