"""BACH, part B: whole slides of breast cancer (ICIAR 2018)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from benchmark.annotations import Annotation, ByShare, Meaning, read_imagescope, write_imagescope
from benchmark.dataset import DatasetCard, TissueSource, VerifyReport
from benchmark.dataset import Options as BaseOptions
from benchmark.errors import BlankSlideError
from benchmark.slides import Grid, Slide

from .cases import Case, Index, numbered
from .paip import PRESENCE, PaipDataset, PaipOptions, read_index
from .patch_filter import kept_patches
from .wsi_miniature import Picture, Planned, shares, write_miniature
from .wsi_options import WsiOptions

NAME = re.compile(r"A\d{2,3}")
OFFICIAL = numbered("A", "01 02 03 04 05 06 07 08 09 10")
"""The annotated slides."""

WORDS: Mapping[str, int] = {
    "Benign": 1,
    "Carcinoma in situ": 2,
    "In situ carcinoma": 2,
    "In situ": 2,
    "Carcinoma invasive": 3,
    "Invasive carcinoma": 3,
    "Invasive": 3,
}
"""The text of a region, as the release words it, and its class among four."""

FOUR = ("normal", "benign", "in situ", "invasive")
_WRITTEN = re.compile(r"A\d{2,3}\.(svs|xml)")


class BachOptions(PaipOptions):
    """The options of BACH."""

    protocol: Literal["official"] = Field("official", description="folds: the test slides have no public annotation")
    target: Literal["tumour", "four"] = Field(
        "tumour",
        description="tumour: benign, in-situ and invasive regions together, as the paper merges them; four: apart",
    )
    cell: int | None = Field(256, ge=16, le=4096, description="side of a cell, level-0 px")
    unit_cells: int = Field(1, ge=1, le=256, description="side of a unit, cells: a region that is positive or not")
    tumour_share: float | None = Field(
        0.5,
        gt=0,
        le=1,
        description="share of a cell that must be annotated to make it positive; null: the class under its centre",
    )
    min_components: int = Field(
        10,
        ge=0,
        description="cells whose binarised patch has fewer connected components are left out; 0: only background is",
    )


class Bach(PaipDataset):
    """Ten annotated slides; the class is in the text of every region.

    Cells that the filter leaves out count nowhere; how many they are is among the reading notes.
    """

    name = "bach"
    Options = BachOptions
    card: ClassVar[DatasetCard] = DatasetCard(
        title="BACH – breast cancer histology, whole slides (ICIAR 2018)",
        homepage="https://iciar2018-challenge.grand-challenge.org/",
        licence="CC BY-NC-ND, under the terms on the homepage",
        citation="Aresta et al., BACH: Grand challenge on breast cancer histology images, Medical Image Analysis 56 "
        "(2019) 122–139",
        size="10 annotated slides and 20 without annotation, 0.467 µm/px, 15 GB",
        obtain="Register on the homepage, download the whole-slide part, and name the folder with --data.",
        layout="A01.svs … A10.svs with the ImageScope files A01.xml … A10.xml beside them or in any folder below. "
        "Slides without annotation are ignored. The folder itself, or the one above BACH/, is the data root.",
    )
    nominal_mpp = 0.466667
    listed = ()

    def __init__(self, root: Path, options: BaseOptions) -> None:
        """See `WsiDataset`."""
        if not isinstance(options, BachOptions):
            raise TypeError(f"Bach takes BachOptions, got {type(options).__name__}")
        self.own = options
        self.classes = ("normal", "tumour") if options.target == "tumour" else FOUR
        super().__init__(root, options)

    @classmethod
    def index(cls, root: Path, options: WsiOptions, patients: Mapping[str, str]) -> Index:
        """See `paip.read_index`."""
        return read_index(root, patients, name=cls.name, pattern=NAME, expected=OFFICIAL)

    def read_truth(self, case: Case) -> Annotation:
        """The ImageScope file; the text of a region says its class."""
        assert case.annotation is not None
        merged = self.own.target == "tumour"
        usual: list[tuple[str, Meaning]] = [(word, 1 if merged else label) for word, label in WORDS.items()]
        return read_imagescope(case.annotation, names=self.names(case, *usual))

    def _ruled(self, annotation: Annotation) -> Annotation:
        ruled = super()._ruled(annotation)
        share = self.own.tumour_share
        return ruled if share is None else ByShare(ruled, len(self.classes), share)

    def unit_labels(self, slide: Slide) -> NDArray[np.int8]:
        """1 where annotated regions cover more than 5 % of the square."""
        shares = self.truth(slide).fractions(self.unit_grid(slide), len(self.classes))
        return np.asarray(shares[..., 1:].sum(axis=-1) > PRESENCE, np.int8)

    def tissue(self, slide: Slide, grid: Grid) -> NDArray[np.bool_]:
        """Cells that are no background and have `min_components`; every patch is read once per process."""
        least = self.own.min_components
        mask = self._masks.get((slide.id, grid.digest), lambda: kept_patches(slide, grid, least))
        if not mask.any():
            msg = f"slide {slide.id!r} ({slide.path}): no patch of {grid.width} px passes the filter"
            raise BlankSlideError(msg, fix="--set min_components=0")
        return mask

    def reading_notes(self, slide: Slide) -> Sequence[str]:
        """See `WsiDataset`; also what the filter left out."""
        grid = self.evaluation_grid(slide)
        kept, tumour = self.tissue(slide, grid), self.truth(slide).labels(grid) > 0
        lost = f"the filter leaves out {int((~kept).sum())} of {kept.size} cells, {int((~kept & tumour).sum())} of the "
        return (*super().reading_notes(slide), f"{lost}{int(tumour.sum())} positive ones; they count nowhere")

    def check_counts(self, report: VerifyReport) -> None:
        """10 annotated slides."""
        annotated = sum(case.image is not None and case.annotation is not None for case in self.cases.values())
        report.facts["annotated_slides"] = annotated
        report.check(annotated == len(OFFICIAL), f"{annotated} annotated slides; the release has {len(OFFICIAL)}")

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write Aperio-style SVS and ImageScope XML whose regions have texts, in one layer without a name."""
        kinds = [split for split, number in shares(slides).items() for _ in range(number)]
        planned = [Planned(f"A{number:02d}", split, True) for number, split in enumerate(kinds, start=1)]
        write_miniature(root, cls.name, planned, _write, ours=_WRITTEN, seed=seed, tissue=tissue, side=side)


def _write(folder: Path, slide: Planned, composed: Picture) -> None:
    from defusedxml.ElementTree import parse

    from benchmark.slides.pyramid import write_pyramid

    write_pyramid(folder / f"{slide.name}.svs", composed.bands(), composed.size, mpp=composed.mpp, style="svs")
    path = folder / f"{slide.name}.xml"
    write_imagescope(path, composed.lesion, mpp=composed.mpp)
    tree = parse(path)
    root = tree.getroot()
    assert root is not None
    words = list(WORDS)
    for number, layer in enumerate(root.iter("Annotation")):
        layer.set("Name", "")
        for index, region in enumerate(layer.iter("Region")):
            if region.get("NegativeROA") != "1":
                region.set("Text", words[(number + index + int(slide.name[1:])) % len(words)])
    tree.write(path, encoding="utf-8", xml_declaration=True)
