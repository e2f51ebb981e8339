"""The options that all sets of labelled tiles share."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from benchmark.dataset import Options


class TileOptions(Options):
    """How labelled tiles are made into slides, and split."""

    layout: Literal["set", "virtual"] = Field(
        "set",
        description="set: all tiles of a split are one patch set, whose units are the tiles; virtual: they are dealt "
        "into slides of `slide_tiles` tiles, each a unit, for methods that learn from labels of slides",
    )
    slide_tiles: int = Field(64, ge=1, le=100_000, description="tiles of a virtual slide, layout=virtual only")
    slide_positive: float = Field(
        0.25,
        gt=0,
        le=1,
        description="share of the tiles of a positive virtual slide that are positive, at least one; a negative one "
        "has none. layout=virtual only",
    )
    validation: float = Field(
        0.15, ge=0, le=0.5, description="share of the training tiles held out for validation, of every class; 0: none"
    )
    split_seed: int = Field(0, ge=0, description="seed of the split and of the order of the tiles")
    coarse_errors: float = Field(
        0.2, ge=0, le=1, description="share of tiles to which the coarse annotation gives another class"
    )
