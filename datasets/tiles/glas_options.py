"""The options of GlaS."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from benchmark.annotations import CoarseOptions
from benchmark.dataset import Options


class GlasOptions(Options):
    """How GlaS is cut into splits, units and patches. Lengths are in pixels of the images."""

    target: Literal["gland", "malignant"] = Field(
        "gland",
        description="gland: which pixels are gland (a unit is a crop); malignant: whether the image is malignant "
        "(a unit is the whole image) and where its glands are",
    )
    unit_side: int = Field(
        112, ge=16, le=430, description="side of a unit, target=gland only", json_schema_extra={"source": "OEEM code"}
    )
    unit_stride: int = Field(
        56, ge=4, le=430, description="step between units", json_schema_extra={"source": "OEEM code"}
    )
    patch_side: int = Field(112, ge=8, le=430, description="side of a patch")
    patch_stride: int = Field(28, ge=4, le=430, description="step between patches")
    presence: float = Field(
        0.05,
        ge=0,
        lt=0.5,
        description="a unit is positive when gland covers more than this share of it",
        json_schema_extra={"source": "OEEM code"},
    )
    protocol: Literal["official", "patient"] = Field(
        "official", description="official: 85 train, 80 test, not by patient; patient: folds of whole patients"
    )
    folds: int = Field(5, ge=2, le=16, description="number of folds, protocol=patient only")
    fold: int = Field(0, ge=0, le=15, description="index of the fold that is tested, protocol=patient only")
    validation: float = Field(
        0.15,
        ge=0,
        le=0.5,
        description="share of the training images held out for validation, by patient; 0: none, as in the papers",
    )
    split_seed: int = Field(0, ge=0, description="seed of the folds and of the validation split")
    coarse_cell: int = Field(16, ge=1, le=256, description="side of a cell of the simulated coarse annotation, px")
    coarse_dilation: int = Field(2, ge=0, le=100, description="half-width of the dilating square, cells")
    coarse_hull: bool = Field(True, description="take the convex hull of each region")
    coarse_keep: Literal["largest", "all"] = Field("largest", description="regions of the truth to keep")
    coarse_halve: Literal["auto", "never", "always"] = Field(
        "auto", description="cut a region in half by a random line; auto: if it is the only one"
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        for name, stride, side in (
            ("unit", self.unit_stride, self.unit_side),
            ("patch", self.patch_stride, self.patch_side),
        ):
            if stride > side:
                msg = f"{name}_stride = {stride} leaves gaps between {name}s; expected at most {name}_side = {side}"
                raise ValueError(msg)
        if self.protocol == "official" and self.fold:
            raise ValueError(f"fold = {self.fold} has no meaning with protocol=official; expected protocol=patient")
        if self.fold >= self.folds:
            raise ValueError(f"fold = {self.fold} does not exist; expected 0 to folds - 1 = {self.folds - 1}")
        return self

    @property
    def coarse(self) -> CoarseOptions:
        """The options of the simulated coarse annotation."""
        return CoarseOptions(
            cell=self.coarse_cell,
            dilation=self.coarse_dilation,
            hull=self.coarse_hull,
            keep=self.coarse_keep,
            halve=self.coarse_halve,
        )
