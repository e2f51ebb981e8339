"""Features made elsewhere instead of an encoder's: found by slide, checked against it, matched with a grid."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.digest import file_digests
from benchmark.errors import FeaturesError
from benchmark.identity import digest_of
from benchmark.learning.encoders.feature_files import FeatureFile, read_feature_file

if TYPE_CHECKING:
    from benchmark.slides import Grid, Slide

TOLERANCE = 1
"""Level-0 px by which corner and side of a patch may differ from the grid's: tools round."""
MAGNIFICATION_AT_1_MPP = 10.0
SAME_SCAN = 1.5
"""Factor within which a stated magnification is that of a slide's microns per pixel: 40 × is 0.22 to 0.27 µm."""
SHOWN = 3
PLACES = (("", ".h5"), ("h5_files", ".h5"), ("", ".pt"), ("pt_files", ".pt"))
"""Where tools put the files of features, best first: those of TRIDENT and ours, then CLAM's two folders."""
OTHER_NAMES = {
    "uni-v1": "uni",
    "uni-v2": "uni2-h",
    "conch-v1": "conch",
    "gigapath": "prov-gigapath",
    "hoptimus0": "h-optimus-0",
    "hoptimus1": "h-optimus-1",
}
"""TRIDENT's names of encoders that the catalogue calls otherwise; the rest differ in `_` and `-` at most."""

Setting = Callable[[int, int], str]
"""Side and distance of patches in px → the options with which a method asks for such patches."""


def files_of(folder: Path) -> dict[str, Path]:
    """Slide name → file of features. Raises `FeaturesError` for a folder without any."""
    files: dict[str, Path] = {}
    for place, suffix in PLACES:
        for path in sorted((folder / place).glob(f"*{suffix}")):
            files.setdefault(path.stem, path)
    if not files:
        inside = sorted(path.name for path in folder.iterdir() if path.is_dir())
        within = [name for name in inside if any((folder / name).glob("*.h5")) or any((folder / name).glob("*.pt"))]
        fix = f"--features {folder / within[0]}" if within else "the files are called SLIDE.h5 or SLIDE.pt"
        raise FeaturesError(f"{folder} holds no features (.h5, .pt)", fix=fix)
    return files


def file_for(slide: Slide, files: dict[str, Path]) -> Path | None:
    """The file named after a slide's id or its image file."""
    stem = slide.path.stem
    names = (slide.id, stem, stem.removesuffix(".ome"))
    return next((files[name] for name in names if name in files), None)


class FeatureFolder:
    """Features of many slides in one folder, taken where a frozen encoder would be.

    `setting` says how a method is told to ask for patches of another side and distance.
    """

    def __init__(
        self, folder: Path, *, patch: int | None = None, drop: bool = False, setting: Setting | None = None
    ) -> None:
        self.folder, self._patch, self.drop, self._setting = folder, patch, drop, setting

    @cached_property
    def files(self) -> dict[str, Path]:
        """Slide name → file."""
        return files_of(self.folder)

    def require(self, slides: Sequence[Slide]) -> None:
        """Raise `FeaturesError` naming the slides without a file."""
        missing = [slide.id for slide in slides if file_for(slide, self.files) is None]
        if missing:
            what = f"{self.folder} has no features of {_some(missing, 'slide')}"
            files = f"its {len(self.files)} files are named {_some(list(self.files))}"
            raise FeaturesError(f"{what}; {files}", fix="extract features of these too, or leave them out of the data")

    def unused(self, slides: Sequence[Slide]) -> list[str]:
        """The names of files that belong to none of the slides."""
        used = {file_for(slide, self.files) for slide in slides}
        return sorted(name for name, path in self.files.items() if path not in used)

    @cached_property
    def digest(self) -> str:
        """Of the names and bytes of its files, and how they are read."""
        contents = {path.relative_to(self.folder).as_posix(): digest for path, digest in self._digests.items()}
        return digest_of([contents, self._patch, self.drop])[:16]

    @cached_property
    def _digests(self) -> dict[Path, str]:
        return file_digests(self.folder)

    @cached_property
    def _first(self) -> FeatureFile:
        name, path = min(self.files.items())
        return read_feature_file(path, self._beside(name))

    @property
    def name(self) -> str:
        """The encoder, as a file or TRIDENT's name of the folder states it, or `unknown`."""
        told = self._first.encoder
        if told is None and self.folder.name.startswith("features_"):
            told = self.folder.name.removeprefix("features_")
        return told or "unknown"

    @property
    def dim(self) -> int:
        """Numbers per patch, of the first file; another in a later one is refused."""
        return self._first.dim

    def seen(self) -> str:
        """What the encoder has seen and where its features come from, as `Method.encoders` answers."""
        from benchmark.learning.encoders.encoder_names import catalogue, catalogue_entry

        plain = self.name.partition(":")[0].lower().replace("_", "-")
        name = OTHER_NAMES.get(plain, plain)
        entry = catalogue_entry(name) if name in catalogue() else None
        data = entry.card.seen if entry is not None else "unknown"
        return f"{self.name}: {data}; features made elsewhere, {self.folder} (digest {self.digest})"

    def on(self, slide: Slide) -> SlideFeatures:
        """The features of one slide, after what its file says was compared with the slide.

        Raises `FeaturesError` when there is no file, or it is of another slide, size, magnification or dimension.
        """
        self.require([slide])
        path = file_for(slide, self.files)
        assert path is not None
        file = read_feature_file(path, self._beside(path.stem))
        if file.dim != self._first.dim:
            others = f"{self._first.path.name} {self._first.dim}"
            what = f"{path} has {file.dim} features per patch, {others}: one encoder is expected in {self.folder}"
            raise FeaturesError(what, fix="keep the features of each encoder in a folder of its own")
        side = file.side if file.side is not None else self._patch
        if side is None:
            what = (
                f"{path} does not say how large its patches are (patch_size_level0, or CLAM's patches/{path.stem}.h5)"
            )
            raise FeaturesError(what, fix="--set features_patch=N, in level-0 px")
        if self._patch is not None and abs(side - self._patch) > TOLERANCE:
            what = f"{path} says its patches have {side:g} px at level 0, features_patch says {self._patch}"
            raise FeaturesError(what, fix="drop features_patch")
        _check_slide(file, slide, side)
        digest = digest_of([self._digests[path], side])[:16]
        return SlideFeatures(slide, file, side, f"{self.name}:elsewhere", digest, self._setting)

    def covered(self, slide: Slide, grid: Grid, wanted: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where a wanted patch has its row; all of them, unless rows may be missing. Raises `FeaturesError`."""
        return self.on(slide).rows(grid, wanted, drop=self.drop) >= 0

    def _beside(self, name: str) -> Path | None:
        path = self.folder / "patches" / f"{name}.h5"
        return path if path.is_file() else None


@dataclass(frozen=True, eq=False)
class SlideFeatures:
    """The features of one slide, where a frozen encoder stands in the cache; `digest` is that of file and `side`."""

    slide: Slide
    file: FeatureFile
    side: float
    name: str
    digest: str
    setting: Setting | None

    @property
    def dim(self) -> int:
        """Numbers per patch."""
        return self.file.dim

    @property
    def precision(self) -> str:
        """As they are kept."""
        return self.file.precision

    def rows(self, grid: Grid, wanted: NDArray[np.bool_], *, drop: bool) -> NDArray[np.int64]:
        """The row of each wanted patch, rows × cols; -1 where not wanted or, with `drop`, without one.

        Corner and side may differ by `TOLERANCE`. Raises `FeaturesError` when patches have another size, lie elsewhere,
        come twice, or are missing.
        """
        if max(abs(self.side - grid.width), abs(self.side - grid.height)) > TOLERANCE:
            what = f"{self._whose} are of patches of {self.side:g} px at level 0, the method asks for {grid.width} px"
            raise FeaturesError(what, fix=self._fitting())
        at, elsewhere = self._placed(grid)
        missing = wanted & (at < 0)
        if missing.any() and elsewhere.any():
            self._refuse_lattice(grid, int(np.count_nonzero(elsewhere)))
        nowhere = len(self.file.corners) > 0 and not (wanted & (at >= 0)).any()
        if missing.any() and (not drop or nowhere):
            row, col = np.argwhere(missing)[0]
            count, total = int(np.count_nonzero(missing)), int(np.count_nonzero(wanted))
            what = f"{self._whose} lack {count} of {total} tissue cells, the first at ({grid.x[col]}, {grid.y[row]})"
            raise FeaturesError(
                what, fix="extract these too, or leave them without a score: --set features_missing=drop"
            )
        return np.where(wanted, at, -1)

    def blocks(self, grid: Grid, wanted: NDArray[np.bool_], batch: int) -> Iterator[NDArray[np.floating[Any]]]:
        """The values of the wanted patches, row by row; every one must be there. See `FeatureFile.blocks`."""
        return self.file.blocks(self.rows(grid, wanted, drop=False)[wanted], batch)

    @property
    def _whose(self) -> str:
        return f"slide {self.slide.id!r}: the features in {self.file.path}"

    def _placed(self, grid: Grid) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The file's row at each cell of the grid (-1: none), and which rows lie between its cells."""
        x, y = self.file.corners[:, 0], self.file.corners[:, 1]
        cols, rows = _nearest(grid.x, x), _nearest(grid.y, y)
        fits = (np.abs(grid.x[cols] - x) <= TOLERANCE) & (np.abs(grid.y[rows] - y) <= TOLERANCE)
        at = np.full(grid.shape, -1, np.int64)
        numbers = np.flatnonzero(fits)
        at[rows[numbers], cols[numbers]] = numbers
        twice = numbers[at[rows[numbers], cols[numbers]] != numbers]
        if twice.size:
            place = ", ".join(map(str, self.file.corners[twice[0]].tolist()))
            raise FeaturesError(f"{self._whose} hold the patch at ({place}) twice", fix="write the file again")
        within = (x >= grid.x[0]) & (x <= grid.x[-1]) & (y >= grid.y[0]) & (y <= grid.y[-1])
        return at, within & ~fits

    def _refuse_lattice(self, grid: Grid, elsewhere: int) -> None:
        step, left, top = self._lattice()
        distance = int(grid.x[1] - grid.x[0]) if grid.cols > 1 else grid.width
        count = f"{elsewhere} of {len(self.file.corners)}"
        what = (
            f"{self._whose}: {count} patches lie between those the method asks for: one every {step} px from"
            f" ({left}, {top}), asked for every {distance} px from ({grid.x[0]}, {grid.y[0]})"
        )
        raise FeaturesError(what, fix=self._fitting())

    def _lattice(self) -> tuple[int, int, int]:
        """Distance of neighbouring patches, and the first corner."""
        gaps = [np.diff(np.unique(self.file.corners[:, axis])) for axis in (0, 1)]
        gaps = [gap[gap > TOLERANCE] for gap in gaps]
        steps = [int(gap.min()) for gap in gaps if gap.size]
        left, top = (int(value) for value in self.file.corners.min(axis=0))
        return min(steps, default=round(self.side)), left, top

    def _fitting(self) -> str:
        """The options that ask for the file's patches, or what to extract instead."""
        side = round(self.side)
        if not len(self.file.corners):
            return f"patches of {side} px are what the file was made for"
        step, left, top = self._lattice()
        begin = (step - side) // 2
        offsets = [(value - begin) % step for value in (left, top)]
        if self.setting is not None and all(min(offset, step - offset) <= TOLERANCE for offset in offsets):
            return self.setting(side, step)
        return "no option asks for patches there; extract features at the method's corners"


def _check_slide(file: FeatureFile, slide: Slide, side: float) -> None:
    """What a file says of its slide must hold of this one. Raises `FeaturesError`."""
    width, height = slide.size
    whose = f"slide {slide.id!r}: {file.path}"
    if file.size is not None and file.size != (width, height):
        what = f"{whose} was made from {file.size[0]} × {file.size[1]} px, the slide has {width} × {height}"
        raise FeaturesError(what, fix="extract features from this file of the slide")
    if file.magnification and slide.mpp:
        own = MAGNIFICATION_AT_1_MPP / slide.mpp
        if not 1 / SAME_SCAN < file.magnification / own < SAME_SCAN:
            told = f"{file.magnification:g} × at level 0"
            what = f"{whose} says {told}, the slide has {slide.mpp:g} µm per px, which is {own:.3g} ×"
            raise FeaturesError(what, fix="extract features from this file of the slide")
    if len(file.corners):
        least, most = file.corners.min(axis=0), file.corners.max(axis=0)
        if (least <= -side).any() or most[0] >= width or most[1] >= height:
            corner = most if most[0] >= width or most[1] >= height else least
            what = f"{whose}: a patch at ({corner[0]}, {corner[1]}) lies beyond the slide of {width} × {height} px"
            raise FeaturesError(what, fix="coordinates must be level-0 px of this slide")


def _nearest(edges: NDArray[np.int64], values: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index of the nearest edge."""
    after = np.clip(np.searchsorted(edges, values), 0, edges.size - 1)
    before = np.maximum(after - 1, 0)
    return np.where(np.abs(edges[before] - values) < np.abs(edges[after] - values), before, after)


def _some(names: Sequence[str], kind: str = "") -> str:
    shown = ", ".join(map(repr, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    return f"{len(names)} {kind}{'s' if len(names) > 1 else ''}: {shown}" if kind else shown
