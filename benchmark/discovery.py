"""The components of the installed distributions, found without importing them."""

from __future__ import annotations

import ast
import re
import sys
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from importlib.metadata import EntryPoint


@dataclass(frozen=True)
class Entry:
    """One registered component.

    `target` is `module:Class`; `distribution` and `version` say which installed package registered it.
    """

    name: str
    kind: str
    target: str
    distribution: str
    version: str

    @cached_property
    def summary(self) -> str:
        """First line of the class's docstring, read from the file; empty when there is none to read."""
        module, _, attribute = self.target.partition(":")
        path = locate(module)
        return first_line(path.read_text(encoding="utf-8"), attribute) if path else ""

    @cached_property
    def title(self) -> str:
        """The title of the class's card, read from the file; else the summary."""
        module, _, attribute = self.target.partition(":")
        path = locate(module)
        return (card_title(path.read_text(encoding="utf-8"), attribute) if path else "") or self.summary

    @property
    def origin(self) -> str:
        """Where it comes from, for messages."""
        return f"{self.target} from {self.distribution} {self.version}".rstrip()

    def as_row(self) -> dict[str, str]:
        """The fields as `bench list --json` prints them."""
        return {
            "name": self.name,
            "kind": self.kind,
            "title": self.title,
            "summary": self.summary,
            "distribution": self.distribution,
            "version": self.version,
            "target": self.target,
        }


def find(kind: str, group: str) -> list[Entry]:
    """Every component of one entry-point group, sorted by name, without duplicates.

    A stale `.egg-info` beside an editable install lists a distribution twice, which is no conflict.
    """
    entries = {_entry(kind, point) for point in installed(group)}
    return sorted(entries, key=lambda entry: (entry.name, entry.origin))


@cache
def installed(group: str) -> tuple[EntryPoint, ...]:
    """The entry points of one group in all installed distributions, cached."""
    from importlib.metadata import entry_points

    return tuple(entry_points(group=group))


def _entry(kind: str, point: EntryPoint) -> Entry:
    name, version = (point.dist.name, point.dist.version) if point.dist else ("unknown distribution", "")
    return Entry(point.name, kind, point.value.partition("[")[0].replace(" ", ""), name, version)


def locate(module: str) -> Path | None:
    """The source file of a module, or None. Imports neither the module nor its parent packages."""
    spec = spec_of(module)
    path = Path(spec.origin) if spec and spec.origin else None
    return path if path and path.suffix == ".py" and path.is_file() else None


@cache
def spec_of(module: str) -> ModuleSpec | None:
    """Where a module would be imported from, or None. Imports neither the module nor its parent packages.

    `importlib.util.find_spec` would import the parents, so the finders are asked one level at a time. A namespace
    package inside another cannot be found in this way.
    """
    parent = module.rpartition(".")[0]
    above = spec_of(parent) if parent else None
    if parent and above is None:
        return None
    search = list(above.submodule_search_locations or []) if above else None
    finders = (finder.find_spec for finder in sys.meta_path if hasattr(finder, "find_spec"))
    try:
        return next((spec for find_spec in finders if (spec := find_spec(module, search))), None)
    except KeyError:  # what importlib raises for a namespace package whose parent is not imported
        return None


def first_line(source: str, name: str) -> str:
    """First docstring line of the top-level class `name`."""
    header = _header(source, name)
    documented = ast.get_docstring(header) if header is not None else None
    return documented.splitlines()[0] if documented else ""


def card_title(source: str, name: str) -> str:
    """The title in `card = MethodCard("…")` of the top-level class `name`, by position or keyword; empty for none."""
    header = _header(source, name)
    for line in header.body if header is not None else ():
        target: ast.expr | None = line.target if isinstance(line, ast.AnnAssign) else None
        target = line.targets[0] if isinstance(line, ast.Assign) else target
        if not (isinstance(target, ast.Name) and target.id == "card"):
            continue
        call = line.value if isinstance(line, ast.Assign | ast.AnnAssign) else None
        if isinstance(call, ast.Call):
            named = [each.value for each in call.keywords if each.arg == "title"]
            for value in (*named, *call.args[:1]):
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    return value.value[:1].upper() + value.value[1:]
    return ""


def _header(source: str, name: str) -> ast.ClassDef | None:
    """The class up to its first method, for a listing reads many long files; None where there is none to parse."""
    header = re.compile(rf"^class {re.escape(name)}\b.*?(?=^    (?:def|async|@)|^[^\s)]|\Z)", re.MULTILINE | re.DOTALL)
    match = header.search(source)
    if match is None:
        return None
    try:
        tree = ast.parse(match.group())
    except SyntaxError:
        return None
    return tree.body[0] if isinstance(tree.body[0], ast.ClassDef) else None
