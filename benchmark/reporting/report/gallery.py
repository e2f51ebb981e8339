"""The slides on which each row did worst, middling and best, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from benchmark.reporting import paired
from benchmark.reporting.extremes import lowest_middle_highest
from benchmark.reporting.report.row_evidence import Evidence, Picture
from benchmark.reporting.summary_page import embedded
from benchmark.stored import MissingError

ROWS, WIDTH = 8, 480
"""Rows shown of a board, and pixels across a picture at most."""

RANKED_BY = "pixel/dice"


@dataclass(frozen=True)
class Shown:
    """An embedded picture. `place`: worst, median or best. `score`: as text, empty where unknown."""

    place: str
    slide: str
    score: str
    address: str
    size: tuple[int, int]


@dataclass(frozen=True)
class Strip:
    """The pictures of a row, or the sentence why there are none."""

    label: str
    shown: tuple[Shown, ...] = ()
    missing: str = ""
    run: str = ""
    """Id of the run whose slides these are."""


def strips(evidence: Sequence[Evidence]) -> list[Strip]:
    """The pictures of the first eight rows."""
    return [_strip(each) for each in evidence[:ROWS]]


def chosen(pictures: Sequence[Picture], scores: Mapping[str, float]) -> dict[str, Picture]:
    """Worst, median, best → picture; fewer where there are not three.

    Args:
        pictures: the worst first.
        scores: slide → score, also of slides without a picture. Slides without a score are shown only when no
            picture has one; the median is the picture nearest to the median of all scores.
    """
    known = [picture for picture in pictures if picture.slide in scores] or list(pictures)
    if len(known) < 3:
        return dict(zip(("worst", "best"), known, strict=False))
    middle = None
    if scores and known[0].slide in scores:
        centre = median(scores.values())
        middle = min(range(1, len(known) - 1), key=lambda place: abs(scores[known[place].slide] - centre))
    (worst,), (median_one,), (best,) = lowest_middle_highest(known, middle=middle)
    return {"worst": worst, "median": median_one, "best": best}


def _strip(evidence: Evidence) -> Strip:
    label = evidence.name
    try:
        picked = chosen(evidence.pictures, scores := _scores(evidence))
        return Strip(
            label, tuple(_shown(place, picture, scores) for place, picture in picked.items()), run=evidence.run.id
        )
    except MissingError as missing:
        return Strip(label, missing=missing.what)
    except OSError as error:
        return Strip(label, missing=f"An overlay of {label} cannot be read ({error}).")


def _scores(evidence: Evidence) -> dict[str, float]:
    """Slide → score; empty when the run has no table of slides, the order of its pictures is enough."""
    try:
        return {str(slide): score for slide, score in paired.values(evidence.slides, RANKED_BY).items()}
    except MissingError:
        return {}


def _shown(place: str, picture: Picture, scores: Mapping[str, float]) -> Shown:
    from PIL import Image

    with Image.open(picture.path) as opened:
        width, height = opened.size
    if width > WIDTH:
        width, height = WIDTH, round(height * WIDTH / width)
    score = f"{scores[picture.slide]:.3f}" if picture.slide in scores else ""
    return Shown(place, picture.slide, score, embedded(picture.path, WIDTH), (width, height))
