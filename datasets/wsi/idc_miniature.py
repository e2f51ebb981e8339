"""A miniature of the IDC patches: composed slides, shrunk and cut into 50-px patches."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmark.dataset import SYNTHETIC_MARK, TissueSource
from benchmark.slides import Grid

from .wsi_miniature import Picture, Planned, write_miniature

CUT, SHRUNK = 50, 2
"""Side of a patch, and px of the composed slide per px of it."""

FIRST = (101, 1)
"""x and y of the first patch: the release counts neither from 0."""

BRIGHT = 225
"""Mean grey level from which on a patch is glass and left out."""

LIST = "patches.json"
"""Of a miniature, the patches that it was made with: nothing else tells that one is gone."""

_WRITTEN = re.compile(rf"\d{{5}}/[01]/\d{{5}}_idx5_x\d+_y\d+_class[01]\.png|{re.escape(LIST)}")


def write_idc(root: Path, plan: Sequence[Planned], *, seed: int, tissue: TissueSource | None, side: int | None) -> None:
    """Write folders PATIENT/0 and PATIENT/1 and the list of all patches."""
    write_miniature(root, "idc", plan, _write, _list, ours=_WRITTEN, seed=seed, tissue=tissue, side=side)


def mark_patches(root: Path) -> Mapping[str, Sequence[str]]:
    """Patient → names of the patches that a miniature was made with; empty for a real set."""
    if not (root / SYNTHETIC_MARK).is_file() or not (root / LIST).is_file():
        return {}
    names: dict[str, list[str]] = json.loads((root / LIST).read_text(encoding="utf-8"))
    return names


def _write(folder: Path, slide: Planned, composed: Picture) -> None:
    from PIL import Image

    pixels = np.concatenate([np.asarray(Image.fromarray(band).reduce(SHRUNK)) for band in composed.bands()])
    height, width = (length // CUT * CUT for length in pixels.shape[:2])
    cells = Grid.regular((width * SHRUNK, height * SHRUNK), CUT * SHRUNK)
    labels = composed.lesion.labels(cells)
    for name in "01":
        (folder / slide.name / name).mkdir(parents=True)
    for row, col in np.ndindex(labels.shape):
        patch = pixels[row * CUT : (row + 1) * CUT, col * CUT : (col + 1) * CUT]
        if patch.mean() < BRIGHT or labels[row, col]:
            x, y, label = FIRST[0] + col * CUT, FIRST[1] + row * CUT, int(labels[row, col] > 0)
            name = f"{slide.name}_idx5_x{x}_y{y}_class{label}.png"
            Image.fromarray(patch).save(folder / slide.name / str(label) / name, compress_level=1)


def _list(folder: Path, patients: Mapping[str, tuple[str, ...]]) -> None:
    names = {name: sorted(path.name for path in folder.glob(f"{name}/*/*.png")) for name in sorted(patients)}
    (folder / LIST).write_text(json.dumps(names, indent=0) + "\n", encoding="utf-8")
