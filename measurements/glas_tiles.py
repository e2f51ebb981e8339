"""Tiles of the tissue of GlaS in the layout of NCT-CRC-HE-100K: TUM, NORM and STR, held out by patient.

    python measurements/glas_tiles.py GLAS OUT

GLAS is the folder of GlaS, OUT a new folder, to be read as `--dataset crc --set partial=true`. The images are cut into
squares of 64 px (0.62 µm/px) side by side. A square that glands cover to at least three quarters is TUM in a malignant
image and NORM in a benign one; one that they cover to at most a fiftieth is STR; others are left out. Of an image at
most six squares of a class are taken, drawn at random. Patients are drawn at random and held out until they have a
third of the images of each grade.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from benchmark.datasets.synthetic.composed.album import Picture
from benchmark.datasets.tiles.glas_tissue import GlasTissue
from benchmark.seeds import generator

PARTS = ("NCT-CRC-HE-100K", "CRC-VAL-HE-7K")
SIDE, MOST, HELD_OUT = 64, 6, 1 / 3
GLAND, STROMA = 0.75, 0.02


def held_out(pictures: list[Picture]) -> set[str]:
    """Patients with at least a third of the malignant images, and of the benign ones."""
    chosen: set[str] = set()
    for grade in (True, False):
        own = [picture.patient for picture in pictures if picture.positive is grade]
        for patient in generator("glas tiles", int(grade)).permutation(sorted(set(own))).tolist():
            if sum(each in chosen for each in own) >= HELD_OUT * len(own):
                break
            chosen.add(patient)
    return chosen


def cut(picture: Picture, folder: Path) -> dict[str, int]:
    """Write the tiles of one picture; how many of each class."""
    pixels, glands = picture.load()
    wide, tall = picture.size
    corners = [(y, x) for y in range(0, tall - SIDE + 1, SIDE) for x in range(0, wide - SIDE + 1, SIDE)]
    shares = np.array([np.mean(glands[y : y + SIDE, x : x + SIDE] > 0) for y, x in corners])
    numbers = {}
    for kind, fits in (("TUM" if picture.positive else "NORM", shares >= GLAND), ("STR", shares <= STROMA)):
        chosen = generator("glas tiles", picture.name, kind).permutation(np.flatnonzero(fits))[:MOST]
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for number in chosen.tolist():
            y, x = corners[number]
            Image.fromarray(pixels[y : y + SIDE, x : x + SIDE]).save(folder / kind / f"{picture.name}_{x}_{y}.png")
        numbers[kind] = len(chosen)
    return numbers


def main() -> None:
    """Cut the tiles and print how many there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glas", type=Path)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    options.out.mkdir()
    pictures = list(GlasTissue(options.glas).pictures())
    aside = held_out(pictures)
    totals: dict[str, dict[str, int]] = {part: {} for part in PARTS}
    for picture in pictures:
        part = PARTS[picture.patient in aside]
        for kind, number in cut(picture, options.out / part).items():
            totals[part][kind] = totals[part].get(kind, 0) + number
    for part, numbers in totals.items():
        print(f"{part}: {sum(numbers.values())} tiles", dict(sorted(numbers.items())))
    print(f"{len({picture.patient for picture in pictures})} patients, {len(aside)} of them held out")


if __name__ == "__main__":
    main()
