"""`bench ui` and `bench doctor`."""

from __future__ import annotations

from typing import Annotated

import typer

from benchmark.commands.options import Store


def ui(
    store: Store = None,
    host: Annotated[str, typer.Option(metavar="NAME", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="Port to listen on.")] = 5000,
) -> None:
    """Open the MLflow UI on the store; stop it with Ctrl-C."""
    from benchmark.tracking.server import serve

    raise typer.Exit(serve(store, host, port))


def doctor(store: Store = None) -> None:
    """Check Python, packages, device, memory, store, cache, data and shell.

    Each fault comes with its fix; the exit code is 2 if there is any.
    """
    from benchmark.commands.printing import MARKS, console
    from benchmark.doctor import examine

    out = console()
    faults = 0
    with out.status("checking this machine"):
        for check in examine(store):
            mark, style = MARKS[check.ok]
            out.print(mark, style=style, end=" ")
            out.print(f"{check.subject}: {check.result}", soft_wrap=True)
            if check.fix and check.ok is not True:
                out.print(f"       → {check.fix}", style="cyan", soft_wrap=True)
            faults += check.ok is False
    if faults:
        raise typer.Exit(2)
