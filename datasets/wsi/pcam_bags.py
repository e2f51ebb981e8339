"""Slides composed of real PCam tiles: a lesion of adjacent positive tiles, everything else negative."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from benchmark.dataset import DatasetCard, Split, TissueSource, VerifyReport
from benchmark.errors import DataError
from benchmark.slides import Slide

from ..tables import read_table, refuse_rows
from ..twins import one_per_name
from .cases import Case, Index, data_root
from .labelled import LabelledOptions, LabelledSlides
from .pasted_dataset import Layout, PastedDataset
from .pcam_bags_draw import Pools, bag_layout, deal_tiles, planned_bags
from .pcam_bags_miniature import made_for, write_pcam_bags
from .splits import official_split
from .wsi_options import WsiOptions
from .wsi_verify import named

TABLES = ("labels.csv", "train_labels.csv")
SUFFIXES = (".png", ".tif")
SIDE = 96
"""Side of a tile in px."""

DEFAULTS = {"train": 60, "validation": 20, "test": 40, "tiles": 400}
"""Slides of each split, and tiles of a slide."""

_ID = re.compile(r"[\w.-]{1,100}")
_SHARES = re.compile(r"\s*0?\.\d+\s*(,\s*0?\.\d+\s*)*")


class PcamBagsOptions(LabelledOptions):
    """How many slides are composed, and how large their lesions are."""

    lesion_shares: str = Field(
        "0.01,0.05,0.2",
        description="shares of a positive slide's tiles that are lesion; the positive slides take them in turn",
    )
    tiles: int | None = Field(
        None, ge=16, le=10_000, description="tiles per slide, brought to a square; null: 400 (a miniature: fewer)"
    )
    train_slides: int | None = Field(None, ge=2, le=10_000, description="null: 60 (a miniature: fewer)")
    validation_slides: int | None = Field(None, ge=0, le=10_000, description="null: 20 (a miniature: fewer)")
    test_slides: int | None = Field(None, ge=1, le=10_000, description="null: 40 (a miniature: fewer)")
    validation: Literal[0] = Field(
        0, description="has no meaning here: validation slides have tiles of their own, see validation_slides"
    )
    patch: int = Field(SIDE, ge=16, le=4096, description="side of a patch, px, centred on its tile")

    @field_validator("lesion_shares", mode="before")
    @classmethod
    def _shares_readable(cls, value: object) -> object:
        """Numbers between 0 and 1 with commas, or what YAML makes of them."""
        if isinstance(value, float):
            value = str(value)
        if isinstance(value, list | tuple):
            value = ",".join(map(str, value))
        if isinstance(value, str) and not _SHARES.fullmatch(value):
            raise ValueError("expected shares between 0 and 1 with commas between them, as 0.01,0.05,0.2")
        return value


class PcamBags(PastedDataset, LabelledSlides):
    """Half of the slides of a split are positive; the unit is the slide. No tile is in two splits."""

    Options = PcamBagsOptions
    name = "pcam-bags"
    card: ClassVar[DatasetCard] = DatasetCard(
        title="PCam bags – slides composed of real lymph-node tiles",
        homepage="https://www.kaggle.com/c/histopathologic-cancer-detection",
        licence="CC0",
        citation="Veeling et al., Rotation equivariant CNNs for digital pathology, MICCAI 2018; tiles of CAMELYON16",
        size="as many tiles as the folder holds, 96 × 96 px",
        obtain="Download train/ and train_labels.csv from the homepage, or use any part of it, and name the folder "
        "with --data.",
        layout="labels.csv or train_labels.csv with the columns id and label, and the tiles ID.png or ID.tif beside it "
        "or in train/. Slides are composed of them when they are read; nothing is written. Patients are unknown, so "
        "tiles of one patient may be in two splits.",
    )
    nominal_mpp = 0.97
    tile = SIDE
    classes = ("normal", "tumour")

    @classmethod
    def index(cls, root: Path, options: WsiOptions, patients: Mapping[str, str]) -> Index:
        """The slides to be composed. Raises `DataError` for a table without sound rows, a tile that is not there."""
        assert isinstance(options, PcamBagsOptions)
        folder = data_root(root, cls.name, "pcam")
        table = _table(folder)
        _, notes = _read(folder, table)
        cases = [
            Case(bag.name, table, None, bag.name, str(bag.split), bag.lesion > 0)
            for bag in planned_bags(options.lesion_shares, cls.sizes(folder, options))
        ]
        return Index(folder, tuple(cases), (table,), notes)

    @staticmethod
    def sizes(root: Path, options: PcamBagsOptions) -> dict[str, int]:
        """Slides of each split, and `tiles` of a slide: the option, what a miniature was made for, or the default."""
        given = {
            "train": options.train_slides,
            "validation": options.validation_slides,
            "test": options.test_slides,
            "tiles": options.tiles,
        }
        usual = {**DEFAULTS, **made_for(root)}
        return {name: usual[name] if own is None else own for name, own in given.items()}

    @property
    def own(self) -> PcamBagsOptions:
        """The options, as what they are."""
        assert isinstance(self.settings, PcamBagsOptions)
        return self.settings

    @cached_property
    def pools(self) -> Pools:
        """The tiles of each split and class."""
        sizes = self.sizes(self.root, self.own)
        return deal_tiles(_read(self.root, _table(self.root))[0], sizes, self.own.split_seed)

    @property
    def tiles(self) -> Sequence[Path]:
        """Every tile."""
        return [self.root / name for pool in self.pools.values() for name in pool]

    def layout(self, slide: str) -> Layout:
        """See `bag_layout`; the same for the same options."""
        if slide not in self._layouts:
            sizes = self.sizes(self.root, self.own)
            bag = next(bag for bag in planned_bags(self.own.lesion_shares, sizes) if bag.name == slide)
            self._layouts[slide] = bag_layout(bag, self.pools, sizes["tiles"], SIDE, self.own.split_seed)
        return self._layouts[slide]

    @cached_property
    def _layouts(self) -> dict[str, Layout]:
        return {}

    def split(self, cases: Sequence[Case]) -> dict[str, Split]:
        """As the options say."""
        return official_split(cases)

    def aside(self, training: Sequence[Case]) -> frozenset[str]:
        """None: validation slides are composed of tiles of their own."""
        return frozenset()

    def subsets(self) -> Mapping[str, Sequence[Slide]]:
        """None: every tile has a class."""
        return {}

    def reading_notes(self, slide: Slide) -> Sequence[str]:
        """See `WsiDataset`; also what the slides are and how often tiles are used."""
        split = self.parts[slide.id]
        pool = sum(len(self.pools[split, positive]) for positive in (False, True))
        made = f"composed of {len(self.layout(slide.id).pieces)} tiles of the {pool} {split} ones, turned and mirrored"
        again = "tiles are used again on other slides of the split"
        return (*super().reading_notes(slide), f"{made}; {again}", "patients unknown: they may be in two splits")

    def check_counts(self, report: VerifyReport) -> None:
        """How many tiles each split has, and how often each is used, about."""
        sizes = self.sizes(self.root, self.own)
        for split in Split:
            negative, positive = (len(self.pools[split, kind]) for kind in (False, True))
            shown = sizes[split] * sizes["tiles"]
            report.note(
                f"{split}: {sizes[split]} slides of {sizes['tiles']} tiles, of {negative} negative and {positive} "
                f"positive tiles; each is shown about {shown / max(1, negative + positive):.0f} times, turned and "
                "mirrored"
            )

    def check_people(self, report: VerifyReport, usable: Mapping[Split, Sequence[Slide]]) -> None:
        """Nothing is known of them."""
        report.note("no tile names its patient: tiles of one patient may be in two splits")
        report.facts.update(patients=None, shared_patients=None)

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write tiles and labels.csv; opened with default options they make `slides` small slides."""
        write_pcam_bags(root, slides=slides, seed=seed, tissue=tissue, side=side)


def _table(root: Path) -> Path:
    for name in TABLES:
        if (root / name).is_file():
            return root / name
    raise DataError(f"data root {root} holds no {' and no '.join(TABLES)}", fix="bench data info pcam-bags")


def _read(root: Path, path: Path) -> tuple[dict[str, bool], tuple[str, ...]]:
    """Name of each tile below the root → whether it is positive. Raises `DataError`."""
    table = read_table(path, ("id", "label"), fix=f"restore {path.name} from the release")
    faults, lost = [], []
    labels: dict[str, bool] = {}
    places = [folder for folder in (root, root / "train") if folder.is_dir()]
    files = [file for folder in places for file in sorted(folder.iterdir()) if file.suffix.lower() in SUFFIXES]
    there = one_per_name(files, root)
    for row in table.rows:
        if row["label"] not in ("0", "1") or not _ID.fullmatch(row["id"]):
            cells = f"id {row['id'][:60]!r}, label {row['label'][:20]!r}"
            faults.append(f"{row.where}: {cells}; expected a name, and 0 or 1")
        elif row["id"] not in there:
            lost.append(row["id"])
        elif (name := there[row["id"]].relative_to(root).as_posix()) in labels:
            faults.append(f"{row.where}: {row['id']} appears twice")
        else:
            labels[name] = row["label"] == "1"
    refuse_rows(faults, f"correct {path}")
    if lost:
        msg = f"{len(lost)} tiles of {path} are not there: {named(lost)}"
        raise DataError(msg, fix="copy them again, or take their rows away")
    extra = sorted(there.keys() - {Path(name).stem for name in labels})
    notes = (f"{len(extra)} tiles have no row in {path.name} and are ignored: {named(extra)}",) if extra else ()
    return labels, (*table.notes, *notes)
