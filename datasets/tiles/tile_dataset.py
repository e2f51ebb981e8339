"""The base of all sets of labelled tiles: each tile has one class, and a split is one patch set."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.annotations import Annotation, LabelImage
from benchmark.dataset import Dataset, Split
from benchmark.dataset import Options as BaseOptions
from benchmark.errors import DataError
from benchmark.seeds import generator
from benchmark.slides import Grid, PatchSet, Slide
from benchmark.slides.patchset import tile_size

from .tile_options import TileOptions

Labels = NDArray[np.uint8]


@dataclass(frozen=True)
class Tile:
    """One labelled tile: its name below the root, and the index of its class."""

    name: str
    label: int


class TileDataset(Dataset):
    """Tiles of one size with a class each. A subclass says which tiles each split has.

    The order of the tiles in a set is drawn at random, so that the place of a tile says nothing of its class.
    """

    Options = TileOptions
    mpp: ClassVar[float]
    """Microns per pixel of the tiles."""

    def __init__(self, root: Path, options: BaseOptions) -> None:
        """List the tiles and read the size of the first. Raises `DataError` when the folder is not this set's."""
        expected = type(self).Options
        if not isinstance(options, TileOptions) or not isinstance(options, expected):
            raise TypeError(f"{type(self).__name__} takes {expected.__name__}, got {type(options).__name__}")
        super().__init__(root, options)
        self.settings = options
        self._splits = self.deal()
        for split in (Split.TRAIN, Split.TEST):
            if not self._splits[split]:
                raise DataError(f"{root} holds no {split} tiles", fix=f"bench data info {self.name}")
        self._labels: dict[str, Labels] = {}

    @abstractmethod
    def deal(self) -> Mapping[Split, Sequence[Tile]]:
        """The tiles of each split. Raises `DataError` when the folder cannot be used."""

    @abstractmethod
    def patients(self) -> str:
        """What is known of the patients, for the notes."""

    @cached_property
    def side(self) -> int:
        """Side of the tiles in px, that of the first. Raises `DataError` for a tile that is not square."""
        first = self.root / self._splits[Split.TRAIN][0].name
        width, height = tile_size(first, self.name)
        if width != height:
            raise DataError(f"{first} has {width}×{height} px; expected a square tile", fix="copy the tile again")
        return width

    @cached_property
    def _slides(self) -> Mapping[Split, Sequence[PatchSet]]:
        rng = {split: generator(self.name, "order", str(split), self.settings.split_seed) for split in Split}
        return {split: self._made(split, self._splits[split], rng[split]) for split in Split}

    def _made(self, split: Split, tiles: Sequence[Tile], rng: np.random.Generator) -> list[PatchSet]:
        """The slides of one split, and their labels kept by id."""
        shuffled = [tiles[number] for number in rng.permutation(len(tiles))]
        whole = [shuffled] if shuffled else []
        dealt = whole if self.settings.layout == "set" else self._virtual(split, shuffled)
        made = []
        for number, part in enumerate(dealt):
            own = str(split) if self.settings.layout == "set" else f"{split}_{number:04d}"
            made.append(PatchSet(own, self.root, own, self.mpp, tuple(tile.name for tile in part), self.side))
            self._labels[own] = np.array([tile.label for tile in part], np.uint8).reshape(made[-1].shape)
        return made

    def _virtual(self, split: Split, tiles: Sequence[Tile]) -> list[list[Tile]]:
        """Slides by turns negative and positive, for as long as there are tiles for the next. Each is used once."""
        options = self.settings
        positives = [tile for tile in tiles if tile.label in self.positive]
        others = [tile for tile in tiles if tile.label not in self.positive]
        most = max(1, round(options.slide_positive * options.slide_tiles))
        dealt: list[list[Tile]] = []
        while True:
            wanted = most if len(dealt) % 2 else 0
            if len(positives) < wanted or len(others) < options.slide_tiles - wanted:
                break
            own = [positives.pop() for _ in range(wanted)] + [others.pop() for _ in range(options.slide_tiles - wanted)]
            order = generator(self.name, "virtual", str(split), len(dealt), options.split_seed).permutation(len(own))
            dealt.append([own[number] for number in order])
        if len(dealt) < 2 and split is not Split.VALIDATION:
            msg = f"{self.root}: {len(tiles)} {split} tiles make no two virtual slides of {options.slide_tiles} tiles"
            raise DataError(msg, fix=f"--set slide_tiles={max(1, len(tiles) // 4)}")
        return dealt

    def slides(self, split: Split) -> Sequence[Slide]:
        """One patch set, or the virtual slides."""
        return self._slides[split]

    def labels_of(self, slide: Slide) -> Labels:
        """Class of every tile, rows × cols of the set."""
        _ = self._slides
        return self._labels[slide.id]

    def truth(self, slide: Slide) -> Annotation:
        """The classes of the tiles."""
        return self._annotation(self.labels_of(slide))

    def coarse(self, slide: Slide) -> Annotation:
        """The same with `coarse_errors` of the tiles given another class, each as likely; the same every time."""
        rng = generator(self.name, "coarse", slide.id, self.settings.split_seed)
        labels = self.labels_of(slide)
        wrong = rng.random(labels.shape) < self.settings.coarse_errors
        others = (labels + rng.integers(1, len(self.classes), labels.shape)) % len(self.classes)
        return self._annotation(np.where(wrong, others, labels).astype(np.uint8))

    def _annotation(self, labels: Labels) -> LabelImage:
        return LabelImage(labels, classes={k: k for k in range(1, len(self.classes))}, downsample=self.side)

    def evaluation_grid(self, slide: Slide) -> Grid:
        """One cell per tile."""
        assert isinstance(slide, PatchSet)
        return slide.grid

    patch_grid = evaluation_grid

    def unit_grid(self, slide: Slide) -> Grid:
        """The tiles; of a virtual slide, all of it."""
        return self.evaluation_grid(slide) if self.settings.layout == "set" else Grid.whole(slide.size)

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """1 for a tile of a positive class, or for a virtual slide with any."""
        positive = np.isin(self.labels_of(slide), sorted(self.positive))
        return np.asarray(positive if self.settings.layout == "set" else [[positive.any()]], np.int8)

    def reading_notes(self, slide: Slide) -> Sequence[str]:
        """That neighbours are none, what of the patients is known, and the tiles that no virtual slide uses."""
        notes = [
            "tiles side by side in the mosaic are no neighbours in tissue, and there is no context beyond a tile",
            self.patients(),
        ]
        split = next(split for split in Split if slide in self._slides[split])
        unused = len(self._splits[split]) - sum(len(own.tiles) for own in self._slides[split])
        if unused:
            notes.append(f"{unused} of the {len(self._splits[split])} {split} tiles are on no virtual slide")
        return tuple(notes)

    def tiles(self) -> Iterable[Tile]:
        """Every tile of every split."""
        return [tile for split in Split for tile in self._splits[split]]

    def files(self) -> Sequence[Path]:
        """Every tile, by name."""
        return sorted(self.root / tile.name for tile in self.tiles())


def cut_tiles(tiles: Sequence[Tile], share: float, *axes: str | int) -> tuple[list[Tile], list[Tile]]:
    """What is left, and `share` of every class cut off, drawn by the seed `axes`; the same on every machine.

    A class keeps at least one tile on either side where it has two.
    """
    train: list[Tile] = []
    aside: list[Tile] = []
    for label in sorted({tile.label for tile in tiles}):
        own = sorted((tile for tile in tiles if tile.label == label), key=lambda tile: tile.name)
        number = min(len(own) - 1, max(1, round(share * len(own)))) if share else 0
        chosen = set(generator("tiles cut off", label, *axes).permutation(len(own))[:number].tolist())
        for index, tile in enumerate(own):
            (aside if index in chosen else train).append(tile)
    return train, aside
