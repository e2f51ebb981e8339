"""The units of some slides with their tissue patches: what multiple-instance learning draws from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.learning.mil.lattice import Lattice, common_patch
from benchmark.learning.mil.place_params import PlaceParams
from benchmark.slides import Slide

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.supervision import View

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.int64]
Scored = Mapping[str, Mapping[str, NDArray[Any]]]
"""Per slide id: `numbers` of its tissue patches, and `highest`, the largest logit m(x) of each."""


@dataclass(frozen=True, eq=False)
class Unit:
    """A region with an image-level label. `slide`: its place in the cohort. `numbers`: of its tissue patches."""

    slide: int
    row: int
    col: int
    positive: bool
    numbers: Numbers


@dataclass(eq=False)
class Cohort:
    """Lattices of some slides and their units. Decoded patches are kept, up to `room` bytes."""

    lattices: Sequence[Lattice]
    units: Sequence[Unit]
    room: float
    _decoded: dict[tuple[int, int], Pixels] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, view: View, params: PlaceParams, context: Context, *, room: float, side: int | None = None) -> Cohort:
        """All units of a view. `side`: of a patch; None: what fits the units of all these slides. `room`: in bytes."""
        if side is None:
            side = common_patch(view.slides, context, patch=params.patch, mpp=params.mpp)
        lattices, units = [], []
        for place, slide in enumerate(context.track(view.slides, "tissue patches", len(view))):
            lattice = lattice_of(slide, params, context, side)
            lattices.append(lattice)
            for (row, col), label in np.ndenumerate(view.labels.image(slide)):
                units.append(Unit(place, row, col, bool(label), lattice.members(row, col)))
        return cls(lattices, units, room)

    @property
    def side(self) -> int:
        """Px of a patch."""
        return self.lattices[0].side

    def slide(self, place: int) -> Slide:
        """A slide by its place."""
        return self.lattices[place].slide

    @property
    def room_left(self) -> float:
        """Bytes of `room` that are left once all patches are decoded."""
        return max(0.0, self.room - sum(lattice.numbers.size * 3 * lattice.side**2 for lattice in self.lattices))

    def of_class(self, positive: bool) -> list[int]:
        """Places of the units of one class."""
        return [place for place, unit in enumerate(self.units) if unit.positive is positive]

    def require_both(self, method: str) -> None:
        """Raise `DataError` unless there are positive and negative units."""
        for positive, name in ((True, "positive"), (False, "negative")):
            if not self.of_class(positive):
                msg = f"none of the {len(self.units)} training units is {name}; {method} learns from both kinds"
                raise DataError(msg, fix="choose another split or dataset: bench data info DATASET")

    @cached_property
    def negative_patches(self) -> list[NDArray[np.bool_]]:
        """Per slide, rows · cols: patches that lie in a negative unit, so that nothing in them is positive."""
        negative = [np.zeros(lattice.tissue.size, np.bool_) for lattice in self.lattices]
        for unit in self.units:
            if not unit.positive:
                negative[unit.slide][unit.numbers] = True
        return negative

    def patch(self, slide: int, number: int) -> Pixels:
        """One patch, decoded once while there is room."""
        key = (slide, number)
        kept = self._decoded.get(key)
        if kept is None:
            kept = self.lattices[slide].read(number)
            if (len(self._decoded) + 1) * kept.nbytes <= self.room:
                self._decoded[key] = kept
        return kept


def lattice_of(slide: Slide, params: PlaceParams, context: Context, side: int) -> Lattice:
    """The patches of a slide as the parameters have them, `side` px each."""
    shared = params.overlap if params.overlap_means == "shared" else params.patch - params.overlap
    return Lattice.of(
        slide,
        context,
        patch=side,
        overlap=round(shared * side / params.patch),
        mpp=params.mpp,
        tissue=params.tissue,
        min_tissue=params.min_tissue,
    )
