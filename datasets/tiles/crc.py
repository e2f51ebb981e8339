"""NCT-CRC-HE-100K and CRC-VAL-HE-7K: tiles of nine tissues of colorectal cancer."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from benchmark.dataset import (
    SYNTHETIC_MARK,
    DatasetCard,
    Split,
    TissueSource,
    VerifyReport,
    write_synthetic_mark,
)
from benchmark.dataset import Options as BaseOptions
from benchmark.errors import DataError
from benchmark.slides.patchset import SUFFIXES

from ..fresh_folder import fresh_folder
from .painted_tiles import paint_tile
from .tile_dataset import Tile, TileDataset, cut_tiles
from .tile_options import TileOptions
from .tile_verify import check_tiles

TISSUES = ("ADI", "BACK", "DEB", "LYM", "MUC", "MUS", "NORM", "STR", "TUM")
"""Adipose, background, debris, lymphocytes, mucus, smooth muscle, normal mucosa, stroma, tumour epithelium."""
TRAIN, TEST = "NCT-CRC-HE-100K", "CRC-VAL-HE-7K"
RAW = "NCT-CRC-HE-100K-NONORM"
OFFICIAL: Mapping[str, tuple[int, ...]] = {
    TRAIN: (10407, 10566, 11512, 11557, 8896, 13536, 8763, 10446, 14317),
    TEST: (1338, 847, 339, 634, 1035, 592, 741, 421, 1233),
}
"""Tiles per class, in the order of `TISSUES`: 100 000 and 7 180. Source: Kather et al. 2019 and the release."""
SIDE, MINIATURE_SIDE = 224, 64
FEWEST = 4
"""Fewer tiles per class cannot be split."""


class CrcOptions(TileOptions):
    """The options of the CRC tiles."""

    target: Literal["nine", "tumour"] = Field(
        "nine", description="nine: the nine tissues; tumour: tumour epithelium (TUM) against all others"
    )
    normalised: bool = Field(True, description=f"train on the colour-normalised tiles; false: {RAW}")
    partial: bool = Field(
        False, description="admit a part of the release: classes without tiles, other numbers than the official ones"
    )


class Crc(TileDataset):
    """100 000 tiles for training and 7 180 of 50 other patients for testing, 224 px at 0.5 µm/px.

    Positive, wherever two classes are told apart, is tumour epithelium.
    """

    name = "crc"
    Options = CrcOptions
    card: ClassVar[DatasetCard] = DatasetCard(
        title="NCT-CRC-HE-100K and CRC-VAL-HE-7K – tissues of colorectal cancer",
        homepage="https://zenodo.org/records/1214456",
        licence="CC BY 4.0",
        citation="Kather et al., Predicting survival from colorectal cancer histology slides using deep learning, "
        "PLoS Medicine 16 (2019) e1002730",
        size="107 180 tiles of 224 × 224 px, 12 GB",
        obtain=f"Download {TRAIN}.zip and {TEST}.zip from the homepage, unpack both into one folder, and name it with "
        "--data.",
        layout=f"{TRAIN}/CLASS/*.tif (or .png) and {TEST}/CLASS/*.tif, with the classes {', '.join(TISSUES)}; "
        f"{RAW}/ for normalised=false.",
    )
    mpp = 0.5

    def __init__(self, root: Path, options: BaseOptions) -> None:
        """List both folders. Raises `DataError` when a class is missing or empty, unless partial=true."""
        if not isinstance(options, CrcOptions):
            raise TypeError(f"Crc takes CrcOptions, got {type(options).__name__}")
        self.own = options
        self.classes = TISSUES if options.target == "nine" else ("other", "tumour")
        self.gaps: list[str] = []
        super().__init__(root, options)

    @property
    def positive(self) -> frozenset[int]:
        """Tumour epithelium."""
        return frozenset({len(self.classes) - 1})

    @property
    def train_folder(self) -> str:
        """The folder of the training tiles."""
        return TRAIN if self.own.normalised else RAW

    def deal(self) -> Mapping[Split, Sequence[Tile]]:
        """The release's two parts; validation is cut from the first, of every class."""
        _check_root(self.root, self.train_folder)
        expected = _expected(self.root)
        tiles = {part: self._listed(part, expected) for part in (self.train_folder, TEST)}
        train, aside = cut_tiles(tiles[self.train_folder], self.own.validation, self.name, self.own.split_seed)
        return {Split.TRAIN: train, Split.VALIDATION: aside, Split.TEST: tiles[TEST]}

    def _listed(self, part: str, expected: Mapping[str, Sequence[int]]) -> list[Tile]:
        """The tiles of one part, by class and name."""
        tiles: list[Tile] = []
        for number, (tissue, official) in enumerate(
            zip(TISSUES, expected[TRAIN if part == RAW else part], strict=True)
        ):
            names = _tiles_in(self.root / part / tissue)
            if len(names) != official:
                gap = f"{part}/{tissue} holds {len(names)} tiles, expected {official}"
                if not self.own.partial:
                    fix = "copy the rest of the release, or read what is there: --set partial=true"
                    raise DataError(f"{self.root}: {gap}", fix=fix)
                self.gaps.append(gap)
            label = number if self.own.target == "nine" else int(tissue == "TUM")
            tiles += [Tile(f"{part}/{tissue}/{name}", label) for name in names]
        return tiles

    def patients(self) -> str:
        """The release names none."""
        return (
            "patients are not named: validation tiles are cut from the training tiles and share patients with them; "
            "test tiles are of 50 other patients; no figure has an interval over patients"
        )

    def verify(self) -> VerifyReport:
        """Decode every tile, and compare sizes and numbers with the official ones.

        Facts: `tiles`, `train_tiles`, `validation_tiles`, `test_tiles`.
        """
        report = VerifyReport()
        for gap in self.gaps:
            report.check(False, gap)
        if self.synthetic:
            report.note("a miniature with painted tissue: the official numbers do not apply")
        elif not self.gaps:
            report.check(True, f"{sum(OFFICIAL[TRAIN])} and {sum(OFFICIAL[TEST])} tiles in nine classes, as released")
        check_tiles(report, self, None if self.synthetic else SIDE)
        report.note(self.patients())
        return report

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write `slides` training tiles and half as many test tiles of every class, of 64 px, TIFF and PNG by turns."""
        if side is not None:
            raise DataError(f"side = {side}: the tiles of {cls.name} have a size of their own", fix="leave --side out")
        if slides < FEWEST:
            msg = f"a miniature of {cls.name} has at least {FEWEST} tiles per class, got {slides}"
            raise DataError(msg, fix=f"--slides {FEWEST}")
        counts = {TRAIN: slides, TEST: max(2, slides // 2)}
        with fresh_folder(root, lambda name: name in (TRAIN, TEST)) as folder:
            for part, number in counts.items():
                for tissue_name in TISSUES:
                    _paint(folder / part / tissue_name, tissue_name, number, part == TEST, seed, tissue)
            tiles = {part: [number] * len(TISSUES) for part, number in counts.items()}
            write_synthetic_mark(folder, cls.name, slides=slides, seed=seed, tiles=tiles)


def _paint(folder: Path, kind: str, number: int, test: bool, seed: int, tissue: TissueSource | None) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    source = tissue.part(Split.TEST if test else Split.TRAIN, seed) if tissue is not None else None
    for index in range(number):
        pixels = paint_tile(kind, MINIATURE_SIDE, source, seed, index + 1000 * test)
        name = f"{kind}-{'TCGA-' if test else ''}{index:08d}"
        Image.fromarray(pixels).save(folder / f"{name}.{'png' if index % 2 else 'tif'}")


def _check_root(root: Path, train: str) -> None:
    obtain = "bench data info crc   (how to obtain it), or bench data synth crc --out DIR"
    if not root.is_dir():
        raise DataError(f"data root {root} {'is a file' if root.exists() else 'does not exist'}", fix=obtain)
    lacking = [part for part in (train, TEST) if not (root / part).is_dir()]
    if lacking:
        held = ", ".join(sorted(entry.name for entry in root.iterdir())[:6]) or "nothing"
        raise DataError(f"data root {root} holds {held}; expected the folder {lacking[0]}", fix=obtain)


def _expected(root: Path) -> Mapping[str, Sequence[int]]:
    """Tiles per part and class: the official numbers, or those of a miniature."""
    mark = root / SYNTHETIC_MARK
    if not mark.is_file():
        return OFFICIAL
    try:
        tiles = json.loads(mark.read_text(encoding="utf-8"))["tiles"]
        return {part: [int(number) for number in tiles[part]] for part in OFFICIAL}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{mark} is not the mark of a miniature: {error}", fix="bench data synth crc --out DIR"
        ) from None


def _tiles_in(folder: Path) -> list[str]:
    """Names of the tiles of one class. Raises `DataError` where one is there in two formats."""
    if not folder.is_dir():
        return []
    names = sorted(file.name for file in folder.iterdir() if file.suffix.lower() in SUFFIXES)
    stems: dict[str, str] = {}
    for name in names:
        if (twin := stems.setdefault(Path(name).stem, name)) != name:
            raise DataError(f"{folder} holds both {twin} and {name}", fix=f"remove one of the two from {folder}")
    return names
