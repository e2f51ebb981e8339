"""`bench show`: one slide of a run by its name, as a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands.options import Store

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from benchmark.stored import Artifacts, StoredRun

EXAMPLES = """\
Examples:

\b
  bench show 1f3a test_016                       # test_016.jpg: tissue, truth, decision and scores
  bench show 1f3a test_016 --side 4000 --out big.png
  bench show 1f3a test_016 --open
  bench show 7c20 14082                          # a slide that `bench refine` refined: before and after

RUN is the id of a run, or its beginning. The slides of a run are in its per_slide.csv.
"""


def show(
    run: Annotated[str, typer.Argument(metavar="RUN", help="A run's id, or the beginning of it.")],
    slide: Annotated[str, typer.Argument(metavar="SLIDE", help="The name of a test slide.")],
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Output file. Default: ./SLIDE.jpg.")] = None,
    side: Annotated[int, typer.Option(metavar="PX", min=100, help="Pixels of the longer side of a part.")] = 1000,
    view: Annotated[bool, typer.Option("--open", help="Open the picture.")] = False,
    data: Annotated[
        str | None, typer.Option(metavar="ROOT", help="Folder of the data. Default: where the run found it.")
    ] = None,
    store: Store = None,
) -> None:
    """Draw a test slide of a run: tissue, truth, decision and scores."""
    from rich.text import Text

    from benchmark.commands.printing import aside, console
    from benchmark.file_names import file_name
    from benchmark.reporting import overlays
    from benchmark.storage import require_place
    from benchmark.tracking.artifacts import StoreArtifacts
    from benchmark.tracking.offline_store import open_store

    place = out or Path(file_name(slide, ".jpg"))
    require_place(place)
    tracker, terminal = open_store(store), console()
    with aside("drawing"), StoreArtifacts(tracker) as artifacts:
        found = tracker.find(run)
        drawn = _drawn_before(artifacts, found, slide)
        overlays.save(_picture(artifacts, found, slide, side, data) if drawn is None else drawn, place)
    terminal.print(Text(f"written: {place.absolute()}"), soft_wrap=True)
    if view:
        typer.launch(str(place.absolute()))


def _drawn_before(artifacts: Artifacts, run: StoredRun, name: str) -> NDArray[np.uint8] | None:
    """The picture that `bench refine` made of a slide, which no dataset could draw anew. None for other runs."""
    import numpy as np
    from PIL import Image

    from benchmark.applying.refine_slides import OVERLAY
    from benchmark.errors import ConfigError
    from benchmark.file_names import id_of
    from benchmark.near_names import near_names

    if run.tag("kind") != "refine":
        return None
    pictures = {id_of(path.name, OVERLAY): path for path in artifacts.fetch(run, "") if path.name.endswith(OVERLAY)}
    if name not in pictures:
        near = near_names(name, pictures, cutoff=0.3) or list(pictures)[:3]
        msg = f"run {run.id[:8]} ({run.name}) refined no slide {name!r}; some of its {len(pictures)}: {', '.join(near)}"
        raise ConfigError(msg, fix=f"bench show {run.id[:8]} {near[0]}" if near else "bench leaderboard")
    with Image.open(pictures[name]) as picture:
        return np.asarray(picture.convert("RGB"))


def _picture(artifacts: Artifacts, run: StoredRun, name: str, side: int, data: str | None) -> NDArray[np.uint8]:
    from benchmark.cachehome import cache_home
    from benchmark.errors import ConfigError
    from benchmark.near_names import near_names
    from benchmark.running.reopen import reopen
    from benchmark.running.slide_picture import slide_picture
    from benchmark.slides import ScoreMap
    from benchmark.stored import require, score_maps, slide_rows

    maps = score_maps(artifacts, run)
    if name not in maps:
        near = near_names(name, maps, cutoff=0.3) or list(maps)[:3]
        msg = f"run {run.id[:8]} ({run.name}) has no score map of a slide {name!r}; some of its {len(maps)}: "
        fix = f"bench show {run.id[:8]} {near[0]}" if near else "bench leaderboard"
        raise ConfigError(msg + ", ".join(near), fix=fix)
    (config, *_) = require(artifacts, run, "config.yaml")
    dataset = reopen(config, run.tags["bench.data_digest"], cache_home(), data)
    slide = dataset.usable()[name]
    scores = ScoreMap.load(maps[name].scores)
    decided = ScoreMap.load(maps[name].deciding).values > 0.5
    row = next((row for row in slide_rows(artifacts, run) if str(row["slide"]) == name), {})
    coarse = "coarse" in (run.tag("supervision") or "").split("+")
    return slide_picture(dataset, slide, scores, decided, coarse=coarse, row=row, side=side)
