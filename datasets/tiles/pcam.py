"""PatchCamelyon as Kaggle has it: tiles of lymph nodes with a table of labels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from benchmark.dataset import DatasetCard, Split, TissueSource, VerifyReport, write_synthetic_mark
from benchmark.dataset import Options as BaseOptions
from benchmark.errors import DataError
from benchmark.slides.patchset import SUFFIXES

from ..fresh_folder import fresh_folder
from ..tables import read_table, refuse_rows, write_table
from ..twins import one_per_name
from .painted_tiles import paint_tile
from .tile_dataset import Tile, TileDataset, cut_tiles
from .tile_options import TileOptions
from .tile_verify import check_tiles

TABLES = ("labels.csv", "train_labels.csv")
FOLDER = "train"
"""The folder of the tiles in Kaggle's archive."""
COLUMNS = ("id", "label")
OFFICIAL = 220_025
"""Labelled tiles of the Kaggle set, 89 117 of them positive."""
SIDE = 96
FEWEST = 4


class PcamOptions(TileOptions):
    """The options of PatchCamelyon."""

    test: float = Field(0.3, gt=0, le=0.9, description="share of the tiles that test, of both classes, by tile")


class Pcam(TileDataset):
    """Tiles of 96 px at 0.97 µm/px; positive where the central 32 × 32 px hold tumour.

    Neither slides nor patients are known, and Kaggle's own test tiles have no labels: the split is by tile.
    """

    name = "pcam"
    Options = PcamOptions
    classes = ("normal", "tumour")
    card: ClassVar[DatasetCard] = DatasetCard(
        title="PatchCamelyon (Kaggle: Histopathologic Cancer Detection)",
        homepage="https://www.kaggle.com/c/histopathologic-cancer-detection",
        licence="CC0",
        citation="Veeling et al., Rotation equivariant CNNs for digital pathology, MICCAI 2018",
        size="220 025 labelled tiles of 96 × 96 px, 6 GB",
        obtain="Download train/ and train_labels.csv from the homepage into one folder, and name it with --data.",
        layout="labels.csv or train_labels.csv (columns id, label), and the tiles ID.tif (or .png) beside it or in "
        "train/. A part of the set is read as well: the table says which tiles there are.",
    )
    mpp = 0.97

    def __init__(self, root: Path, options: BaseOptions) -> None:
        """Match tiles and table. Raises `DataError` when a tile of the table is missing."""
        if not isinstance(options, PcamOptions):
            raise TypeError(f"Pcam takes PcamOptions, got {type(options).__name__}")
        self.own = options
        self.table = _table(root)
        super().__init__(root, options)

    def deal(self) -> Mapping[Split, Sequence[Tile]]:
        """By tile, with the same share of every class in each split."""
        tiles, self._notes = _read(self.root, self.table)
        rest, test = cut_tiles(tiles, self.own.test, self.name, "test", self.own.split_seed)
        train, aside = cut_tiles(rest, self.own.validation, self.name, "validation", self.own.split_seed)
        return {Split.TRAIN: train, Split.VALIDATION: aside, Split.TEST: test}

    def patients(self) -> str:
        """None are known."""
        return (
            "neither slides nor patients are known: the split is by tile, and tiles of one patient may be in all "
            "splits, so figures are better than on new patients; no figure has an interval over patients"
        )

    def files(self) -> Sequence[Path]:
        """The table, then every tile by name."""
        return [self.table, *super().files()]

    def verify(self) -> VerifyReport:
        """Decode every tile. Facts: `tiles`, `train_tiles`, `validation_tiles`, `test_tiles`."""
        report = VerifyReport()
        for note in self._notes:
            report.note(note)
        if self.synthetic:
            report.note("a miniature with painted tissue: the official numbers do not apply")
        else:
            held = len(list(self.tiles()))
            whole = "the whole Kaggle set" if held == OFFICIAL else f"a part of the {OFFICIAL} of the Kaggle set"
            report.note(f"{held} tiles: {whole}")
        check_tiles(report, self, None if self.synthetic else SIDE)
        report.note(self.patients())
        return report

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write `4 · slides` TIFF tiles in train/ and their table, half of them positive."""
        from PIL import Image

        if side is not None:
            raise DataError(f"side = {side}: the tiles of {cls.name} have a size of their own", fix="leave --side out")
        if slides < FEWEST:
            raise DataError(f"a miniature of {cls.name} has at least {FEWEST} slides, got {slides}", fix="--slides 4")
        with fresh_folder(root, lambda name: name in (TABLES[1], FOLDER)) as folder:
            (folder / FOLDER).mkdir()
            rows = []
            for number in range(4 * slides):
                kind, index = ("TUM", "LYM")[number % 2], number // 2
                pixels = paint_tile(kind, SIDE, tissue, seed, index)
                Image.fromarray(pixels).save(folder / FOLDER / f"{number:040x}.tif")
                rows.append((f"{number:040x}", int(kind == "TUM")))
            write_table(folder / TABLES[1], COLUMNS, rows)
            write_synthetic_mark(folder, cls.name, slides=slides, seed=seed)


def _table(root: Path) -> Path:
    """The table of labels. Raises `DataError` where there is none."""
    obtain = "bench data info pcam   (how to obtain it), or bench data synth pcam --out DIR"
    if not root.is_dir():
        raise DataError(f"data root {root} {'is a file' if root.exists() else 'does not exist'}", fix=obtain)
    for name in TABLES:
        if (root / name).is_file():
            return root / name
    held = ", ".join(sorted(entry.name for entry in root.iterdir())[:6]) or "nothing"
    raise DataError(f"data root {root} holds {held}; expected {' or '.join(TABLES)}", fix=obtain)


def _read(root: Path, path: Path) -> tuple[list[Tile], tuple[str, ...]]:
    """Every row of the table as a tile, and what was mended in reading it."""
    table = read_table(path, COLUMNS, fix=f"restore {path.name} from the homepage")
    folder = root / FOLDER if (root / FOLDER).is_dir() else root
    there = one_per_name([file for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES], root)
    tiles: list[Tile] = []
    faults, seen = [], set()
    for row in table.rows:
        name, label = row["id"], row["label"]
        if label not in ("0", "1"):
            faults.append(f"{row.where}: the label of {name!r} is {label!r}; expected 0 or 1")
        elif name in seen:
            faults.append(f"{row.where}: {name!r} has a row already")
        elif name not in there:
            faults.append(f"{row.where}: the tile {name} is not in {folder}")
        else:
            tiles.append(Tile(there[name].relative_to(root).as_posix(), int(label)))
        seen.add(name)
    refuse_rows(faults, f"restore the tiles, or take their rows out of {path}")
    spare = len(there.keys() - seen)
    return tiles, (*table.notes, *((f"{spare} tiles without a row are ignored",) if spare else ()))
