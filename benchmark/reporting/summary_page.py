"""The summary page of a run: one file without any link to elsewhere, legible in light and dark."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.reporting import templating
from benchmark.reporting.extremes import lowest_middle_highest
from benchmark.reporting.paired import too_few
from benchmark.reporting.run_facts import Cell, RunFacts
from benchmark.reporting.templating import number

if TYPE_CHECKING:
    from PIL.Image import Image

SHOWN, PICTURE_WIDTH = 4, 700
REFINED = ("accuracy", "tpr", "ppv", "f1", "cleaned", "mis_modified")
"""Rows of the block on the coarse annotation, those of LC-MIL's Table I: `coarse/NAME` and `slide/NAME`."""
PERCENT = ("cleaned", "mis_modified")
NOTE = "note"
TEXTS = (NOTE, "reading")
"""Column of the rows with what a method says about a slide; shown apart from the numbers."""


def render(facts: RunFacts) -> str:
    """The page as HTML. Everything that comes from data is escaped."""
    shown = [name for name in facts.values if applies(name, facts)]
    names = list(dict.fromkeys(name.partition("@")[0] for name in shown))
    reasons: dict[str, list[str]] = {}
    for name, reason in facts.absent.items():
        if applies(name, facts):
            reasons.setdefault(reason, []).append(name)
    columns = [name for name in dict.fromkeys(column for row in facts.rows for column in row) if name not in TEXTS]
    return templating.render(
        "summary",
        facts=facts,
        headlines=[name for name in facts.headlines if name in facts.values],
        names=names,
        subsets=_subsets(facts),
        reasons=reasons,
        refined=refinement_table(facts),
        tested={"refine/f1_p:test": "F1", "refine/accuracy_p:test": "Accuracy"},
        few=too_few(len(facts.rows)),
        notes={str(row["slide"]): row[NOTE] for row in facts.rows if row.get(NOTE)},
        reading=[(f"{slide} ({split})", note) for split, slide, note in facts.reading_notes],
        columns=columns,
        numeric=[name for name in columns if any(_value(row, name) is not None for row in facts.rows)],
        figures={caption: embedded(path, 1600) for caption, path in facts.figures.items()},
        folded=[
            (part, {caption: embedded(path, 1600) for caption, path in part.figures.items()}) for part in facts.folded
        ],
        gallery={
            heading: [(slide, value, embedded(facts.pictures[slide], PICTURE_WIDTH)) for slide, value in picked]
            for heading, picked in _picked(facts).items()
        },
    )


def applies(name: str, facts: RunFacts) -> bool:
    """Whether the page shows a metric: what compares with the coarse annotation only for methods that start from it.

    P values are left out where there are too few slides.
    """
    if not facts.refines and name.startswith(("coarse/", "refine/", *(f"slide/{part}" for part in PERCENT))):
        return False
    return not (too_few(len(facts.rows)) and name.partition("@")[0].endswith("_p"))


def refinement_table(facts: RunFacts) -> list[tuple[str, list[tuple[str, ...]]]]:
    """Rows of (metric, [(coarse, result) for all slides and each subset]) as text, mean ± standard deviation.

    Empty unless the method refines, and both the coarse annotation and the prediction have means over slides. No
    deviation where there are too few slides.
    """
    if not facts.refines or "coarse/f1" not in facts.values or "slide/f1" not in facts.values:
        return []
    ends = ["", *(f"@{subset}" for subset in _subsets(facts))]
    return [
        (
            facts.titles.get(f"slide/{name}", name).removesuffix(" per slide"),
            [tuple(_mean(facts, f"{side}/{name}{end}") for side in ("coarse", "slide")) for end in ends],
        )
        for name in REFINED
        if f"slide/{name}" in facts.values
    ]


def _mean(facts: RunFacts, name: str) -> str:
    if name not in facts.values:
        return "–"
    digits = 1 if name.partition("/")[2].startswith(PERCENT) else 3
    known = name in facts.spreads and not too_few(_slides_of(facts, name.partition("@")[2]))
    spread = f" ± {facts.spreads[name]:.{digits}f}" if known else ""
    return f"{facts.values[name]:.{digits}f}{spread}"


def _slides_of(facts: RunFacts, subset: str) -> int:
    """How many slides a subset has; those of valid and invalid coarse annotations are told by `valid`."""
    validity = {"valid": True, "invalid": False}
    if subset in validity:
        return sum(row.get("valid") is validity[subset] for row in facts.rows)
    return sum(subset in ("", row.get("subset")) for row in facts.rows)


def _subsets(facts: RunFacts) -> list[str]:
    ends = dict.fromkeys(name.partition("@")[2] for name in (*facts.values, *facts.absent))
    return [end for end in ends if end]


def embedded(path: Path, width: int) -> str:
    """The picture as a data address, no wider than `width` pixels: PNG for figures, JPEG for photographs."""
    from PIL import Image

    with Image.open(path) as opened:
        picture = opened.convert("RGB")
    if picture.width > width:
        picture = picture.resize((width, round(picture.height * width / picture.width)), Image.Resampling.LANCZOS)
    elif path.suffix == ".png":
        return _address("png", path.read_bytes())
    return jpeg_address(picture)


def jpeg_address(picture: Image) -> str:
    """A picture as the data address of a JPEG."""
    data = io.BytesIO()
    picture.save(data, "JPEG", quality=82, subsampling=0)
    return _address("jpeg", data.getvalue())


def _address(kind: str, data: bytes) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def _picked(facts: RunFacts) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Slides to show, with the number they were chosen by: the worst, those in the middle, the best."""
    ranked = [row for row in facts.rows if row["slide"] in facts.pictures and _value(row, facts.rank_by) is not None]
    ranked.sort(key=lambda row: (_value(row, facts.rank_by), str(row["slide"])))
    if not ranked:
        return {"Slides": [(slide, "") for slide in list(facts.pictures)[: 3 * SHOWN]]} if facts.pictures else {}
    slides = [(str(row["slide"]), number(row[facts.rank_by])) for row in ranked]
    if len(slides) <= 3 * SHOWN:
        return {"From the lowest to the highest": slides}
    return dict(zip(("Lowest", "Middle", "Highest"), lowest_middle_highest(slides, SHOWN), strict=True))


def _value(row: Mapping[str, Cell], column: str) -> float | None:
    value = row.get(column)
    return float(value) if isinstance(value, int | float) else None
