"""Parameters that say where patches lie."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from benchmark.learning.mil.lattice import TissueRule
from benchmark.method import Params, param

PAPER = "paper"
DOCS = "docs/methods/hybrid.md"


class PlaceParams(Params):
    """Where patches lie. The defaults are those of hybrid supervision (Li et al., MICCAI 2021)."""

    patch: int = param(
        512,
        "side of a patch; where units are smaller, the largest multiple of 32 that fits",
        symbol="P",
        unit="px",
        source=PAPER,
        ge=32,
        multiple_of=32,
        given=True,
    )
    overlap: int = param(
        128, "overlap of neighbouring patches, or their distance: see overlap_means", unit="px", source=PAPER, ge=0
    )
    overlap_means: Literal["shared", "stride"] = param(
        "shared",
        "'shared': neighbours share `overlap` px; 'stride': they begin `overlap` px apart (both readings are possible)",
        source=DOCS,
    )
    mpp: float | None = param(
        0.5,
        "resolution of a patch; finer slides are scaled down, coarser ones are read as they are",
        unit="µm",
        source=PAPER,
        gt=0.0,
    )
    tissue: TissueRule = param(
        "grey-otsu", "rule that finds tissue: Otsu on grey, the dataset's own, or that of Khened et al.", source=PAPER
    )
    min_tissue: float = param(
        0.0, "smallest share of tissue in a patch that is used; 0: any tissue", source=DOCS, ge=0.0, le=1.0
    )

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.overlap_means == "shared" and self.overlap >= self.patch:
            raise ValueError(f"overlap = {self.overlap} px must be less than patch = {self.patch} px")
        if self.overlap_means == "stride" and self.overlap == 0:
            raise ValueError("overlap = 0 leaves no distance between patches (overlap_means=stride)")
        return self


PLACE_FIELDS = tuple(PlaceParams.model_fields)
