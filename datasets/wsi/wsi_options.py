"""The options that all whole-slide sets share, and the size of a cell."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import DirectoryPath, Field, FilePath, field_validator, model_validator

from benchmark.annotations import CoarseOptions, NoiseOptions, read_classes
from benchmark.dataset import Options
from benchmark.slides.resolution import PLAUSIBLE_MPP
from benchmark.slides.tissue import Mode

CELL_MICRONS = 64.0
"""Side of a cell of LC-MIL: 256 px at 40×, 128 px at 20×."""

DILATION, LARGE = 5, 100
"""The dilation recovered from LC-MIL's annotations, cells; slides of fewer cells a side than this get a smaller one."""


class WsiOptions(Options):
    """How a set of whole slides is split, cut into cells, and coarsely annotated."""

    protocol: Literal["official", "lcmil"] = Field(
        "official",
        description="official: the set's own split; lcmil: the paper's slides are the test split, "
        "all other annotated slides train",
    )
    validation: float = Field(
        0.15, ge=0, le=0.5, description="share of the training slides held out for validation, by patient; 0: none"
    )
    split_seed: int = Field(0, ge=0, description="seed of the validation split")
    inclusion: Literal["all", "lcmil"] = Field(
        "all",
        description="lcmil: only slides that are exhaustively annotated and whose lesion covers 10 to 90 % of the "
        "tissue cells (reads every annotated slide when the set is opened); the paper's own slides always stay",
        json_schema_extra={"source": "LC-MIL IV"},
    )
    cell: int | None = Field(
        None,
        ge=16,
        le=4096,
        description="side of a cell, level-0 px; null: the power of two nearest to 64 µm",
        json_schema_extra={"source": "LC-MIL code"},
    )
    patch: int = Field(
        256,
        ge=16,
        le=4096,
        description="side of a patch, level-0 px, centred on its cell",
        json_schema_extra={"source": "LC-MIL code"},
    )
    mpp: float | None = Field(
        None,
        ge=PLAUSIBLE_MPP[0],
        le=PLAUSIBLE_MPP[1],
        description="microns per level-0 px of slides whose files do not state it; null: the usual one of the set. "
        "Each such slide is noted in the result",
    )
    scales: Literal["one", "mixed"] = Field(
        "one",
        description="one: slides whose microns per pixel differ by more than a factor of 1.5 are refused, for a patch "
        "shows more tissue on some than on others; mixed: admit them, cells by microns and patches by pixels",
    )
    tissue_mode: Mode = Field(
        "hsv-otsu",
        description="how tissue is separated from glass; the modes named released repeat LC-MIL's code, "
        "grey-otsu-released on all but about 2 % of the cells: its equalisation is not OpenCV's",
    )
    label_rule: Literal["centre", "released"] = Field(
        "centre",
        description="which cells an outline holds, for truth and coarse annotation alike: those whose centre lies "
        "inside, or those of LC-MIL's released rasteriser, which erases the border cells",
        json_schema_extra={"source": "LC-MIL III / code"},
    )
    classes: str | None = Field(
        None,
        description="what names in drawn annotations mean beside the known words for a lesion, as "
        "'Stroma=0,Invasive=1,Fold=ignore': a class index, ignore (counts nowhere) or hole (cut out)",
    )
    origin: Literal["canvas", "bounds"] | None = Field(
        None,
        description="where the coordinates of drawn annotations count from, on slides whose scanned area does not "
        "begin at the corner: canvas (OpenSlide, ASAP) or bounds (QuPath); null: found out, or refused",
    )
    coarse: Literal["simulated", "published", "drawn", "noise"] = Field(
        "simulated",
        description="where coarse annotations come from: made of the truth in the paper's three steps, the authors' "
        ".sav file, a folder with one GeoJSON or XML file per slide, or the truth with noise",
    )
    coarse_path: FilePath | DirectoryPath | None = Field(
        None, description="the .sav file (coarse=published) or the folder (coarse=drawn)"
    )
    coarse_version: str | None = Field(
        None, description="published: top1 (the default), pathologist_1 …; drawn: a folder inside coarse_path"
    )
    coarse_seed: int = Field(0, ge=0, description="seed of the random lines and of the noise")
    coarse_cell: int | None = Field(
        None,
        ge=1,
        le=4096,
        description="cell of the simulation, level-0 px; null: the paper's 256 px, scaled "
        "from the set's usual resolution to the slide's",
        json_schema_extra={"source": "LC-MIL data"},
    )
    coarse_dilation: int | None = Field(
        None,
        ge=0,
        le=100,
        description="half-width of the dilating square, cells of the simulation; null: the "
        f"paper's {DILATION}, and a twentieth of the side where a slide has fewer than {LARGE} cells a side",
        json_schema_extra={"source": "LC-MIL data"},
    )
    coarse_hull: bool = Field(True, description="take the convex hull of each region")
    coarse_keep: Literal["largest", "all"] = Field("largest", description="regions of the truth to keep")
    coarse_halve: Literal["auto", "never", "always"] = Field(
        "never", description="cut a region in half by a random line; auto: if it is the only one"
    )
    noise_flip_positive: float = Field(
        0.1, ge=0, le=1, description="share of lesion cells flipped to normal, coarse=noise only"
    )
    noise_flip_negative: float = Field(
        0.05, ge=0, le=1, description="share of normal cells flipped to lesion, coarse=noise only"
    )
    noise_shift: float = Field(
        0, ge=-50, le=50, description="cells by which outlines are moved outwards, coarse=noise only"
    )
    noise_missed: float = Field(0, ge=0, le=1, description="share of lesions left out, coarse=noise only")
    noise_invented: int = Field(0, ge=0, le=100, description="number of false lesions added, coarse=noise only")

    @field_validator("classes", mode="before")
    @classmethod
    def _classes_readable(cls, value: object) -> object:
        """`a=0,b=1`, or what YAML makes of it where it has colons."""
        if isinstance(value, Mapping):
            value = ",".join(
                f"{name}: {own}" if "=" in str(own) else f'"{name}={own}"' if "," in str(name) else f"{name}={own}"
                for name, own in value.items()
            )
        if isinstance(value, str):
            read_classes(value)
        return value

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        file = self.coarse_path is not None and Path(self.coarse_path).is_file()
        if self.coarse == "published" and not file:
            raise ValueError(f"coarse=published needs coarse_path=FILE.sav, got coarse_path={self.coarse_path}")
        if self.coarse == "drawn" and (file or self.coarse_path is None):
            raise ValueError(f"coarse=drawn needs coarse_path=FOLDER, got coarse_path={self.coarse_path}")
        if self.coarse in ("simulated", "noise") and (self.coarse_path or self.coarse_version):
            raise ValueError(f"coarse_path and coarse_version have no meaning with coarse={self.coarse}")
        return self

    def simulation(self, size: tuple[int, int], cell: int) -> CoarseOptions:
        """The options of the simulated annotation of a slide of `size` px, on cells of `cell` px."""
        across = min(size) // cell
        dilation = DILATION if across >= LARGE else max(1, across * DILATION // LARGE)
        return CoarseOptions(
            cell=cell,
            dilation=dilation if self.coarse_dilation is None else self.coarse_dilation,
            hull=self.coarse_hull,
            keep=self.coarse_keep,
            halve=self.coarse_halve,
            rule=self.label_rule,
        )

    @property
    def noise(self) -> NoiseOptions:
        """The options of coarse=noise."""
        return NoiseOptions(
            flip_positive=self.noise_flip_positive,
            flip_negative=self.noise_flip_negative,
            shift=self.noise_shift,
            missed=self.noise_missed,
            invented=self.noise_invented,
        )
