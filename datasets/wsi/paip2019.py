"""PAIP2019: hepatocellular carcinoma of the liver."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from benchmark.annotations import Polygons, Region, write_imagescope
from benchmark.dataset import DatasetCard, TissueSource, VerifyReport

from .cases import Index, numbered
from .paip import PaipDataset, PaipOptions, read_index
from .wsi_miniature import Picture, Planned, paip_plan, write_miniature
from .wsi_options import WsiOptions

NAME = re.compile(r"\d{2}_\d{2}_\d{4}")

LAYERS = {"whole": "1", "viable": "2"}
"""Layers of the annotation. Source: the organisers' script that turns it into masks."""

CLASSES = ("normal", "whole tumor", "viable tumor")
"""Classes of the annotation, by layer."""

LCMIL_PAIP2019 = numbered(
    "01_01_",
    "0083 0085 0087 0088 0089 0090 0091 0092 0093 0095 0096 0098 0100 0101 0103 0104 0105 0106 0111 0112 0113 0114 "
    "0116 0117 0118 0119 0120 0121 0122 0123 0124 0125 0126 0127 0128 0129 0130 0131 0132 0133 0134 0135 0136 0137 "
    "0138 0139 0140 0141 0142 0143 0144 0145 0159 0161",
)
"""The 54 slides of LC-MIL."""

_WRITTEN = re.compile(r"Training_phase_1_\d{3}/01_01_\d{4}\.(svs|xml)")


class Paip2019Options(PaipOptions):
    """The options of PAIP2019."""

    layer: Literal["viable", "whole"] = Field(
        "viable", description="viable: nests of viable tumour cells; whole: the outermost boundary around them"
    )


class Paip2019(PaipDataset):
    """Slides of liver resections at 20×, annotated with the whole and the viable tumour."""

    name = "paip2019"
    Options = Paip2019Options
    card: ClassVar[DatasetCard] = DatasetCard(
        title="PAIP2019 – liver cancer segmentation",
        homepage="https://paip2019.grand-challenge.org/",
        licence="research use, under the terms on the homepage",
        citation="Kim et al., PAIP 2019: Liver cancer segmentation challenge, Medical Image Analysis 67 (2021) 101854",
        size="50 annotated training slides, 10 of the validation phase, 40 test slides without public annotation; 20×",
        obtain="Register on the homepage, download the slides, and name the folder with --data.",
        layout="01_01_0083.svs (or .SVS) with the ImageScope file 01_01_0083.xml, each pair in a folder of its own "
        "(Training_phase_1_001/ …) or all in one; layer 1 is the whole tumour, layer 2 the viable tumour. The masks "
        "(*_whole.tif, *_viable.tif) are ignored. The folder itself, or the one above PAIP2019/, is the root.",
    )
    nominal_mpp = 0.5
    coarse_microns = 128.0
    listed = LCMIL_PAIP2019

    @classmethod
    def index(cls, root: Path, options: WsiOptions, patients: Mapping[str, str]) -> Index:
        """See `paip.read_index`; the slides of the paper are expected, for the full list is not public."""
        return read_index(root, patients, name=cls.name, pattern=NAME, expected=LCMIL_PAIP2019)

    def layers(self) -> dict[str, int]:
        """The layer that `layer` names."""
        assert isinstance(self.settings, Paip2019Options)
        return {LAYERS[self.settings.layer]: 1}

    def check_counts(self, report: VerifyReport) -> None:
        """50 annotated slides, or 60 with those of the validation phase."""
        annotated = sum(case.image is not None and case.annotation is not None for case in self.cases.values())
        report.facts["annotated_slides"] = annotated
        report.check(annotated in (50, 60), f"{annotated} annotated slides; the release has 50, 60 with validation")

    @classmethod
    def synthesize(
        cls, root: Path, *, slides: int, seed: int, tissue: TissueSource | None = None, side: int | None = None
    ) -> None:
        """Write Aperio-style SVS and ImageScope XML, a folder per slide."""
        planned = paip_plan(slides, "01_01_{:04d}", LCMIL_PAIP2019)
        order = {slide.name: number for number, slide in enumerate(planned, start=1)}

        def write(folder: Path, slide: Planned, composed: Picture) -> None:
            from benchmark.slides.pyramid import write_pyramid

            own = folder / f"Training_phase_1_{order[slide.name]:03d}"
            own.mkdir()
            write_pyramid(own / f"{slide.name}.svs", composed.bands(), composed.size, mpp=composed.mpp, style="svs")
            _write_layers(own / f"{slide.name}.xml", composed.lesion, composed.mpp)

        write_miniature(root, cls.name, planned, write, ours=_WRITTEN, seed=seed, tissue=tissue, side=side)


def _write_layers(path: Path, lesion: Polygons, mpp: float) -> None:
    """Two layers that overlap: the whole tumour, drawn around all lesions, and the lesions as viable tumour."""
    import shapely
    from defusedxml.ElementTree import parse

    whole = shapely.unary_union([region.geometry for region in lesion.regions if region.label > 0]).convex_hull
    viable = [Region(region.geometry, 2 if region.label else 0) for region in lesion.regions]
    second = path.with_suffix(".viable.xml")
    write_imagescope(path, Polygons([Region(whole, 1)]), CLASSES, mpp)
    write_imagescope(second, Polygons(viable), CLASSES, mpp)
    tree, other = parse(path), parse(second)
    second.unlink()
    root, layers = tree.getroot(), other.getroot()
    assert root is not None and layers is not None
    root[1] = layers[1]
    tree.write(path, encoding="utf-8", xml_declaration=True)
