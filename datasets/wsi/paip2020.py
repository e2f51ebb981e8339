"""PAIP2020: adenocarcinoma of the colon."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from benchmark.annotations import write_imagescope
from benchmark.dataset import DatasetCard, TissueSource, VerifyReport

from .cases import Index, numbered
from .paip import PaipDataset, PaipOptions, read_index
from .wsi_miniature import Picture, Planned, paip_plan, write_miniature
from .wsi_options import WsiOptions

NAME = re.compile(r"(training|validation|test)_data_\d{2,}")

OFFICIAL = tuple(f"training_data_{number:02d}" for number in range(1, 48))
"""The annotated slides."""

LCMIL_PAIP2020 = numbered(
    "training_data_",
    "01 02 03 05 07 08 09 10 11 12 13 14 15 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 39 40 41 "
    "42 43 44 46 47",
)
"""The 42 slides of LC-MIL."""

_WRITTEN = re.compile(r"training_data_\d{2,}\.(svs|xml)")


class Paip2020Options(PaipOptions):
    """The options of PAIP2020: one region per slide, so the simulation cuts it in half."""

    coarse_halve: Literal["auto", "never", "always"] = Field(
        "always",
        description="cut a region in half by a random line; auto: if it is the only one",
        json_schema_extra={"source": "LC-MIL IV; the line is ours"},
    )


class Paip2020(PaipDataset):
    """Slides of colon resections at 40×, annotated with the area of the tumour."""

    name = "paip2020"
    Options = Paip2020Options
    card: ClassVar[DatasetCard] = DatasetCard(
        title="PAIP2020 – colorectal cancer",
        homepage="https://paip2020.grand-challenge.org/",
        licence="research use, under the terms on the homepage",
        citation="the PAIP2020 challenge, https://paip2020.grand-challenge.org/",
        size="47 annotated training slides; 31 of the validation phase and 40 test slides without annotation; 40×",
        obtain="Register on the homepage, download the training slides and XML, and name the folder with --data.",
        layout="training_data_01.svs (or .SVS) … 47 with the ImageScope file training_data_01.xml, beside the slide or "
        "in a folder of its own; layer 1 is the tumour, regions with NegativeROA are cut out. The table with the MSI "
        "status is not needed. The folder itself, or the one above PAIP2020/, is the data root.",
    )
    nominal_mpp = 0.25
    listed = LCMIL_PAIP2020

    @classmethod
    def index(cls, root: Path, options: WsiOptions, patients: Mapping[str, str]) -> Index:
        """See `paip.read_index`."""
        return read_index(root, patients, name=cls.name, pattern=NAME, expected=OFFICIAL)

    def layers(self) -> dict[str, int]:
        """The tumour area, the only layer."""
        return {"1": 1}

    def check_counts(self, report: VerifyReport) -> None:
        """47 annotated slides."""
        annotated = sum(case.image is not None and case.annotation is not None for case in self.cases.values())
        report.facts["annotated_slides"] = annotated
        report.check(annotated == len(OFFICIAL), f"{annotated} annotated slides; the release has {len(OFFICIAL)}")

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write Aperio-style SVS and ImageScope XML, all in one folder."""
        planned = paip_plan(slides, "training_data_{:02d}", LCMIL_PAIP2020)
        write_miniature(root, cls.name, planned, _write, ours=_WRITTEN, seed=seed, tissue=tissue, side=side)


def _write(folder: Path, slide: Planned, composed: Picture) -> None:
    from benchmark.slides.pyramid import write_pyramid

    write_pyramid(folder / f"{slide.name}.svs", composed.bands(), composed.size, mpp=composed.mpp, style="svs")
    write_imagescope(folder / f"{slide.name}.xml", composed.lesion, ("normal", "tumor area"), mpp=composed.mpp)
