"""Which picture lies where: placements that cover the tissue with few overlaps and without a lattice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from .album import Picture
from .pieces import Pieces, Tile
from .smooth_fields import UNIT, Field, cloud

OVERLAP = 72
"""Px at every edge of a picture that need not be covered by it alone, so that seams have room to wander."""

TIGHT = 24
"""Px at every edge of a picture that it may leave uncovered where another picture would show a sliver only."""

APART = 1400
"""Px within which a picture is not shown twice where that can be helped."""

MOST_USES = 200
"""Points that no picture of their patient can cover are given up after so many uses of one."""

FEW = 3
"""Patients with fewer pictures of a class are left out where others have more: theirs would show again and again."""

TUNINGS = 25
"""Rounds in which the territories of the patients are brought to their sizes."""


def choose_patients(rng: np.random.Generator, pictures: Sequence[Picture]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(patients of normal tissue, patients of lesions) for one slide.

    One or two patients give the lesions, one of them with benign pictures too if there is any such patient. The
    normal tissue is of up to four patients, those of the lesions among them, so that no stain tells the two apart.
    """
    benign = Counter(picture.patient for picture in pictures if not picture.positive)
    malignant = Counter(picture.patient for picture in pictures if picture.positive)
    lesion: list[str] = []
    if malignant:
        both = sorted(benign.keys() & malignant.keys())
        lesion += _some(rng, {name: malignant[name] for name in both or malignant}, 1)
        others = {name: number for name, number in malignant.items() if name not in lesion}
        if others and (rng.random() < 0.6 or malignant[lesion[0]] < 8):
            lesion += _some(rng, others, 1)
    own = [name for name in lesion if name in benign]
    others = {name: number for name, number in benign.items() if name not in own}
    normal = own + _some(rng, others, max(1, int(rng.integers(3, 5)) - len(own)))
    return tuple(sorted(normal)), tuple(sorted(lesion))


def _some(rng: np.random.Generator, weights: dict[str, int], number: int) -> list[str]:
    if not weights:
        return []
    names = sorted(name for name, pictures in weights.items() if pictures >= FEW) or sorted(weights)
    shares = np.array([weights[name] for name in names], float) ** 0.7
    number = min(number, len(names))
    return [names[index] for index in rng.choice(len(names), number, replace=False, p=shares / shares.sum())]


def cover(rng: np.random.Generator, need: NDArray[np.bool_], pictures: Sequence[Picture], pieces: Pieces) -> list[Tile]:
    """Tiles that cover every needed lattice point (bool, one per `UNIT` px) with tissue.

    The patients get territories with wandering borders, as large as they have pictures. In each, the picture
    shown least is turned at random and laid where it covers most of what is still bare, far from where it is
    shown already. Glass within a picture covers nothing.
    """
    pad = max(max(picture.size) for picture in pictures) // UNIT + 1
    bare = _Bare(np.pad(need, pad), np.pad(need, pad))
    tiles: list[Tile] = []
    uses: Counter[str] = Counter()
    for patient, area in _territories(rng, bare.amply, pictures):
        own = [picture for picture in pictures if picture.patient == patient]
        while (bare.barely & area).any():
            least = min(uses[picture.name] for picture in own)
            rested = [picture for picture in own if uses[picture.name] == least]
            picture = rested[rng.integers(len(rested))]
            uses[picture.name] += 1
            tile = _place(rng, pieces, picture, bare, area, tiles, pad)
            if tile is not None:
                tiles.append(tile)
            elif uses[picture.name] > MOST_USES:
                break
    return tiles


@dataclass(frozen=True, eq=False)
class _Bare:
    """Lattice points that no tile covers, but for its outer `OVERLAP` px (amply) or `TIGHT` px (barely)."""

    amply: NDArray[np.bool_]
    barely: NDArray[np.bool_]


def _territories(
    rng: np.random.Generator, bare: NDArray[np.bool_], pictures: Sequence[Picture]
) -> list[tuple[str, NDArray[np.bool_]]]:
    """Patient and its part of the bare points, about in proportion to its number of pictures."""
    counts = Counter(picture.patient for picture in pictures)
    names = sorted(counts)
    wanted = np.array([counts[name] for name in names]) / len(pictures)
    fields = np.stack([cloud(rng, (bare.shape[0], bare.shape[1]), max(20.0, 0.13 * len(bare))) for _ in names])
    for _ in range(TUNINGS):
        owner = np.argmax(fields, axis=0)
        shares = np.bincount(owner[bare], minlength=len(names)) / bare.sum()
        fields += (0.4 * np.log((wanted + 0.02) / (shares + 0.02)))[:, None, None].astype(np.float32)
    owner = np.argmax(fields, axis=0)
    return [(name, bare & (owner == index)) for index, name in enumerate(names)]


def _place(
    rng: np.random.Generator,
    pieces: Pieces,
    picture: Picture,
    bare: _Bare,
    area: NDArray[np.bool_],
    tiles: Sequence[Tile],
    pad: int,
) -> Tile | None:
    """Lay one picture and take what it covers off `bare`; None where it cannot cover a barely bare point of `area`."""
    tile = Tile(picture, 0, 0, int(rng.integers(4)), bool(rng.integers(2)), _drift(rng))
    wish = pieces.turned(tile).wish
    stamp, wide = _stamp(wish, OVERLAP), _stamp(wish, TIGHT)
    wanted = bare.barely & area
    near = tuple(_reach(np.asarray(wanted.any(axis=1 - axis)), stamp.shape[axis]) for axis in (0, 1))
    inside, both = _sums(wanted[near], stamp), _sums(bare.amply[near], stamp)
    score = 0.6 * inside + 0.4 * both + rng.random(inside.shape, dtype=np.float32)
    for other in tiles:
        if other.picture is picture:
            rows, cols = (
                np.arange(length)[:, None] + part.start for length, part in zip(inside.shape, near, strict=True)
            )
            close = np.hypot(rows - other.y / UNIT - pad, (cols - other.x / UNIT - pad).T) < APART / UNIT
            score = np.where(close, 0.3 * score, score)
    row, col = np.unravel_index(np.argmax(np.where(inside > 0.5, score, -1.0)), score.shape)
    if inside[row, col] < 0.5:
        return None
    row, col = row + near[0].start, col + near[1].start
    for mask, shape, out in ((bare.amply, stamp, 0), (bare.barely, wide, (OVERLAP - TIGHT) // UNIT)):
        mask[row - out : row - out + shape.shape[0], col - out : col - out + shape.shape[1]] &= ~shape
    return replace(tile, x=(int(col) - pad) * UNIT - OVERLAP, y=(int(row) - pad) * UNIT - OVERLAP)


def _reach(wanted: NDArray[np.bool_], length: int) -> slice:
    """The part of an axis in which something of `length` that meets a wanted point can lie."""
    points = np.flatnonzero(wanted)
    return slice(max(0, int(points[0]) - length + 1), min(len(wanted), int(points[-1]) + length))


def _drift(rng: np.random.Generator) -> tuple[float, float]:
    first, second = (rng.choice([-1, 1], 2) * rng.uniform(0.5, 1.2, 2)).tolist()
    return first, second


def _stamp(wish: NDArray[np.float16], edge: int) -> NDArray[np.bool_]:
    """Which lattice points a tile covers but for `edge` px at its edges; the first one is `edge` px from its corner."""
    return np.asarray(wish[edge : len(wish) - edge : UNIT, edge : wish.shape[1] - edge : UNIT] > 0)


def _sums(mask: NDArray[np.bool_], stamp: NDArray[np.bool_]) -> Field:
    """How many True points of the mask a stamp covers, for every top left corner."""
    height, width = stamp.shape
    if not stamp.all():
        met: Field = fftconvolve(mask.astype(np.float32), stamp[::-1, ::-1].astype(np.float32), mode="valid")
        return met
    total = np.pad(np.cumsum(np.cumsum(mask, axis=0, dtype=np.float32), axis=1), ((1, 0), (1, 0)))
    tall = total[height:] - total[:-height]
    sums: Field = tall[:, width:] - tall[:, :-width]
    return sums
