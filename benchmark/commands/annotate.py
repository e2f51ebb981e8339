"""`bench annotate`: a person is the expert, on a page in the browser."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from benchmark.commands import complete
from benchmark.commands.options import Cache, DataRoot, Device, Settings, Store
from benchmark.commands.session import Session

if TYPE_CHECKING:
    from benchmark.config import RunRequest

EXAMPLES = """\
Examples:

\b
  bench annotate --dataset slides --data /data/mine --slide case_07 --method cnfp --preset bach
  bench annotate --dataset slides --slide case_07 --method cnfp --preset bach     # the same again: goes on
  bench annotate --dataset slides --slide case_07 --method entropy --labels case_07.geojson
  bench annotate --dataset crc --slide train --method cnfp --preset quick --set budget=250

Every answer is saved at once in the output folder. Ctrl-C closes the page; the same command goes on where it was.
The button "End" makes a run of the session, in the store like any other. docs/annotating.md tells all.
"""


def annotate(
    context: typer.Context,
    dataset: Annotated[
        str, typer.Option(metavar="NAME", help="The dataset of the slide.", autocompletion=complete.dataset_name)
    ],
    slide: Annotated[str, typer.Option(metavar="ID", help="The slide, of whichever split.")],
    method: Annotated[
        str, typer.Option(metavar="NAME", help="Who asks: cnfp, entropy …", autocompletion=complete.method_list)
    ],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the session. Default: ./annotation-SLIDE-METHOD.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(metavar="NAME", help="Parameters of the method.", autocompletion=complete.preset)
    ] = None,
    settings: Settings = None,
    labels: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Outlines to begin with: GeoJSON, ASAP or ImageScope XML.")
    ] = None,
    who: Annotated[str | None, typer.Option(metavar="NAME", help="Who answers. Default: the user's name.")] = None,
    reopen: Annotated[bool, typer.Option("--reopen", help="Go on with a session that was ended.")] = False,
    port: Annotated[int, typer.Option(metavar="N", help="Port of the page; 0: any that is free.")] = 0,
    browser: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    seed: Annotated[int, typer.Option(metavar="INT", min=0, help="Seed.")] = 0,
    device: Device = None,
    data: DataRoot = None,
    store: Store = None,
    cache: Cache = None,
) -> None:
    """Review the patches that a method asks about, in the browser; what comes of it is a run."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from benchmark.annotating.opening import for_one_slide
    from benchmark.config import RunRequest

    request = RunRequest(
        method=method,
        dataset=dataset,
        slide=slide,
        preset=preset,
        settings=tuple(settings or ()),
        seeds=(seed,),
        device=device,
        data=data,
        store=store,
        cache=cache,
        debug=context.ensure_object(Session).debug,
    )
    request = for_one_slide(request)
    recorded = _page(request, out, labels, who, reopen, port, browser)

    from benchmark.running.matrix import run_all

    raise typer.Exit(run_all(recorded))


def _page(
    request: RunRequest,
    out: Path | None,
    labels: Path | None,
    who: str | None,
    reopen: bool,
    port: int,
    browser: bool,
) -> RunRequest:
    """Show the page until the session ends; returns the request of its run."""
    import getpass
    import webbrowser

    from benchmark.annotating.opening import opened
    from benchmark.annotating.serving import listen, serve
    from benchmark.cachehome import cache_home
    from benchmark.commands.printing import console
    from benchmark.running.matrix import writable

    terminal = console()

    def say(text: str) -> None:
        terminal.print(text, markup=False, soft_wrap=True)

    def ready(address: str) -> None:
        say(f"{address}\n  Ctrl-C closes the page; the same command goes on where it was")
        if browser:
            webbrowser.open(address)

    folder = out or Path(f"annotation-{request.slide}-{str(request.method).replace(':', '-')}")
    cache = writable(request.cache or cache_home())
    with (
        listen(port) as listening,
        opened(
            request, cache, folder, who=who or getpass.getuser(), labels=labels, reopen=reopen, say=say
        ) as annotated,
    ):
        done = annotated.session.record.ended
        if done:
            say("this session has ended; --reopen goes on with it")
        try:
            ended = done or serve(annotated, listening, ready)
        except KeyboardInterrupt:
            say(f"\nsaved: {folder}")
            raise
        if not ended:
            raise KeyboardInterrupt
        files = annotated.export() if not done else {}
        for kind, path in files.items():
            say(f"{kind}: {path}")
        return annotated.recorded()
