"""Pages of the site that are made from the program: they name everything there is, and hold no broken table or tag.

`.ci/run` builds the whole site strictly.
"""

import importlib
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer.main
from defusedxml import ElementTree

from benchmark.cli import app
from benchmark.metrics.catalogue import METRICS
from benchmark.registry import datasets, encoders, methods

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def generator():
    """The hook, with its neighbours found as MkDocs finds them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "docs" / "_generate")
        yield importlib.import_module("pages")


@pytest.fixture(scope="module")
def pages(generator):
    return generator.pages()


def test_everything_registered_and_every_verb_has_its_place(pages):
    verbs = {f"## bench {name}" for name in typer.main.get_command(app).commands}
    assert verbs <= set(pages["reference/commands.md"].splitlines())
    for page, registry in (("datasets", datasets()), ("encoders", encoders())):
        own = {f"## {entry.name}" for entry in registry.entries() if entry.distribution == "histobench"}
        assert own <= set(pages[f"reference/{page}.md"].splitlines())
    assert all(f"| `{name}` |" in pages["reference/metrics.md"] for name in METRICS)
    for name in methods().names():
        page = pages[f"methods/each/{name}.md"]
        assert f"each/{name}.md" in pages["reference/methods.md"]
        for parameter, field in methods().load(name).Params.model_fields.items():
            assert f"| `{parameter}` |" in page and field.description
    assert "### benchmark.results" in pages["reference/python.md"] and "`<NA>`" in pages["reference/python.md"]


def test_every_idea_is_of_a_method_and_fits_its_page(pages):
    import method_pages

    ideas = method_pages.ideas()
    assert set(ideas) == set(method_pages.names())
    for name, idea in ideas.items():
        page, text, family = pages[f"methods/each/{name}.md"], idea.text, idea.family
        assert 0 < len(text.splitlines()) <= 10 and text.split("\n")[0] in page, name
        assert page.count("<rect") == len(idea.flow.boxes) >= 3, name
        assert family is None or f"`{name}`" in (ROOT / "docs" / "methods" / family).read_text(), name


def test_stored_boards_are_ranked_and_stand_on_the_pages_of_their_methods(pages):
    import board_pages

    folders = {path.name for path in board_pages.BOARDS.iterdir() if path.is_dir()}
    assert set(board_pages.listed()) == folders
    for folder, facts in board_pages.listed().items():
        assert f"## {facts['title']}\n" in pages["boards.md"]
        for method in board_pages._frame(folder)["method"].unique():
            assert "## Results" in pages[f"methods/each/{method}.md"], (folder, method)
    assert "## Results" not in pages["methods/each/constant.md"]


def test_a_flow_is_boxes_and_arrows_back(generator):
    from flow import WIDE, Flow

    read = Flow.read("labels → [score → train] R rounds → map")
    assert read == Flow(("labels", "score", "train", "map"), ((1, 2, "R rounds"),))
    svg = ElementTree.fromstring(read.svg())
    assert float(svg.get("width")) > 4 * WIDE and "R rounds" in "".join(svg.itertext())
    for wrong in ("a → [b → c", "a → b] twice → c"):
        with pytest.raises(ValueError, match="without"):
            Flow.read(wrong)


def test_rows_of_a_table_have_its_columns_and_no_text_begins_a_tag(pages):
    for page, text in pages.items():
        text = re.sub(r"^```.*?^```$|<svg.*?</svg>", "", text, flags=re.MULTILINE | re.DOTALL)
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
