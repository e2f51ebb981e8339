"""`bench ui` and `bench doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

Store = Annotated[
    str | None, typer.Option(metavar="URI", help="MLflow store. Default: MLFLOW_TRACKING_URI, sqlite:///mlflow.db.")
]


def ui(
    store: Store = None,
    host: Annotated[str, typer.Option(metavar="NAME", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", help="Port to listen on.")] = 5000,
) -> None:
    """Open the MLflow UI on the store; Ctrl-C ends it."""
    from benchmark.tracking.server import serve

    raise typer.Exit(serve(store, host, port))


def doctor(store: Store = None) -> None:
    """Check Python, packages, device, memory, store, cache, data and shell.

    Each fault comes with its fix; the exit code is 2 when something must be mended.
    """
    from benchmark.commands.printing import MARKS, console
    from benchmark.doctor import examine

    out = console()
    bad = 0
    with out.status("looking at this machine"):
        for check in examine(store):
            mark, style = MARKS[check.ok]
            out.print(f"[{style}]{mark}[/]", end=" ")
            out.print(f"{check.what}: {check.found}", markup=False, soft_wrap=True)
            if check.fix and check.ok is not True:
                out.print(f"       → {check.fix}", style="cyan", markup=False, soft_wrap=True)
            bad += check.ok is False
    if bad:
        raise typer.Exit(2)
