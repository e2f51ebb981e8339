"""Cards and parameters, laid out for a terminal of 100 columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from benchmark.config import DEFAULT_PRESET
from benchmark.describe import dataset_facts, encoder_facts, in_words, method_facts, plain
from benchmark.terminal import PlainConsole

if TYPE_CHECKING:
    from benchmark.discovery import Entry

WIDTH = 100

MARKS: Mapping[bool | None, tuple[str, str]] = {
    True: ("ok  ", "green"),
    None: ("note", "yellow"),
    False: ("FAIL", "bold red"),
}
"""Word and style of a result: right, worth knowing, wrong."""


def console(width: int = WIDTH) -> PlainConsole:
    """The terminal; so many columns where the output is not a terminal."""
    terminal = PlainConsole()
    return terminal if terminal.is_terminal else PlainConsole(width=width)


def aside(what: str) -> AbstractContextManager[object]:
    """Say on standard error what is being done: a spinner on a terminal, a line now and then elsewhere."""
    from benchmark.running.doing import doing

    return doing(PlainConsole(stderr=True), what)


def table(*columns: str, **widths: Any) -> Table:
    """An empty table in the style of `bench`."""
    empty = Table(box=SIMPLE_HEAD, header_style="bold", pad_edge=False, **widths)
    for column in columns:
        empty.add_column(column)
    return empty


def facts(component: type[Any]) -> dict[str, Any]:
    """Everything `bench info` shows of a method, a dataset or an encoder, as plain data."""
    if hasattr(component, "interpolation"):
        return encoder_facts(component)
    if hasattr(component, "Options"):
        return dataset_facts(component)
    from benchmark.running.default_preset import weights_needed

    weights = {preset: weights_needed(component, preset) for preset in component.presets}
    return method_facts(component) | {"weights": {preset: needed for preset, needed in weights.items() if needed}}


def print_component(entry: Entry, about: Mapping[str, Any]) -> None:
    """Show a component: card, supervision and presets, then its parameters or options."""
    out = console()
    print_card(out, entry, about)
    rows = about.get("parameters", about.get("options", []))
    if not rows:
        return
    presets = [name for name, values in about.get("presets", {}).items() if values]
    column = "quick" if "quick" in presets else None
    out.print(Group(*_parameter_rows("option" if "options" in about else "parameter", rows, column)))
    for name in presets:
        if name != column:
            out.print(Text(f"preset {name}: {in_words(about['presets'][name])}"))
    if "supervision" in about:
        out.print(Text(f"search space: bench sweep {entry.name} --dataset NAME --dry-run", "dim"))


def print_card(out: PlainConsole, entry: Entry, about: Mapping[str, Any]) -> None:
    """Show the card of a method or a dataset."""
    card = dict(about["card"])
    out.print(Text.assemble((entry.name, "bold"), "  ", card.pop("title")))
    card_table = Table.grid(padding=(0, 2))
    card_table.add_column(style="dim", no_wrap=True)
    card_table.add_column()
    lines: dict[str, Any] = {"kind": entry.kind, "from": f"{entry.origin}", **card}
    if "supervision" in about:
        lines["supervision"] = about["supervision"]
        lines["presets"] = [f"{name} (default)" if name == DEFAULT_PRESET else name for name in about["presets"]]
        for preset, needed in about["weights"].items():
            told = [f"{encoder}: {f'absent, {reason}' if reason else 'here'}" for encoder, reason in needed.items()]
            lines[f"weights of {preset}"] = "; ".join(told)
    lines |= about.get("network", {})
    for key, value in lines.items():
        text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
        if text and value is not None:
            card_table.add_row(key, Text(text.strip()))
    out.print(card_table)


def _parameter_rows(kind: str, rows: Sequence[Mapping[str, Any]], preset: str | None) -> Iterator[RenderableType]:
    """A line of columns per parameter and its description under it, across all columns."""
    names = [kind, "default", *([preset] if preset else []), "legal", "unit", "source"]
    widths = [22, 15, *([16] if preset else []), 20 if preset else 37, 4, 18]
    yield Text()
    yield _line(widths, [Text(name, "bold underline") for name in names])
    for row in rows:
        symbol = f"  {row['symbol']}" if row["symbol"] else ""
        name = Text.assemble((row["name"], "bold"), (symbol, "italic cyan"))
        values = [row["default"], *([row["values"].get(preset, "")] if preset else [])]
        yield _line(widths, [name, *map(Text, [*map(plain, values), row["range"], row["unit"], row["source"]])])
        yield Padding(Text(row["about"], "dim"), (0, 0, 0, 2))


def _line(widths: Sequence[int], cells: Sequence[Text]) -> Table:
    line = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
    for width in widths:
        line.add_column(width=width, overflow="fold")
    line.add_row(*cells)
    return line
