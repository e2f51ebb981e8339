"""Slides composed of GlaS: how much is tissue and lesion, how long they take, and what colour alone gives away.

python measurements/composed_slides.py DATA/glas [--slides 6] [--side 5120] [--split train]

Per slide: share of tissue in the slide and of lesion in the tissue, number of lesions, seconds to lay it out and to
make its pixels. At the end the area under the ROC curve with which a logistic regression on the mean colour of a
128-px cell tells lesion from normal cells, on slides that were left out of its fit in turn.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.dataset import Split
from benchmark.datasets.synthetic.composed import ComposedSlide, compose_slide
from benchmark.datasets.tiles.glas_tissue import GlasTissue
from benchmark.seeds import seed_of
from benchmark.slides import Grid

CELL = 128
BRIGHT = 225
"""A cell whose mean green is above this is glass."""


def cells(slide: ComposedSlide, pixels: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Mean colour (cells × 3) and lesion or not of every cell with tissue."""
    count = slide.size[0] // CELL
    square = pixels[: count * CELL, : count * CELL].reshape(count, CELL, count, CELL, 3)
    colour = square.mean(axis=(1, 3))
    edges = np.arange(count) * CELL
    lesion = slide.lesion.labels(Grid(edges, edges, CELL, CELL)) > 0
    tissue = colour[..., 1] < BRIGHT
    return colour[tissue], lesion[tissue]


def separation(slides: list[tuple[NDArray[np.float64], NDArray[np.bool_]]]) -> list[float]:
    """AUC on each slide of a model fitted to the others."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    found = []
    for held, (colour, lesion) in enumerate(slides):
        rest = [slide for number, slide in enumerate(slides) if number != held]
        model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))
        model.fit(np.concatenate([c for c, _ in rest]), np.concatenate([y for _, y in rest]))
        found.append(float(roc_auc_score(lesion, model.decision_function(colour))))
    return found


def main() -> None:
    """Compose, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--slides", type=int, default=6)
    parser.add_argument("--side", type=int, default=5120)
    parser.add_argument("--split", type=Split, default=Split.TRAIN)
    options = parser.parse_args()
    source = GlasTissue(options.root).part(options.split, 0)
    measured = []
    for number in range(options.slides):
        began = time.perf_counter()
        slide = compose_slide(source, side=options.side, seed=seed_of("composed slides", number), lesions=True)
        laid = time.perf_counter()
        pixels = np.concatenate(list(slide.bands()))
        done = time.perf_counter()
        measured.append(cells(slide, pixels))
        print(
            f"slide {number}  tissue {slide.tissue_share:4.0%}  lesion {slide.lesion_share:4.0%} of it in "
            f"{slide.lesion.count():2d} parts  {laid - began:5.1f} + {done - laid:5.1f} s  {'; '.join(slide.notes[:2])}"
        )
    if len(measured) > 1:
        values = separation(measured)
        print(
            f"mean colour of a cell alone: AUC {np.mean(values):.3f} on slides left out "
            f"({min(values):.2f} to {max(values):.2f})"
        )


if __name__ == "__main__":
    main()
