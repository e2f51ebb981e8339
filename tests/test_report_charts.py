"""Charts of the report: what is drawn, where, and that it is fit to stand inside a page."""

import re
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from defusedxml.ElementTree import fromstring
from hypothesis import given
from hypothesis import strategies as st
from pandas import DataFrame

from benchmark.reporting import style
from benchmark.reporting.durations import duration
from benchmark.reporting.leaderboard.standings_model import Figure, Row
from benchmark.reporting.report.board_charts import _effort
from benchmark.reporting.report.charts import gain_chart, roc_chart
from benchmark.reporting.report.cost_chart import CostPoint, cost_chart, front
from benchmark.reporting.report.gallery import chosen
from benchmark.reporting.report.looks import look
from benchmark.reporting.report.row_evidence import Evidence
from benchmark.reporting.report.svg import drawing, inline
from benchmark.reporting.unit_square import slides_with_gain, specificity_at_100
from benchmark.stored import StoredRun

LABELS = np.array([1, 1, 0, 0, 0, 0], np.int8)
SCORES = np.array([0.9, 0.4, 0.8, 0.3, 0.2, 0.4])


def point(label, minutes, value, spread=None):
    return CostPoint(label, look(0), minutes, value, spread)


def svg(drawn, prefix="x"):
    return inline(drawn, prefix, 'a label with < & "')


def test_the_point_of_full_sensitivity_is_on_the_curve():
    assert specificity_at_100(LABELS, SCORES) == 0.5, "0.8 is above the lowest positive and 0.4 is not below it"
    with drawing():
        (axes,) = roc_chart([(look(0), LABELS, SCORES)]).axes
    _, curve, mark = axes.lines
    assert (mark.get_xdata()[0], mark.get_ydata()[0]) == (0.5, 1)
    assert any(x == 0.5 and y == 1 for x, y in zip(curve.get_xdata(), curve.get_ydata(), strict=True))


def test_the_scatter_has_a_mark_per_slide_and_a_diagonal():
    with drawing():
        table = DataFrame({"coarse_f1": [0.6, 0.2, None], "pixel/f1": [0.5, 0.3, 0.1]})
        (axes,) = gain_chart([(look(i), slides_with_gain(table)) for i in range(2)]).axes
    assert [len(marks.get_offsets()) for marks in axes.collections] == [2, 2]
    assert axes.collections[0].get_offsets().tolist() == [[0.2, 0.3], [0.6, 0.5]]
    assert axes.lines[0].get_xydata().tolist() == [[0, 0], [1, 1]]


POINTS = st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1, max_size=12)


@given(POINTS, st.booleans())
def test_the_front_is_what_no_other_row_beats(values, up):
    points = [point(str(i), m, v) for i, (m, v) in enumerate(values)]
    kept = front(points, up=up)
    sign = 1 if up else -1

    def beats(a, b):
        return (
            a.minutes <= b.minutes and sign * a.value >= sign * b.value and (a.minutes, a.value) != (b.minutes, b.value)
        )

    expected = {(p.minutes, p.value) for p in points if not any(beats(q, p) for q in points)}
    assert {(p.minutes, p.value) for p in kept} == expected and len(kept) == len(expected)


def test_the_cost_chart_shows_zero_and_names_every_point():
    with drawing():
        drawn = cost_chart([point("free", 0, 0.5), point("dear", 4000, 0.9, 0.02), point("bad", 30, 0.4)], "mIoU")
    (axes,) = drawn.axes
    assert axes.get_xlim()[0] < 0 and "0" in [text.get_text() for text in axes.get_xticklabels()]
    assert {text.get_text() for text in axes.texts} == {"free", "dear", "bad"}
    assert axes.lines[0].get_xdata()[:2].tolist() == [0, 4000]


@pytest.mark.parametrize(
    "places", [[(5, 0.5)] * 6, [(4, 0.66), (4, 0.62), (12, 0.71), (12, 0.705), (12, 0.7), (700, 0.8)]]
)
def test_labels_cover_neither_each_other_nor_a_point_and_stay_inside(places):
    with drawing():
        drawn = cost_chart([point(f"method {i} quick", *place) for i, place in enumerate(places)], "mIoU")
        drawn.draw_without_rendering()
    (axes,) = drawn.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == len(places)
    assert not [1 for one, other in combinations(boxes, 2) if one.overlaps(other)]
    middles = axes.transData.transform(places)
    assert not [1 for box in boxes for x, y in middles if box.contains(x, y)]
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 for box in boxes)


@pytest.mark.parametrize("minutes", [[0.0], [0.0, 0.0], [7.0], [0.004, 2e6], [0.0, 1e-3], [61.0, 62.0]])
def test_any_label_time_can_be_drawn(minutes):
    with drawing():
        parsed = fromstring(svg(cost_chart([point(str(i), m, 0.5) for i, m in enumerate(minutes)], "Dice")))
    assert "nan" not in "".join(parsed.itertext())


def test_the_ceiling_of_effort_is_over_all_classes_where_a_row_has_that(tmp_path):
    file = tmp_path / "effort.csv"
    file.write_text("part,metric,reviews,value\nheld_out,f1_macro,10,0.5\nheld_out,f1_macro,20,0.68\n")
    artifacts = SimpleNamespace(fetch=lambda run, path: [file] if path == "effort.csv" else [])

    def evidence(method, track, **figures):
        run = StoredRun(method, method, "FINISHED", {}, {}, {}, "")
        named = {name.replace("_", "/", 1): Figure(value) for name, value in figures.items()}
        return Evidence(artifacts, Row(method, "", "paper", track, (0,), (run,), named))

    probe = evidence("linear-probe", "review", class_f1_macro=0.68)
    for figures, ceiling in (
        ({"class_f1_macro": 0.7, "pixel_f1_macro": 0.93}, "0.700"),
        ({"pixel_f1_macro": 0.93}, "0.930"),
    ):
        (chart,) = _effort([probe, evidence("unet", "full", **figures)], "p")
        assert any(f"full supervision ({ceiling}" in note for note in chart.notes)


def test_label_times_are_read_easily():
    assert [duration(m) for m in (0, 0.5, 5, 90, 6e4, 6e5)] == [
        "0",
        "30 s",
        "5 min",
        "1.5 h",
        "1\u202f000 h",
        "10\u202f000 h",
    ]


def test_an_inline_picture_is_well_formed_themed_and_self_contained():
    with drawing():
        text = svg(roc_chart([(look(i), LABELS, SCORES) for i in range(7)]))
    root = fromstring(text)
    assert root.tag == "svg" and root.get("role") == "img" and root.get("aria-label") == 'a label with < & "'
    assert "http" not in text and "<style" not in text and "metadata" not in text
    for ink in (style.INK, style.BLACK, style.FAINT, style.PAPER):
        assert ink.lower() not in text.lower()
    assert "var(--ink)" in text and style.BLUE.lower() in text.lower()
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids)) and all(name.startswith("x-") for name in ids)
    assert set(re.findall(r"#(x-[\w-]+)", text)) == set(ids)
    assert "font-family" not in text and re.search(r"font-size: \d", text)


def test_the_same_figure_gives_the_same_bytes():
    def once():
        with drawing():
            return svg(roc_chart([(look(0), LABELS, SCORES)]))

    assert once() == once()


def test_a_label_is_never_read_as_a_formula_nor_as_markup():
    with drawing():
        root = fromstring(svg(cost_chart([point("a $x_1$ </svg><b>", 1, 0.5)], "m$\\frac{$")))
    texts = [element.text for element in root.iter("text")]
    assert "a $x_1$ </svg><b>" in texts and "m$\\frac{$" in texts


def test_looks_differ_beyond_colour():
    looks = [look(index) for index in range(28)]
    assert len({(one.colour, one.dash) for one in looks}) == 28
    assert len({one.marker for one in looks[:5]}) == 5


def pictures(*slides):
    from pathlib import Path

    from benchmark.reporting.report.row_evidence import Picture

    return [Picture(place, slide, Path(slide)) for place, slide in enumerate(slides, start=1)]


def test_worst_median_and_best_are_told_by_place_and_score():
    scores = {"a": 0.1, "b": 0.2, "c": 0.5, "d": 0.9, "e": 0.5}
    picked = chosen(pictures("a", "b", "c", "d"), scores)
    assert {place: picture.slide for place, picture in picked.items()} == {"worst": "a", "median": "c", "best": "d"}
    without = chosen(pictures("undefined", "a", "b", "d"), scores)
    assert without["worst"].slide == "a", "a slide without a score is not the worst"
    assert chosen(pictures("x", "y", "z"), {})["median"].slide == "y"
    assert [p.slide for p in chosen(pictures("x", "y"), {}).values()] == ["x", "y"]
    assert list(chosen(pictures("x"), {})) == ["worst"]
