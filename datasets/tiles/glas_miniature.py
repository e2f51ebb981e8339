"""A miniature of GlaS: painted tissue in the official layout."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.dataset import TissueSource, tell_progress, write_synthetic_mark
from benchmark.errors import DataError
from benchmark.seeds import generator, seed_of

from ..fresh_folder import fresh_folder
from ..side_by_side import side_by_side
from ..synthetic.painter import VERSION, Painter, Stain
from ..tables import write_table
from .glas_files import COLUMNS, GRADES, PARTS, TABLE

FEWEST = 4
"""Fewer images cannot be split into train, validation and test with whole patients."""

SIZES = ((387, 258), (387, 258), (387, 258), (291, 226))
"""Width and height in px: half of the two most frequent official sizes, drawn with these odds."""

SECONDS = 0.2
"""What painting one takes on a core, about."""

SUBTYPES = {
    "benign": ("healthy", "adenomatous"),
    "malignant": ("moderately differentiated", "poorly differentiated"),
}

_WRITTEN = re.compile(rf"({'|'.join(PARTS)})_\d+(_anno)?\.bmp|{re.escape(TABLE)}")


@dataclass(frozen=True)
class Planned:
    """One image to be painted."""

    name: str
    patient: int
    grade: str
    size: tuple[int, int]


def plan(slides: int, seed: int) -> list[Planned]:
    """Two thirds train, the rest testA and testB; half benign; up to 8 patients, each of one grade.

    As in GlaS, patients have images in both train and test.
    """
    test = max(1, slides // 3)
    test_b = max(test // 3, int(test > 1))
    part_sizes = {"train": slides - test, "testA": test - test_b, "testB": test_b}
    patients = min(8, max(4, part_sizes["train"] // 2 * 2))
    rng = generator("glas miniature", seed, "sizes")
    images = []
    for part, size in part_sizes.items():
        for index in range(size):
            grade = GRADES[index % 2]
            patient = 1 + (index % 2) + 2 * ((index // 2) % (patients // 2))
            images.append(Planned(f"{part}_{index + 1}", patient, grade, SIZES[rng.integers(len(SIZES))]))
    return images


def write_miniature(root: Path, *, slides: int, seed: int, tissue: TissueSource | None) -> None:
    """Paint `slides` images into `root`: BMP, 8-bit label images, `Grade.csv` and the mark of a miniature.

    Without `tissue` the painter is used, with one stain per patient. The folder appears when it is complete.
    Raises `DataError` for too few slides or a folder with anything in it but an earlier miniature.
    """
    if slides < FEWEST:
        raise DataError(f"a miniature of GlaS has at least {FEWEST} slides, got {slides}", fix=f"--slides {FEWEST}")
    images = plan(slides, seed)
    ours = fresh_folder(root, lambda name: _WRITTEN.fullmatch(name) is not None)
    with ours as folder, side_by_side(len(images) * SECONDS) as hands:
        jobs = [partial(_paint, folder, image, seed, tissue) for image in images]
        for done, _ in enumerate(hands.do(jobs), start=1):
            tell_progress(done, slides)
        _write_table(folder / TABLE, images)
        source = f"painter {VERSION}" if tissue is None else type(tissue).__name__
        write_synthetic_mark(folder, "glas", slides=slides, seed=seed, tissue=source)


def _paint(folder: Path, image: Planned, seed: int, tissue: TissueSource | None) -> None:
    source = tissue or Painter(Stain.draw(generator("glas miniature", seed, "stain", image.patient)))
    width, height = image.size
    positive = image.grade == "malignant"
    pixels, glands = source.paint(width, height, positive=positive, seed=seed_of("glas miniature", seed, image.name))
    if glands.max(initial=0) > 255:
        raise DataError(f"{image.name} has {glands.max()} glands; an 8-bit label image holds at most 255")
    Image.fromarray(pixels).save(folder / f"{image.name}.bmp")
    Image.fromarray(glands.astype(np.uint8)).save(folder / f"{image.name}_anno.bmp")


def _write_table(path: Path, images: list[Planned]) -> None:
    """The table with the blanks of the official one."""
    header = [COLUMNS[0], COLUMNS[1], *(f" {column}" for column in COLUMNS[2:])]
    rows = [
        (image.name, image.patient, f" {image.grade}", f" {SUBTYPES[image.grade][image.patient // 2 % 2]}")
        for image in images
    ]
    write_table(path, header, rows)
