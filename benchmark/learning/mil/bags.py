"""Bags: the frozen features of a unit's tissue patches, read from the feature cache as memory maps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.learning.encoders.elsewhere import FeatureFolder
from benchmark.learning.encoders.frozen import create_encoder
from benchmark.learning.mil.bag_params import BagParams
from benchmark.learning.mil.cohort import lattice_of
from benchmark.learning.mil.lattice import Lattice, common_patch

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.frozen import FrozenEncoder

    Source = FrozenEncoder | FeatureFolder
    from benchmark.slides import Slide
    from benchmark.supervision import View

Values = NDArray[np.floating[Any]]
Numbers = NDArray[np.int64]
CHECKED = 65_536
"""Rows of features that are looked at together for values that are no numbers."""


@dataclass(frozen=True, eq=False)
class Bag:
    """The instances of one unit. `row`, `col`: of the unit grid. `label`: 1 positive, 0 negative, -1 unknown.

    `features`: n × dim, a memory map where the unit is a run of the slide's patches. `numbers` (n, ascending): cells of
    `lattice.grid`, row-major. An instance's pixels are `lattice.read(number)`. n is 0 on a slide of glass.
    """

    slide_id: str
    row: int
    col: int
    label: int
    features: Values
    numbers: Numbers
    lattice: Lattice

    def __len__(self) -> int:
        return int(self.numbers.size)

    @property
    def dim(self) -> int:
        """Numbers per instance."""
        return int(self.features.shape[1])

    @property
    def name(self) -> str:
        """The slide, with the unit where there are several."""
        several = self.lattice.units.rows * self.lattice.units.cols > 1
        return f"{self.slide_id}[{self.row},{self.col}]" if several else self.slide_id


def encoder_of_params(params: BagParams, context: Context) -> FrozenEncoder:
    """The frozen encoder that the parameters name."""
    if not params.encoder_pretrained and params.encoder_weights is None:
        context.reporter.say(f"encoder {params.encoder}: random weights, no pre-training")
    return create_encoder(
        params.encoder,
        pretrained=params.encoder_pretrained,
        weights=params.encoder_weights,
        side=params.input_side,
        device=context.device,
    )


def bags_of(view: View, params: BagParams, context: Context, encoder: Source, *, side: int | None = None) -> list[Bag]:
    """The bags of all units of a view, slide by slide.

    `side`: px of a patch; None: what fits the units of all these slides. Raises `DataError` for features that are no
    numbers.
    """
    if side is None:
        side = common_patch(view.slides, context, patch=params.patch, mpp=params.mpp) if len(view) else params.patch
    bags: list[Bag] = []
    for slide in context.track(view.slides, "bags", len(view)):
        bags += bags_of_slide(slide, params, context, encoder, side=side, labels=view.labels.image(slide))
    return bags


def bags_of_slide(
    slide: Slide,
    params: BagParams,
    context: Context,
    encoder: Source,
    *,
    side: int,
    labels: NDArray[np.int8] | None = None,
) -> list[Bag]:
    """The bags of one slide, unit by unit (row-major). Raises `DataError` for features that are no numbers."""
    lattice = lattice_of(slide, params, context, side)
    if isinstance(encoder, FeatureFolder):
        lattice = replace(lattice, tissue=encoder.covered(slide, lattice.grid, lattice.tissue))
    numbers = lattice.numbers
    values: Values = np.zeros((0, encoder.dim), np.float32)
    if numbers.size:
        features = context.features.of(
            slide, lattice.grid, lattice.tissue, encoder, batch=params.encode_batch, track=context.track
        )
        values = features.values
        _require_numbers(values, slide.id, encoder.name)
    bags = []
    for row, col in np.ndindex(lattice.units.shape):
        members = lattice.members(row, col)
        label = -1 if labels is None else int(labels[row, col] > 0)
        bags.append(Bag(slide.id, row, col, label, _rows(values, np.searchsorted(numbers, members)), members, lattice))
    return bags


def _rows(values: Values, places: Numbers) -> Values:
    """Rows of the memory map; a run of neighbouring ones stays on disk."""
    if places.size and places[-1] - places[0] + 1 == places.size:
        return values[int(places[0]) : int(places[-1]) + 1]
    return np.asarray(values[places])


def _require_numbers(values: Values, slide: str, encoder: str) -> None:
    for start in range(0, len(values), CHECKED):
        wrong = ~np.isfinite(values[start : start + CHECKED]).all(axis=1)
        if wrong.any():
            first = start + int(np.flatnonzero(wrong)[0])
            raise DataError(
                f"slide {slide!r}: the features of patch {first} by {encoder} are not finite numbers",
                fix=f"bench cache prune --encoder {encoder.partition(':')[0]}, then run again; else choose another"
                " encoder: bench list encoders",
            )


def usable(bags: Sequence[Bag], context: Context, part: str) -> list[Bag]:
    """The bags with instances; the reporter says how many have none."""
    filled = [bag for bag in bags if len(bag)]
    if len(filled) < len(bags):
        first = next(bag for bag in bags if not len(bag))
        context.reporter.say(
            f"{len(bags) - len(filled)} of {len(bags)} {part} bags hold no tissue patch and are left out"
            f" (first: {first.name})"
        )
    return filled
