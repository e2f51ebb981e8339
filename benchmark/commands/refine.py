"""`bench refine`: a better outline of one's own slides."""

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
  bench refine slide.svs --annotation slide.geojson --out refined
  bench refine slides/ --annotation drawn/ --out refined --method dknn --format asap
  bench refine tile.png --annotation mask.png --mpp 0.5 --out refined --no-track
  bench refine slide.svs --annotation slide.xml --out refined --set classes='Invasive=1,Stroma=0'

No manifest, truth or splits are needed. Of each slide: the refined annotation in the format of the old one, the score
map as a pyramidal TIFF, a picture; of all of them refined.html and refined.csv. Slides that cannot be used are named,
the others go on, and the exit code is 2.
"""


def refine(
    slides: Annotated[list[Path], typer.Argument(metavar="SLIDE…", help="Slides, or folders of slides.")],
    annotation: Annotated[
        Path, typer.Option(metavar="FILE|FOLDER", help="The rough outline; of several slides a folder, files by name.")
    ],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder to write; must be empty or not exist.")],
    method: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A method that refines annotations.", autocompletion=complete.method_list),
    ] = None,
    preset: Annotated[
        str, typer.Option(metavar="NAME", help="Parameters: quick, paper, smoke.", autocompletion=complete.preset)
    ] = "quick",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A parameter of the method or of reading; repeatable."),
    ] = None,
    format: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="geojson, asap, imagescope or label-image. Default: as it was given."),
    ] = None,
    mpp: Annotated[
        float | None, typer.Option(metavar="MICRONS", help="Microns per pixel of slides that do not state it.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="INT", help="Seed.")] = 0,
    device: Annotated[
        str, typer.Option(metavar="DEV", help="auto, cpu, cuda or cuda:N.", autocompletion=complete.device)
    ] = "auto",
    store: Store = None,
    track: Annotated[bool, typer.Option("--track/--no-track", help="Keep the run in MLflow.")] = True,
    cache: Cache = None,
    force: Annotated[bool, typer.Option("--force", help="Also write into a folder that is not empty.")] = False,
) -> None:
    """Refine a rough outline of your own slides."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from rich.text import Text

    from benchmark.commands.printing import console

    terminal = console()
    terminal.print(f"refining what {annotation} outlines", soft_wrap=True)
    from benchmark.applying.refine_plan import RefineRequest, plan_refinement
    from benchmark.own_slides import refined

    request = RefineRequest(
        slides=slides,
        annotation=annotation,
        out=out,
        method=method,
        preset=preset,
        settings=settings or (),
        format=format,
        mpp=mpp,
        seed=seed,
        device=device,
        cache=cache,
        force=force,
    )
    plan = plan_refinement(request)
    terminal.print(
        f"  {plan.method.name}, preset {preset}, {len(plan.slides)} slide{'s' * (len(plan.slides) != 1)}",
        soft_wrap=True,
    )
    done = refined(plan, terminal, store=store, track=track)
    for one in done.slides.values():
        changed = f"{one.figures['changed']:.1%} of the tissue changed"
        areas = f"{one.figures['before']:.4g} → {one.figures['after']:.4g} {one.unit}"
        terminal.print(f"{one.id}: {areas}, {changed}: {one.file}", soft_wrap=True)
        for warning in one.warnings:
            terminal.print(Text(f"  warning: {warning}", "yellow"), soft_wrap=True)
    for slide, why in done.failed.items():
        terminal.print(Text(f"{slide}: not refined: {why}", "red"), soft_wrap=True)
    terminal.print(Text(f"before and after: {done.page.absolute()}", "cyan"), soft_wrap=True)
    if done.run is not None:
        terminal.print(Text(f"run {done.run[:8]} in the experiment own-slides: bench ui"), soft_wrap=True)
    if done.failed:
        raise typer.Exit(2)
