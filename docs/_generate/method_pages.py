"""A page for each method: its idea, labels, deviations, results, presets and parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import board_pages
from flow import Flow
from tables import fields, table

HERE = Path(__file__).parent


def names() -> list[str]:
    """The project's own methods."""
    from benchmark.registry import methods

    return [entry.name for entry in methods().entries() if entry.distribution == "histobench"]


def pages() -> dict[str, str]:
    """Path on the site → Markdown, with a list of all methods."""
    from benchmark.registry import methods

    found = {name: methods().load(name) for name in names()}
    each = {f"methods/each/{name}.md": "\n".join(_page(name, method)) for name, method in found.items()}
    return {**each, "reference/methods.md": "\n".join(_list(found))}


@dataclass(frozen=True)
class Idea:
    """What `ideas.md` says of a method: its steps, its idea in ten lines, the page of its family."""

    flow: Flow
    text: str
    family: str | None


def ideas() -> dict[str, Idea]:
    """Method → its idea, from `ideas.md` beside this file."""
    text = (HERE / "ideas.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (\S+)(?: \((\S+)\))?\n\n> (.+)\n", text, flags=re.MULTILINE)[1:]
    rows = zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True)
    return {name: Idea(Flow.read(flow), idea.strip(), page) for name, page, flow, idea in rows}


def _page(name: str, method: Any) -> Iterator[str]:
    from benchmark import describe

    facts = describe.method_facts(method)
    card = facts["card"]
    yield f"# {name}\n\n**{card['title']}**\n"
    idea = ideas().get(name)
    yield f"{idea.flow.svg()}\n\n{idea.text}\n" if idea else f"{(method.__doc__ or '').strip()}\n"
    more = [
        ("paper", card["citation"]),
        ("at", card["paper"]),
        ("in its tables", card["tables"]),
        ("note", card["notes"]),
    ]
    more.append(("labels it uses", ", ".join(facts["supervision"]) or "none"))
    yield from table(("", ""), [(key, value) for key, value in more if value and value != "none"])
    if idea and idea.family:
        page = idea.family
        yield f"Where paper, released code and this project differ, and published figures: [{page}](../{page}).\n"
    yield "```bash\nbench run --method " + name + " --dataset glas --data synthetic\n```\n"
    yield from board_pages.of_method(name)
    yield from _presets(facts["presets"])
    if facts["parameters"]:
        yield "## Parameters\n\n`--set NAME=VALUE` changes one.\n"
        yield from fields(facts["parameters"])


def _presets(presets: dict[str, dict[str, Any]]) -> Iterator[str]:
    yield "## Presets\n"
    for preset, values in presets.items():
        changes = ", ".join(f"`{key}={value}`" for key, value in values.items())
        yield f"* **{preset}**: {changes or 'the defaults'}"
    yield ""


def _list(found: dict[str, Any]) -> Iterator[str]:
    yield "# Methods\n\nMade from the registry; `bench info NAME` says the same. A page each, with parameters:\n"
    rows = [
        (f"[`{name}`](../methods/each/{name}.md)", method.card.title, sorted(kind.value for kind in method.supervision))
        for name, method in found.items()
    ]
    yield from table(("name", "title", "labels it uses"), rows)
