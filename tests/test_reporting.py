"""Pictures, curves, tables and the summary page."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmark.reporting import curves, overlays, style
from benchmark.reporting.overlay_page import LEGEND_LINE
from benchmark.reporting.run_facts import RunFacts, StageCost
from benchmark.reporting.run_tables import write_report, write_table
from benchmark.reporting.summary_page import number, render
from benchmark.reporting.unit_square import roc_points
from benchmark.slides import Grid

# --- overlays -----------------------------------------------------------------------------------------------------


def tissue(height: int = 60, width: int = 90) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(120, 250, (height, width, 3), dtype=np.uint8)


def square(height: int = 60, width: int = 90, shift: int = 0) -> NDArray[np.int8]:
    labels = np.zeros((height, width), dtype=np.int8)
    labels[20:40, 30 + shift : 60 + shift] = 1
    return labels


def close(pixel: NDArray[np.uint8], colour: str) -> bool:
    """True when the colour of the error map shows through the tissue."""
    others = [other for _, other in overlays.ERRORS]
    distances = {name: float(np.abs(pixel.astype(float) - style.rgb(name)).sum()) for name in others}
    return min(distances, key=lambda name: distances[name]) == colour


def test_the_error_map_colours_every_kind_of_cell() -> None:
    image = np.full((1, 6, 3), 200, dtype=np.uint8)
    truth = np.array([[0, 1, 0, 1, 2, -1]], dtype=np.int8)
    found = np.array([[0, 1, 1, 0, 1, 1]], dtype=np.int8)
    shown = overlays.error_map(image, truth, found)[0]
    colours = dict(overlays.ERRORS)
    assert shown[0, 0] == shown[0, 1] == shown[0, 2], "a true negative is grey"
    assert close(shown[1], colours["true positive"])
    assert close(shown[2], colours["false positive"])
    assert close(shown[3], colours["false negative"])
    assert close(shown[4], colours["wrong class"])
    assert shown[5, 0] == shown[5, 1] == shown[5, 2], "what is not scored is grey"


def test_an_outline_runs_along_the_border_and_nowhere_else() -> None:
    image = tissue()
    drawn = overlays.outlined(image, square(), overlays.TRUTH_COLOUR)
    changed = (drawn != image).any(axis=2)
    assert tuple(drawn[20, 45]) == style.rgb(overlays.TRUTH_COLOUR)
    assert not changed[30, 45], "inside stays as it was"
    assert not changed[5].any(), "outside stays as it was"
    assert np.array_equal(overlays.outlined(image, np.ones((60, 90), dtype=np.int8), style.BLUE), image)


@pytest.mark.parametrize(("columns", "height", "width"), [(1, 60, 90), (2, 60, 90), (2, 700, 2000), (4, 900, 1300)])
def test_an_overlay_is_never_wider_than_asked(columns: int, height: int, width: int) -> None:
    picture = overlays.overlay(tissue(height, width), square(), square(shift=5), title="a", columns=columns)
    assert picture.dtype == np.uint8
    assert picture.shape[1] <= overlays.MAX_WIDTH
    assert (picture[:, -3:] == 255).all(), "the right margin is free"


def test_coarser_cells_and_long_titles_fit() -> None:
    coarse = square()[::10, ::10]
    long = overlays.overlay(tissue(300, 500), coarse, coarse, title="slide " * 60, scores={"mIoU": 0.5, "Dice": 0.6})
    short = overlays.overlay(tissue(300, 500), coarse, coarse, title="slide", scores={"mIoU": 0.5, "Dice": 0.6})
    assert long.shape == short.shape
    assert np.array_equal(long[:, -250:], short[:, -250:]), "the title leaves the scores alone"
    assert np.array_equal(long[60:], short[60:])


def lines(picture: NDArray[np.uint8], colour: str) -> int:
    return int((picture == style.rgb(colour)).all(axis=2).sum())


def test_a_coarse_annotation_is_the_third_outline() -> None:
    image = np.full((300, 450, 3), 120, dtype=np.uint8)
    place = (Grid.pixels((90, 60)), (90, 60))
    two = overlays.overlay(image, square(), square(shift=5), title="a")
    assert len(overlays.overlay(image, square(), square(shift=5), title="a", coarse=square())) == len(two) + LEGEND_LINE
    three = overlays.overlay(image, square(), square(shift=5), title="a", coarse=square(shift=-9))
    colours = (overlays.TRUTH_COLOUR, overlays.PREDICTION_COLOUR)
    assert all(lines(two, colour) > 500 and lines(three, colour) > 500 for colour in colours)
    page = lines(overlays.overlay(image, square(), square(), title="a"), overlays.COARSE_COLOUR)
    assert lines(three, overlays.COARSE_COLOUR) > page + 500
    placed = overlays.overlay(image, square(), square(shift=5), title="a", coarse=square(shift=-9), place=place)
    assert np.array_equal(placed, three), "cells that cover the image exactly lie where they would anyway"


def test_lines_that_coincide_are_all_seen() -> None:
    layers = [(square(), colour) for colour in (style.YELLOW, style.SKY, style.PAPER)]
    drawn = overlays.traced(tissue(), layers)
    counts = [lines(drawn, colour) for _, colour in layers]
    assert min(counts) > 0.2 * sum(counts)
    alone = overlays.outlined(tissue(), square(), style.YELLOW)
    assert sum(counts) == lines(alone, style.YELLOW)


def test_cells_lie_where_their_lattice_is() -> None:
    grid = Grid.regular((1150, 800), 500, 700)
    truth = np.array([[0, 1], [0, 0]], dtype=np.int8)
    image = np.full((80, 115, 3), 100, dtype=np.uint8)
    errors = overlays.error_map(image, *[overlays._fitted(truth, (115, 80), (grid, (1150, 800)))] * 2)
    green = errors[..., 1] > errors[..., 0] + 20
    assert green[:50, 50:100].all() and green.sum() == 50 * 50, "nothing is stretched to the slide's edge"


def test_the_edge_of_the_tissue_is_no_outline() -> None:
    classes = np.where(np.arange(90) < 40, -1, 0).astype(np.int8) * np.ones((60, 1), dtype=np.int8)
    assert np.array_equal(overlays.outlined(tissue(), classes, style.BLUE), tissue())


@pytest.mark.parametrize(("name", "kind"), [("a.png", "PNG"), ("a.jpg", "JPEG")])
def test_pictures_are_written_as_their_name_says(tmp_path: Path, name: str, kind: str) -> None:
    overlays.save(tissue(), tmp_path / name)
    with Image.open(tmp_path / name) as opened:
        assert (opened.format, opened.size) == (kind, (90, 60))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.realdata
def test_an_overlay_of_a_real_image_shows_tissue_and_both_outlines(shared_data: Path) -> None:
    image = np.asarray(Image.open(shared_data / "glas" / "testA_12.png").convert("RGB"))
    truth = (np.asarray(Image.open(shared_data / "glas" / "testA_12_anno.png")) > 0).astype(np.int8)
    picture = overlays.overlay(image, truth, np.roll(truth, 20, axis=1), title="testA_12", scores={"mIoU": 0.9})
    assert picture.shape[1] == overlays.MAX_WIDTH
    for colour in (overlays.TRUTH_COLOUR, overlays.PREDICTION_COLOUR):
        assert (picture == style.rgb(colour)).all(axis=2).sum() > 1000


# --- curves -------------------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=40))
def test_the_curve_is_that_of_scikit_learn(units: list[tuple[bool, int]]) -> None:
    from sklearn.metrics import roc_curve

    labels = np.array([label for label, _ in units], dtype=np.int8)
    labels[:2] = 0, 1
    scores = np.array([score / 6 for _, score in units], dtype=np.float32)
    wrong, found = roc_points(labels, scores)
    expected_wrong, expected_found, _ = roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(wrong, expected_wrong)
    np.testing.assert_allclose(found, expected_found)


def test_the_roc_figure_marks_full_sensitivity_and_names_the_interval() -> None:
    labels = np.array([0, 0, 0, 0, 1, 1], dtype=np.int8)
    scores = np.array([0.1, 0.2, 0.3, 0.9, 0.3, 0.8], dtype=np.float32)
    drawn = curves.roc(labels, scores, title="t", auc=0.6875, interval=(0.2, 1.0))
    (axes,) = drawn.axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert "AUC 0.688 (95 %: 0.200 to 1.000)" in texts
    assert "100 % sensitivity: specificity 50.0% at score ≥ 0.3" in texts
    mark = axes.lines[-1]
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (0.5, 1)
    with pytest.raises(ValueError, match="negative"):
        curves.roc(np.ones(3, dtype=np.int8), np.ones(3), title="t", auc=1.0)


def gained(count: int) -> list[dict[str, object]]:
    rng = np.random.default_rng(0)
    before = rng.permutation(np.linspace(0.2, 0.9, count))
    return [
        {"slide": f"s{i}", "coarse_f1": float(b), "pixel/f1": float(b + 0.05), "valid": b > 0.3}
        for i, b in enumerate(before)
    ]


def test_refinement_is_shown_against_the_coarse_annotation() -> None:
    rows = [*gained(20), {"slide": "x", "coarse_f1": None, "pixel/f1": 0.5, "valid": False}]
    drawn = curves.refinement(rows, "t")
    assert drawn is not None
    (axes,) = drawn.axes
    diagonal, mean = axes.lines
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [0, 1]
    before = np.sort([row["coarse_f1"] for row in rows if row["coarse_f1"] is not None])
    expected = [before[i : i + 15].mean() for i in range(6)]
    np.testing.assert_allclose(mean.get_xdata(), expected)
    np.testing.assert_allclose(mean.get_ydata(), np.add(expected, 0.05))
    assert [len(dots.get_offsets()) for dots in axes.collections] == [17, 3]
    assert drawn._supxlabel.get_text() == "20 slides: 20 above the diagonal, 0 below; 1 without F1"


def test_few_slides_have_no_moving_average_and_none_no_figure() -> None:
    drawn = curves.refinement(gained(14), "t")
    assert drawn is not None and len(drawn.axes[0].lines) == 1
    assert curves.refinement([{"slide": "a", "pixel/f1": 0.5, "coarse_f1": None}], "t") is None
    assert curves.refinement([], "t") is None


def test_history_has_a_panel_per_name_grouped_by_prefix() -> None:
    entries: list[curves.Entry] = []
    for step in range(200):
        entries += [("segmenter/loss", 1 / (step + 1), step), ("classifier/loss", 2.0, step), ("best", 1.0, None)]
    entries.append(("segmenter/validation/miou", 0.5, 7))
    drawn = curves.history(entries, title="t")
    assert drawn is not None
    titles = [axes.get_title(loc="left") for axes in drawn.axes]
    assert titles == ["segmenter · loss", "segmenter/validation · miou", "classifier · loss"]
    colours = [axes.lines[0].get_color() for axes in drawn.axes]
    assert colours[0] == colours[1] != colours[2]
    assert np.array_equal(drawn.axes[0].lines[0].get_xdata(), np.arange(200))
    assert curves.history([("best", 1.0, None)], title="t") is None


def test_figures_are_repeatable_and_leave_pyplot_alone(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from benchmark.reporting import curves, style\n"
        "entries = [('x/loss', 1.0, 0), ('x/loss', 0.5, 1)]\n"
        "for name in 'ab': style.save(curves.history(entries, title='t'), Path(name))\n"
        "print('matplotlib.pyplot' in sys.modules, Path('a').read_bytes() == Path('b').read_bytes())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


# --- tables and page ----------------------------------------------------------------------------------------------


def facts(folder: Path, **changes: object) -> RunFacts:
    rows = [
        {"slide": f"s{index}", "subset": "testA", "tp": index, "pixel/dice": index / 20 if index else None}
        for index in range(16)
    ]
    pictures = {}
    for row in rows[:15]:
        pictures[str(row["slide"])] = folder / f"{row['slide']}.jpg"
        overlays.save(tissue(), folder / f"{row['slide']}.jpg")
    overlays.save(tissue(), folder / "roc.png")
    values: dict[str, object] = {
        "title": "oeem <b>seed 0</b> on glas",
        "subtitle": "A & B",
        "command": "bench run --config config.yaml --force",
        "synthetic": False,
        "values": {"pixel/miou": 0.8123, "pixel/miou@testA": 0.7, "object/hausdorff": 123.456},
        "intervals": {"pixel/miou": (0.7, 0.9)},
        "absent": {"image/auc": "there is only one class", "image/auc@testA": "there is only one class"},
        "titles": {"pixel/miou": "mIoU"},
        "headlines": ("pixel/miou", "image/auc"),
        "ledger": {"patch_labels": 7740, "reviews": 0},
        "stages": [StageCost("classifier", 12.3, 1500.0), StageCost("masks", 4.0, 100.0, reused=True)],
        "rows": rows,
        "rank_by": "pixel/dice",
        "pictures": pictures,
        "figures": {"ROC": folder / "roc.png"},
        "settings": {"<script>": "alert(1)"},
    }
    return RunFacts(**{**values, **changes})  # type: ignore[arg-type]


class Reader(HTMLParser):
    """Collects the text, and the addresses that a page loads or links to; refuses tags that do not match."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text, self.addresses, self.open = "", [], []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += " ".join(data.split()) + "\n"


def test_the_page_says_what_was_found_and_what_was_not(tmp_path: Path) -> None:
    text = Reader(render(facts(tmp_path))).text
    for expected in ("0.8123", "0.700 to 0.900", "123.5", "there is only one class", "7 740", "none", "(reused)"):
        assert expected in text
    assert text.count("there is only one class") == 1, "a reason is given once, with all that it explains"
    assert "Synthetic data" not in text
    assert "Synthetic data" in Reader(render(facts(tmp_path, synthetic=True))).text


def refined(folder: Path) -> RunFacts:
    values = {
        "pixel/miou": 0.8,
        "coarse/f1": 0.61,
        "coarse/accuracy": 0.835,
        "slide/f1": 0.853,
        "slide/accuracy": 0.93,
        "slide/cleaned": 75.84,
        "slide/f1@valid": 0.9,
        "coarse/f1@valid": 0.7,
    }
    return facts(
        folder,
        values=values,
        spreads={"slide/f1": 0.092, "coarse/f1": 0.156, "slide/cleaned": 11.1},
        titles={"slide/f1": "F1 per slide", "slide/cleaned": "Cleaned per slide"},
        facts={"refine/f1_p:test": "p = 0.0002 ***", "completeness": "22 of 24 slides; left out: x: unreadable"},
        rows=[{"slide": f"s{number}", "note": "trained on <2> bags" if number == 1 else None} for number in range(6)],
        refines=True,
    )


def test_the_page_shows_the_result_against_the_coarse_annotation_and_notes(tmp_path: Path) -> None:
    text = Reader(render(refined(tmp_path))).text
    block = text[text.index("Against the coarse") : text.index("Metrics on the test slides")]
    for expected in ("0.610 ± 0.156", "0.853 ± 0.092", "75.8 ± 11.1", "0.900", "all\nvalid\ntestA", "p = 0.0002 ***"):
        assert expected in block
    assert text.count("p = 0.0002 ***") == 1
    assert "left out: x: unreadable" in text
    assert "trained on <2> bags" in text and text.count("\nnote\n") == 0
    for other in (facts(tmp_path), replace(refined(tmp_path), refines=False)):
        assert "oarse" not in Reader(render(other)).text, "nothing is compared with what it never saw"
    few = replace(refined(tmp_path), rows=refined(tmp_path).rows[:5])
    text = Reader(render(few)).text
    assert "too few slides (5, at least 6)" in text and "±" not in text and "***" not in text


def test_the_page_begins_with_the_headline_and_pictures_and_folds_long_tables(tmp_path: Path) -> None:
    page = render(replace(refined(tmp_path), pictures=facts(tmp_path).pictures, rows=facts(tmp_path).rows))
    parts = ("cards", "Slides by", "Curves", "Against the coarse", "Metrics on the test slides", "Cost", "Reproduce")
    places = [page.index(part, page.index("<main")) for part in parts]
    assert places == sorted(places)
    assert page.index("<details", places[4]) < page.index("<table", places[4])


def test_the_page_is_whole_in_itself_and_escapes_what_it_is_given(tmp_path: Path) -> None:
    page = render(facts(tmp_path))
    read = Reader(page)
    assert "<b>seed 0</b>" in read.text
    assert "<script>" not in page
    assert len(read.addresses) == 13
    assert all(address.startswith("data:image/") for address in read.addresses)


def test_the_page_shows_the_slides_that_went_worst_and_best(tmp_path: Path) -> None:
    text = Reader(render(facts(tmp_path))).text
    lowest, middle, highest = (text.index(f"\n{word}\n") for word in ("Lowest", "Middle", "Highest"))
    assert lowest < text.index("s1: 0.0500") < text.index("s4: 0.2000") < middle
    assert middle < text.index("s6: 0.3000") < text.index("s9: 0.4500") < highest < text.index("s14: 0.7000")
    assert "s5:" not in text
    assert "s0:" not in text, "a slide without a value has no rank"
    assert "s15:" not in text, "a slide without a picture is not shown"


def test_the_page_of_a_run_with_next_to_nothing_is_whole(tmp_path: Path) -> None:
    bare = RunFacts(title="t", subtitle="", command="bench run", synthetic=True, values={})
    write_report(tmp_path, bare)
    assert "bench run" in Reader((tmp_path / "summary.html").read_text()).text
    assert json.loads((tmp_path / "per_slide.table.json").read_text()) == {"columns": [], "data": []}


def test_the_table_is_the_same_as_csv_and_json(tmp_path: Path) -> None:
    rows = [{"slide": 'a,"b"', "n": 1, "dice": 0.5}, {"slide": "ü", "n": 2, "dice": None, "auc": 0.25}]
    write_table(tmp_path, "per_slide", rows, first=("slide", "dice", "nowhere"))
    table = json.loads((tmp_path / "per_slide.table.json").read_text())
    assert table == {
        "columns": ["slide", "dice", "n", "auc"],
        "data": [['a,"b"', 0.5, 1, None], ["ü", None, 2, 0.25]],
    }
    text = (tmp_path / "per_slide.csv").read_text(encoding="utf-8")
    assert list(csv.reader(io.StringIO(text))) == [
        ["slide", "dice", "n", "auc"],
        ['a,"b"', "0.5", "1", ""],
        ["ü", "", "2", "0.25"],
    ]
    with pytest.raises(ValueError, match="JSON"):
        write_table(tmp_path, "nan", [{"slide": "a", "dice": float("nan")}])
    assert not list(tmp_path.glob("*nan*"))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (0.5, "0.5000"),
        (1.0, "1.0000"),
        (0, "0"),
        (12345, "12\u202f345"),
        (91.94, "91.9"),
        (2.4e-6, "2.4e-06"),
        (0.0, "0.0000"),
        (True, "True"),
    ],
)
def test_numbers_read_well(value: object, text: str) -> None:
    assert number(value) == text  # type: ignore[arg-type]
