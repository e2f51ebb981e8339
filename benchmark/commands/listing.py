"""`bench list` and `bench info`: the installed components, and one of them in detail."""

from __future__ import annotations

import json as json_format
from typing import Annotated, Any

import typer

from benchmark.commands import complete
from benchmark.discovery import Entry
from benchmark.errors import RegistryError
from benchmark.registry import Registry, datasets, encoders, methods, unknown_name

Row = tuple[str, str, str, str]
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
        if encoders_only:
            _show_encoders(json=json)
        else:
            _show([*methods().entries(), *datasets().entries()], json=json)


@listing.command("methods")
def list_methods(context: typer.Context, json: AsJson = False) -> None:
    """List the methods."""
    _show(methods().entries(), json=json or _before(context))


@listing.command("datasets")
def list_datasets(context: typer.Context, json: AsJson = False) -> None:
    """List the datasets."""
    _show(datasets().entries(), json=json or _before(context))


@listing.command("encoders")
def list_encoders(context: typer.Context, json: AsJson = False) -> None:
    """List the encoders of the catalogue, and whose weights are on this machine."""
    _show_encoders(json=json or _before(context))


def _before(context: typer.Context) -> bool:
    """Whether `--json` stands before the word that says what to list."""
    return bool(context.parent and context.parent.params.get("json"))


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
    from benchmark.commands import printing as tables

    if not holders:
        from benchmark.learning.encoders.needed import timm_facts

        network = timm_facts(name)
        if network is None:
            known = [each for registry in registries for each in registry.names()]
            raise unknown_name("method, dataset or encoder", name, known, fix="bench list, bench list encoders")
        if json:
            typer.echo(json_format.dumps({"name": name, "kind": "encoder"} | network, indent=2, ensure_ascii=False))
        else:
            tables.print_card(tables.console(), Entry(name, "encoder", "timm.create_model", "timm", ""), network)
        return

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
    _columns(
        ("name", "kind", "title", "distribution"),
        [(entry.name, entry.kind, entry.title, f"{entry.distribution} {entry.version}") for entry in entries],
    )


def _show_encoders(*, json: bool) -> None:
    """The encoders, and whether their weights are on this machine; what cannot be imported is said in their place."""
    entries = encoders().entries()
    here = [_weights(entry.name) for entry in entries]
    if json:
        rows = [entry.as_row() | {"weights": told} for entry, told in zip(entries, here, strict=True)]
        typer.echo(json_format.dumps(rows, indent=2, ensure_ascii=False))
        return
    origins = [f"{entry.distribution} {entry.version}" for entry in entries]
    titles = [entry.title for entry in entries]
    names = [entry.name for entry in entries]
    _columns(("name", "weights here", "title", "distribution"), list(zip(names, here, titles, origins, strict=True)))
    typer.echo(typer.style("how absent weights come here: bench info NAME", dim=True))


def _weights(name: str) -> str:
    """`yes`, or `no` and what they need."""
    try:
        encoder = encoders().load(name)
    except RegistryError:
        return "broken: bench doctor"
    return "yes" if encoder.absent() is None else f"no: {encoder.way()}"


def _columns(header: Row, rows: list[Row]) -> None:
    """Four columns, of which the third is wrapped on a terminal and whole everywhere else."""
    import shutil
    import sys
    import textwrap

    first, second, _, last = (max(len(row[column]) for row in [header, *rows]) for column in range(4))
    room = max(20, min(shutil.get_terminal_size().columns, 120) - first - second - last - 6)
    if not sys.stdout.isatty():
        room = max(len(row[2]) for row in [header, *rows])
    for index, row in enumerate([header, *rows]):
        title, *more = textwrap.wrap(row[2], room, break_on_hyphens=False) or [""]
        name, rest = f"{row[0]:{first}}", f"{row[1]:{second}}  {title:{room}}  {row[3]}".rstrip()
        typer.echo(typer.style(f"{name}  {rest}", dim=True) if not index else f"{typer.style(name, bold=True)}  {rest}")
        for line in more:
            typer.echo(" " * (first + second + 4) + line)
