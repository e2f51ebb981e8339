"""`bench predict`: the model of a run on new slides."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from benchmark.commands import complete
from benchmark.commands.options import Cache, Store

EXAMPLES = """\
Examples:

\b
  bench predict slide.svs --run 3f2a9c41 --out scored
  bench predict slides/ --best camelyon16 --out scored --jobs 2
  bench predict manifest.csv --run 3f2a9c41 --out scored --format asap     # columns slide, mpp (optional)

Of each slide: the score map as a pyramidal TIFF and the outlines of what is positive; of all of them predictions.csv.
Started again, it goes on where it stopped. Slides that cannot be used are named, the others go on, and the exit code
is 2. The id of a run is on its page (bench ui); the first four or more of its characters are enough.
"""


def predict(
    slides: Annotated[list[Path], typer.Argument(metavar="SLIDE…", help="Slides, folders of slides, or a table.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write; empty, or of the same prediction.")],
    run: Annotated[str | None, typer.Option(metavar="RUN", help="The run whose model it is: id, or its start.")] = None,
    best: Annotated[
        str | None,
        typer.Option(metavar="DATASET", help="The leaderboard's first.", autocompletion=complete.dataset_name),
    ] = None,
    format: Annotated[
        str, typer.Option(metavar="NAME", help="Outlines: geojson, asap, imagescope or label-image.")
    ] = "geojson",
    mpp: Annotated[
        float | None, typer.Option(metavar="MICRONS", help="Microns per pixel of slides that do not state it.")
    ] = None,
    classes: Annotated[
        str | None, typer.Option(metavar="A,B", help="Refuse a model of other classes, the negative one first.")
    ] = None,
    device: Annotated[
        str, typer.Option(metavar="DEV", help="auto, cpu, cuda or cuda:N.", autocompletion=complete.device)
    ] = "auto",
    jobs: Annotated[int, typer.Option("--jobs", "-j", metavar="N", help="Slides at a time.")] = 1,
    store: Store = None,
    cache: Cache = None,
    force: Annotated[bool, typer.Option("--force", help="Repeat what is done; write into any folder.")] = False,
) -> None:
    """Score new slides with the model of a run."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from rich.text import Text

    from benchmark.commands.printing import console

    terminal = console()
    terminal.print(f"looking for the model of {run or f'the best run on {best}'}", soft_wrap=True)
    from benchmark.applying.annotation_files import chosen_format
    from benchmark.applying.given_slides import given_slides, plausible
    from benchmark.applying.predict_slides import PredictRequest, predict_slides
    from benchmark.own_slides import stored_model
    from benchmark.running.console import RunReporter
    from benchmark.signals import terminable

    given = given_slides(slides)
    with stored_model(run, best, store) as (model, source):
        request = PredictRequest(
            slides=given,
            out=out,
            run=source,
            format=chosen_format(format) or "geojson",
            mpp=None if mpp is None else plausible(mpp, "--mpp"),
            device=device,
            jobs=jobs,
            cache=cache,
            force=force,
            classes=tuple(name.strip() for name in classes.split(",")) if classes else (),
        )
        learnt = f"{model.card.dataset}{' (synthetic slides)' * model.card.synthetic}"
        terminal.print(f"  run {source[:8]}: {model.card.run} on {learnt}", soft_wrap=True)
        terminal.print(f"  threshold {model.card.threshold.meaning}", soft_wrap=True)
        try:
            with terminable():
                done = predict_slides(model, request, RunReporter(terminal, None))
        except KeyboardInterrupt:
            terminal.print("interrupted: the same command goes on where it was")
            raise typer.Exit(130) from None
    earlier = f" ({done.before} of them before)" if done.before else ""
    positive = sum(bool(row["positive"]) for row in done.rows)
    verdict = "" if done.rows[0]["threshold"] is None else f", {positive} of them positive"
    terminal.print(
        f"{len(done.rows)} slide{'s' * (len(done.rows) != 1)} scored{earlier}{verdict}: {done.table.absolute()}",
        soft_wrap=True,
    )
    for slide, why in done.failed.items():
        terminal.print(Text(f"{slide}: not scored: {why}", "red"), soft_wrap=True)
    if done.failed:
        raise typer.Exit(2)
