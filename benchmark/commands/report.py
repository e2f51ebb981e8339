"""`bench report`: the leaderboard with curves and pictures, as one HTML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands.leaderboard import (
    CostFile,
    Datasets,
    Methods,
    Presets,
    ReferenceFile,
    Supervisions,
    Tags,
    chosen,
    store_words,
)
from benchmark.commands.options import Store

EXAMPLES = """\
Examples:

\b
  bench report                                   # report.html: everything in the store
  bench report --dataset glas --out glas.html
  bench report --method oeem,pspnet --preset paper
  bench report --store http://127.0.0.1:5000

The file is self-contained: send it, open it from disk, print it.
"""


def report(
    dataset: Datasets = None,
    method: Methods = None,
    supervision: Supervisions = None,
    preset: Presets = None,
    tag: Tags = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Output file.")] = Path("report.html"),
    cost_model: CostFile = None,
    references: ReferenceFile = None,
    store: Store = None,
) -> None:
    """Write the leaderboard with curves, overlays, failures and commands as one HTML file."""
    from rich.text import Text

    from benchmark.commands.printing import aside, console
    from benchmark.notebook import read_leaderboard
    from benchmark.reporting.label_cost import read_cost_model
    from benchmark.reporting.references import references as published
    from benchmark.reporting.report import write_report
    from benchmark.storage import require_place
    from benchmark.tracking.artifacts import StoreArtifacts
    from benchmark.tracking.offline_store import open_store

    require_place(out)
    tracker, terminal = open_store(store), console()
    filters = chosen(method, dataset, None, supervision, preset, tag)
    cost, known = read_cost_model(cost_model), published(references)
    with aside("reading the store"):
        found = read_leaderboard(tracker, filters, cost=cost, published=known, options=store_words(store))
    with aside("drawing"), StoreArtifacts(tracker) as artifacts:
        write_report(found, artifacts, out)
    rows = sum(len(board.rows) for board in found.boards)
    size = f"{out.stat().st_size / 1e6:.1f} MB"
    said = f"boards: {len(found.boards)}, rows: {rows}, not finished: {len(found.failures)}, {size}: {out.absolute()}"
    terminal.print(Text(said), soft_wrap=True)
