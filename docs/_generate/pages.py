"""Pages of the site that are made from the program itself: commands, parameters, options, encoders, metrics, Python.

A hook of MkDocs (`mkdocs.yml`); `pages()` gives the same texts without it.
"""

from __future__ import annotations

import inspect
import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import board_pages
import method_pages
from tables import escaped, fields, table

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

REPOSITORY = re.compile(r"\]\(((?:\.\./)+)([\w./-]+)\)")
"""A link out of docs/, which leads somewhere in the repository but not on the site."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Give each method its page in the navigation, behind the pages of the families."""
    methods = next(entry["Methods"] for entry in config.nav if "Methods" in entry)
    methods.append({"Each method": [f"methods/each/{name}.md" for name in method_pages.names()]})
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """A link to a file of the repository becomes its path; the site is read without the repository."""

    def plain(match: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join("docs", posixpath.dirname(page.file.src_uri), match[1] + match[2]))
        return match[0] if target.startswith("docs/") else f"] (`{target}`)"

    return REPOSITORY.sub(plain, markdown)


def pages() -> dict[str, str]:
    """Path on the site → Markdown."""
    from benchmark import describe
    from benchmark.registry import datasets, encoders

    return {
        "reference/commands.md": "\n".join(_commands()),
        "boards.md": board_pages.page(),
        **method_pages.pages(),
        "reference/datasets.md": "\n".join(_components("dataset", datasets(), describe.dataset_facts)),
        "reference/encoders.md": "\n".join(_components("encoder", encoders(), describe.encoder_facts)),
        "reference/metrics.md": "\n".join(_metrics()),
        "reference/python.md": "\n".join(_python()),
    }


def _commands() -> Iterator[str]:
    """Every verb with its arguments, options and examples, from the command line itself."""
    import typer.main

    from benchmark.cli import app

    yield "# Commands\n\nMade from the command line itself; `bench VERB --help` says the same.\n"
    yield from _command(typer.main.get_command(app), "bench", 1)


def _command(command: Any, name: str, level: int) -> Iterator[str]:
    if level > 1:
        yield f"{'#' * min(level, 3)} {name}\n"
    yield (command.help or "").replace("\b", "") + "\n"
    rows = []
    for option in command.params:
        if getattr(option, "hidden", False) or option.name in ("install_completion", "show_completion"):
            continue
        argument = option.param_type_name == "argument"
        flags = option.metavar or option.name if argument else ", ".join((*option.opts, *option.secondary_opts))
        value = "" if argument or getattr(option, "is_flag", False) else option.metavar or _kind(option)
        rows.append((f"`{flags} {value}`".replace(" `", "`"), getattr(option, "help", "")))
    if rows:
        yield from table(("argument, option", "meaning"), rows)
    if command.epilog:
        yield "```text\n" + command.epilog.replace("\b\n", "").strip() + "\n```\n"
    for each, sub in getattr(command, "commands", {}).items():
        yield from _command(sub, f"{name} {each}", level + 1)


def _kind(option: Any) -> str:
    """The words an option takes, or what they are."""
    choices = getattr(getattr(option, "param_type", None) or getattr(option, "type", None), "choices", None)
    return "/".join(str(getattr(choice, "value", choice)) for choice in choices) if choices else "VALUE"


def _components(kind: str, registry: Any, facts_of: Any) -> Iterator[str]:
    yield f"# {kind.capitalize()}s\n\nMade from the registry; `bench info NAME` says the same.\n"
    for entry in registry.entries():
        if entry.distribution != "histobench":
            continue
        facts = facts_of(registry.load(entry.name))
        card = facts["card"]
        yield f"## {entry.name}\n\n**{card['title']}.** {entry.summary}\n"
        known = [(name.replace("_", " "), value) for name, value in card.items() if value and name != "title"]
        known += [(name, value) for name, value in facts.get("network", {}).items() if name != "on this machine"]
        if "supervision" in facts:
            known.append(("labels it uses", ", ".join(facts["supervision"]) or "none"))
        yield from table(("", ""), known)
        yield from fields(facts.get("parameters") or facts.get("options") or [])


def _metrics() -> Iterator[str]:
    from benchmark.metrics.calibration_report import CALIBRATION
    from benchmark.metrics.catalogue import METRICS, SCHEMA

    yield "# Metrics\n\nMade from the catalogue that computes them. [How they are computed](../metrics.md) explains"
    yield f"intervals, thresholds and tests. A metric of a part of the test slides is `NAME@PART`. Schema `{SCHEMA}`.\n"
    better = {"up": "higher", "down": "lower", "none": "–"}
    rows = [
        (f"`{name}`", info.title, info.definition, better[info.direction], info.unit, info.undefined)
        for name, info in METRICS.items()
    ]
    yield from table(("name", "title", "definition", "better", "unit", "absent when"), rows)
    yield "\n## Calibration\n\nNo part of the schema; [how they are read](../calibration.md).\n"
    shares = [(f"`{name}`", info.title, info.definition, better[info.direction]) for name, info in CALIBRATION.items()]
    yield from table(("name", "title", "definition", "better"), shares)


def _python() -> Iterator[str]:
    """The public API, from signatures and docstrings."""
    import benchmark
    from benchmark import dataset, encoder, method, slides, supervision, testing

    yield "# Python\n\nMade from the docstrings.\n"
    public = {
        "benchmark": (benchmark, ("results", "leaderboard", "trials", "refine", "predict", "load_run")),
        "benchmark.method": (method, ("Method", "MethodCard", "Params", "param", "Prediction", "View")),
        "benchmark.dataset": (dataset, ("Dataset", "DatasetCard", "Options", "Split", "TissueSource")),
        "benchmark.encoder": (encoder, ("Encoder", "EncoderCard")),
        "benchmark.supervision": (supervision, ("Supervision", "Labels")),
        "benchmark.slides": (slides, ("Slide", "Grid", "ScoreMap", "stream_patches")),
        "benchmark.testing": (testing, tuple(testing.__all__)),
    }
    for name, (module, members) in public.items():
        yield f"## {name}\n"
        for member in members:
            found = getattr(module, member, None)
            if found is not None:
                yield from _documented(f"{name}.{member}", found)


def _documented(name: str, found: Any) -> Iterator[str]:
    yield f"### {name}\n"
    try:
        signature = str(inspect.signature(found)) if inspect.isfunction(found) else ""
    except ValueError:
        signature = ""
    if signature:
        yield f"```python\n{_wrapped(name.rpartition('.')[2], signature)}\n```\n"
    yield from _docstring(found)
    if inspect.isclass(found):
        for each, member in vars(found).items():
            function = member.__func__ if isinstance(member, classmethod | staticmethod) else member
            text = inspect.getdoc(function.fget if isinstance(function, property) else function)
            own = inspect.isfunction(function) or isinstance(function, property)
            if own and not each.startswith("_") and text:
                yield f"**`{each}`** – {_sentence(text)}\n"


def _docstring(found: Any) -> Iterator[str]:
    """The docstring as Markdown: its sections become headings, their indented lines a list."""
    text = inspect.getdoc(found) or ""
    text = re.sub(r"^(Args|Raises|Returns):\n((?:    .*\n?|\n)*)", _section, text, flags=re.MULTILINE)
    yield escaped(text) + "\n"


def _wrapped(name: str, signature: str) -> str:
    """A signature without quotes, a parameter a line where it is long."""
    text = f"{name}{signature}".replace("'", "")
    if len(text) < 80:
        return text
    inside, arrow, result = text.partition("(")[2].rpartition(") ->")[0], " ->", text.rpartition(") ->")[2]
    return f"{name}(\n    " + re.sub(r", (?=[*\w]+[:,=]|\*)", ",\n    ", inside) + f"\n){arrow}{result}"


def _section(match: re.Match[str]) -> str:
    lines = [line[4:] for line in match[2].splitlines()]
    items = [f"* {line}" if line and not line.startswith(" ") else line for line in lines]
    return f"**{match[1]}**\n\n" + "\n".join(items) + "\n"


def _sentence(text: str) -> str:
    return escaped(" ".join(text.split("\n\n")[0].split()))
