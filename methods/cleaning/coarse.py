"""The coarse annotation as it is: what every refiner has to beat."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from benchmark.method import Method, MethodCard, Params, Prediction
from benchmark.slides import ScoreMap
from benchmark.supervision import Labels, Supervision, View

from .cleaner import CITATION, PAPER

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide


class CoarseParams(Params):
    """None: nothing is done."""


class Coarse(Method[CoarseParams]):
    """Scores the cells inside the annotation with 1, all others with 0."""

    name = "coarse"
    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.COARSE})
    card = MethodCard(
        title="Coarse annotation, unchanged",
        citation=CITATION,
        paper=PAPER,
        tables=("Table I, CA", "Table II, CA"),
    )
    Params = CoarseParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "released": {}, "quick": {}, "smoke": {}}

    def encoders(self) -> tuple[str, ...]:
        """There is no network."""
        return ()

    def fit(self, train: View, validation: View, context: Context) -> None:
        """Nothing to learn."""

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """What the annotation says, on the evaluation grid."""
        grid = context.geometry.evaluation_grid(slide)
        inside = labels.coarse(slide).labels(grid) > 0
        return Prediction(ScoreMap(grid, inside.astype(np.float32)))

    def state(self) -> dict[str, Any]:
        """Nothing was learnt."""
        return {}

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Nothing to take over."""
