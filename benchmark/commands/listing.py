"""`bench list` and `bench info`: the installed components, and one of them in detail."""

from __future__ import annotations

import json as json_format
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchmark.commands import complete
from benchmark.registry import Registry, datasets, encoders, methods, unknown_name

if TYPE_CHECKING:
    from benchmark.discovery import Entry

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

listing = typer.Typer(rich_markup_mode=None, invoke_without_command=True, help="List methods, datasets and encoders.")


@listing.callback()
def everything(
    context: typer.Context,
    encoders_only: Annotated[bool, typer.Option("--encoders", help="List the encoders.")] = False,
    json: AsJson = False,
) -> None:
    """List methods and datasets."""
    if context.invoked_subcommand is None:
        chosen = encoders().entries() if encoders_only else [*methods().entries(), *datasets().entries()]
        _show(chosen, json=json)


@listing.command("methods")
def list_methods(json: AsJson = False) -> None:
    """List the methods."""
    _show(methods().entries(), json=json)


@listing.command("datasets")
def list_datasets(json: AsJson = False) -> None:
    """List the datasets."""
    _show(datasets().entries(), json=json)


@listing.command("encoders")
def list_encoders(json: AsJson = False) -> None:
    """List the encoders of the catalogue."""
    _show(encoders().entries(), json=json)


def info(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="A method, a dataset or an encoder.", autocompletion=complete.any_name)
    ],
    json: AsJson = False,
) -> None:
    """Show a method, a dataset or an encoder: its card and what it takes.

    Of a method: presets, and each parameter with symbol, default, legal range and source.
    """
    registries: tuple[Registry[Any], ...] = (methods(), datasets(), encoders())
    holders = [registry for registry in registries if name in registry]
    if not holders:
        known = [each for registry in registries for each in registry.names()]
        raise unknown_name("method, dataset or encoder", name, known)
    from benchmark.commands import printing as tables

    if json:
        facts = [registry.entry(name).as_row() | tables.facts(registry.load(name)) for registry in holders]
        typer.echo(json_format.dumps(facts[0] if len(facts) == 1 else facts, indent=2, default=str, ensure_ascii=False))
        return
    for registry in holders:
        tables.print_component(registry.entry(name), tables.facts(registry.load(name)))


def _show(entries: list[Entry], *, json: bool) -> None:
    """Print plain columns: importing rich would take longer than everything else a listing does."""
    if json:
        typer.echo(json_format.dumps([entry.as_row() for entry in entries], indent=2, ensure_ascii=False))
        return
    import shutil
    import textwrap

    rows = [(entry.name, entry.kind, entry.summary, f"{entry.distribution} {entry.version}") for entry in entries]
    header = ("name", "kind", "summary", "distribution")
    name, kind, _, origin = (max(len(row[column]) for row in [header, *rows]) for column in range(4))
    width = shutil.get_terminal_size((100, 24)).columns
    room = max(20, min(width, 120) - name - kind - origin - 6)
    for index, row in enumerate([header, *rows]):
        summary = textwrap.shorten(row[2], room, placeholder=" …")
        line = f"{row[1]:{kind}}  {summary:{room}}  {row[3]}".rstrip()
        first = typer.style(f"{row[0]:{name}}", bold=True)
        typer.echo(typer.style(f"{row[0]:{name}}  {line}", dim=True) if index == 0 else f"{first}  {line}")
