"""Pages of the site that are made from the program: they name everything there is, and hold no broken table or tag.

`.ci/run` builds the whole site strictly.
"""

import importlib.util
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer.main

from benchmark.cli import app
from benchmark.metrics.catalogue import METRICS
from benchmark.registry import datasets, encoders, methods

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def generator():
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs" / "_generate" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(generator):
    return generator.pages()


def test_everything_registered_and_every_verb_has_its_place(pages):
    verbs = {f"## bench {name}" for name in typer.main.get_command(app).commands}
    assert verbs <= set(pages["reference/commands.md"].splitlines())
    for page, registry in (("methods", methods()), ("datasets", datasets()), ("encoders", encoders())):
        own = {f"## {entry.name}" for entry in registry.entries() if entry.distribution == "histobench"}
        assert own <= set(pages[f"reference/{page}.md"].splitlines())
    assert all(f"| `{name}` |" in pages["reference/metrics.md"] for name in METRICS)
    for name, field in methods().load("oeem").Params.model_fields.items():
        assert f"| `{name}` |" in pages["reference/methods.md"] and field.description
    assert "### benchmark.results" in pages["reference/python.md"] and "`<NA>`" in pages["reference/python.md"]


def test_rows_of_a_table_have_its_columns_and_no_text_begins_a_tag(pages):
    for page, text in pages.items():
        text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
        assert not re.search(r"<[a-zA-Z]", re.sub(r"`[^`\n]*`", "", text)), page
        columns = None
        for line in text.splitlines():
            cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else None
            assert columns is None or cells in (None, columns), (page, line)
            columns = cells


def test_links_into_the_repository_become_paths(generator):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="methods/oeem.md"))
    text = generator.on_page_markdown("[a](../metrics.md), [b](../../benchmark/cli.py)", page, None, None)
    assert text == "[a](../metrics.md), [b] (`benchmark/cli.py`)"


def test_a_long_signature_is_wrapped(generator):
    wrapped = generator._wrapped(
        "f", "(one: 'str | None' = None, *, " + ", ".join(f"n{i}: 'int' = 0" for i in range(9)) + ") -> 'X'"
    )
    assert wrapped.startswith("f(\n    one: str | None = None,\n    *,\n    n0: int = 0,\n") and wrapped.endswith(
        "\n) -> X"
    )
