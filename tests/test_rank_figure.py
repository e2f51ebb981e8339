"""Demšar's diagram: what it shows, that nothing overlaps, and that it is the same every time."""

from itertools import combinations

import numpy as np
import pytest

from benchmark.metrics.comparison import cliques
from benchmark.reporting.rank_figure import AXIS, BAR, critical_difference_figure
from benchmark.reporting.style import VERMILION, save

FIVE = {"delta $5$ a_b": 3.5, "alpha": 1.5, "beta": 2.0, "gamma": 3.0, "epsilon": 5.0}


def field(count, width=40):
    """Names of `width` wide letters, with ranks that crowd at the start and tie at the end."""
    spread = np.sort(np.random.default_rng(count).uniform(1, count, count))
    spread[-1] = spread[-2]
    return {f"{number:02d}".ljust(width, "M"): float(rank) for number, rank in enumerate(spread)}


def shown(drawn):
    (axes,) = drawn.axes
    return [text.get_text() for text in axes.texts]


def bars(drawn):
    (axes,) = drawn.axes
    return [line for line in axes.lines if line.get_linewidth() == BAR]


def boxes(drawn):
    renderer = drawn.canvas.get_renderer()
    return [(text.get_text(), text.get_window_extent(renderer)) for text in drawn.axes[0].texts]


def test_every_name_and_rank_is_shown_as_written():
    texts = shown(critical_difference_figure(FIVE, 1.2, title="Ranks of $5"))
    for text in (*FIVE, "1.50", "5.00", "critical difference 1.20", "Ranks of $5"):
        assert texts.count(text) == 1


def test_the_best_is_left_and_the_worst_right():
    drawn = critical_difference_figure(FIVE, 1.2, title="")
    place = dict(boxes(drawn))
    left, right = ["alpha", "beta", "gamma"], ["epsilon", "delta $5$ a_b"]
    assert max(place[name].x1 for name in left) < min(place[name].x0 for name in right)
    for names in (left, right):
        heights = [place[name].y0 for name in names]
        assert heights == sorted(heights, reverse=True)
    dots = sorted(line.get_xdata()[0] for line in drawn.axes[0].lines if line.get_marker() == "o")
    assert np.diff(dots) == pytest.approx(np.diff(sorted(FIVE.values())) * AXIS / 4)


@pytest.mark.parametrize("difference", [0.4, 0.8, 1.2, 2.1, 9.0])
def test_the_bars_are_the_cliques(difference):
    drawn = critical_difference_figure(FIVE, difference, title="")
    groups = cliques(FIVE, difference)
    found = bars(drawn)
    assert [bar.get_label() for bar in found] == [f"clique: {', '.join(group)}" for group in groups]
    start = min(line.get_xdata()[0] for line in drawn.axes[0].lines if line.get_marker() == "o")
    for bar, group in zip(found, groups, strict=True):
        first, last = bar.get_xdata()
        assert first == pytest.approx(start + (FIVE[group[0]] - 1.5) * AXIS / 4 - 0.05)
        assert last - first == pytest.approx((FIVE[group[-1]] - FIVE[group[0]]) * AXIS / 4 + 0.1)


@pytest.mark.parametrize("count", [2, 7, 20])
def test_bars_of_one_line_do_not_touch(count):
    found = bars(critical_difference_figure(field(count), 1.9, title=""))
    assert found
    for one, other in combinations(found, 2):
        if one.get_ydata()[0] == pytest.approx(other.get_ydata()[0]):
            first, second = sorted((tuple(one.get_xdata()), tuple(other.get_xdata())))
            assert first[1] < second[0]


def test_the_difference_is_drawn_to_scale_even_when_it_is_longer_than_the_axis():
    for difference in (0.7, 1.96):
        drawn = critical_difference_figure({"a": 1.0, "b": 2.0}, difference, title="")
        (axes,) = drawn.axes
        drawn_lines = [line for line in axes.lines if line.get_color() == VERMILION]
        start, end = drawn_lines[0].get_xdata()
        assert end - start == pytest.approx(difference * AXIS)
        assert end < axes.get_xlim()[1]


@pytest.mark.parametrize("count", [2, 3, 5, 12, 20])
def test_no_text_overlaps_another_or_leaves_the_figure(count):
    drawn = critical_difference_figure(field(count), 2.5, title="Mean ranks by a metric " + "over many boards " * 3)
    place = [box for _, box in boxes(drawn)]
    for box in place:
        assert box.x0 >= 0 and box.x1 <= drawn.bbox.width
        assert box.y0 >= 0 and box.y1 <= drawn.bbox.height
    assert not [pair for pair in combinations(place, 2) if pair[0].overlaps(pair[1])]
    lowest_bar = min((bar.get_ydata()[0] for bar in bars(drawn)), default=1e9) * drawn.dpi
    assert max(box.y1 for text, box in boxes(drawn) if len(text) == 40) < lowest_bar


def test_a_long_title_fits():
    title = "a very long title " * 12
    drawn = critical_difference_figure({"a": 1.0, "b": 2.0}, 1.0, title=title)
    assert dict(boxes(drawn))[title].x1 <= drawn.bbox.width


def test_the_same_ranks_give_the_same_bytes(tmp_path):
    for name, ranks in (("one", FIVE), ("other", dict(reversed(FIVE.items())))):
        save(critical_difference_figure(ranks, 1.2, title="Ranks"), tmp_path / f"{name}.png")
    first = (tmp_path / "one.png").read_bytes()
    assert first.startswith(b"\x89PNG") and first == (tmp_path / "other.png").read_bytes()


@pytest.mark.parametrize(
    ("ranks", "difference", "what"),
    [
        ({"a": 1.0}, 1.0, "at least two methods"),
        ({"a": 1.0, "b": 2.5}, 1.0, "ranks from 1 to 2"),
        ({"a": 0.5, "b": 2.0}, 1.0, "ranks from 1 to 2"),
        ({"a": 1.0, "b": float("nan")}, 1.0, "ranks from 1 to 2"),
        ({"a": 1.0, "b": 2.0}, 0.0, "positive number"),
        ({"a": 1.0, "b": 2.0}, float("inf"), "positive number"),
    ],
)
def test_ranks_that_cannot_be_are_refused(ranks, difference, what):
    with pytest.raises(ValueError, match=what):
        critical_difference_figure(ranks, difference, title="")
