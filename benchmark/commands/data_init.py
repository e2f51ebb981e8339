"""`bench data init`: draft a manifest from the names of files and folders."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from benchmark.commands import complete
from benchmark.errors import DataError
from benchmark.registry import datasets

if TYPE_CHECKING:
    from rich.console import Console

EXAMPLES = """\
Examples:

\b
  bench data init slides /data/stomach
  bench data init slides /data/stomach --force     # write it anew; the old one is kept

Labels and splits are taken from folders named normal, tumor …, train, validation, test; annotations are files of the
slide's name; patients are TCGA barcodes or the slide's name. Unknown cells stay empty.
"""

SHOWN = 8
"""Rows, files and notes that are shown; the table holds them all."""


class Template(Protocol):
    """What a dataset's `template(folder)` returns; it goes into the file that its `table` names."""

    @property
    def columns(self) -> Sequence[str]:
        """Its columns."""
        ...

    @property
    def rows(self) -> Sequence[Mapping[str, str]]:
        """Its rows: column → cell, empty where nothing is known."""
        ...

    @property
    def unreadable(self) -> Mapping[str, str]:
        """Files without a row → why they cannot be read."""
        ...

    @property
    def lacks(self) -> Sequence[tuple[int, str]]:
        """What the user must or may fill in: in how many rows, and what."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was guessed or ignored."""
        ...


def init(
    name: Annotated[str, typer.Argument(help="A dataset that reads a manifest.", autocompletion=complete.dataset_name)],
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="Folder of the slides; the manifest is written into it.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Write the manifest anew; the old one is kept.")] = False,
) -> None:
    """Draft the manifest of a folder of slides, and list what is missing."""
    from benchmark.commands.printing import aside, console

    component: Any = datasets().load(name)
    if not hasattr(component, "template"):
        able = ", ".join(other for other in datasets().names() if hasattr(datasets().load(other), "template"))
        msg = f"{name} reads the official folders and no manifest; init is for: {able or 'no dataset here'}"
        raise DataError(msg, fix=f"bench data info {name}")
    folder = folder.expanduser()
    target = folder / component.table
    if target.exists() and not force:
        msg = f"{target} exists and is not overwritten"
        raise DataError(
            msg, fix=f"bench data init {name} {folder} --force, or bench data verify {name} --data {folder}"
        )
    out = console()
    with aside(f"looking for slides in {folder}"):
        template: Template = component.template(folder)
    if target.exists():
        out.print(f"the table that was there is kept as {_kept(target)}", soft_wrap=True)
    _write(target, template)
    _print(out, target, template)
    edit = f"edit {target}, then: " if template.lacks else ""
    out.print(f"  → {edit}bench data verify {name} --data {folder}", soft_wrap=True)


def _kept(target: Path) -> Path:
    """Rename a table out of the way, to the first free `NAME.1`, `NAME.2` …: it may have been edited for hours."""
    number = next(number for number in itertools.count(1) if not target.with_name(f"{target.name}.{number}").exists())
    return target.rename(target.with_name(f"{target.name}.{number}"))


def _write(target: Path, template: Template) -> None:
    import pandas as pd

    from benchmark.storage import whole_file

    rows = pd.DataFrame(list(template.rows), columns=list(template.columns), dtype=object)
    try:
        with whole_file(target) as temporary:
            rows.to_csv(temporary, index=False, lineterminator="\n", encoding="utf-8")
    except OSError as error:
        raise DataError(f"cannot write {target}: {error.strerror or error}", fix=f"ls -ld {target.parent}") from error


def _print(out: Console, target: Path, template: Template) -> None:
    from rich.text import Text

    from benchmark.commands.printing import MARKS, table

    shown = table(*template.columns)
    for row in template.rows[:SHOWN]:
        shown.add_row(*(Text(row[column] or "–", overflow="fold") for column in template.columns))
    out.print(shown)
    out.print(Text(f"{len(template.rows)} rows in {target}{' (the first are shown)' * (len(template.rows) > SHOWN)}"))
    lines = [(False, f"{file}: {why}") for file, why in template.unreadable.items()]
    for mark, text in (*_first(lines), *((None, text) for text in template.notes)):
        out.print(Text.assemble(MARKS[mark], " ", text), soft_wrap=True)
    for count, text in template.lacks:
        out.print(Text.assemble((f"{count:6d} ", "bold yellow"), text), soft_wrap=True)
    if not template.lacks:
        out.print(Text("nothing is missing", "green"))


def _first(lines: Sequence[tuple[bool, str]]) -> list[tuple[bool, str]]:
    """The first lines, and how many more there are."""
    more = [(False, f"and {len(lines) - SHOWN} more images that cannot be read")] if len(lines) > SHOWN else []
    return [*lines[:SHOWN], *more]
