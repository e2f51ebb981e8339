"""The trivial prediction that every method has to beat: the same score everywhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from benchmark.method import Method, MethodCard, Prediction, param
from benchmark.method import Params as BaseParams
from benchmark.slides import ScoreMap
from benchmark.supervision import Labels, Supervision, View

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide


class ConstantParams(BaseParams):
    """One number."""

    value: float = param(1.0, "score of every cell: 1 is all positive, 0 all negative", ge=0.0, le=1.0)


class Constant(Method[ConstantParams]):
    """Scores every cell of the evaluation grid with `value`. Uses no labels and no pixels."""

    name = "constant"
    supervision: ClassVar[frozenset[Supervision]] = frozenset()
    card = MethodCard(
        title="Constant score (trivial baseline)",
        citation="none",
        paper="none",
        notes="`value=1` predicts all positive, `value=0` all negative.",
    )
    Params = ConstantParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": {}, "smoke": {}}

    def encoders(self) -> tuple[str, ...]:
        """There is no network."""
        return ()

    def fit(self, train: View, validation: View, context: Context) -> None:
        """Nothing to learn."""

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """The same score in every cell."""
        grid = context.geometry.evaluation_grid(slide)
        return Prediction(ScoreMap(grid, np.full(grid.shape, self.params.value, np.float32)))

    def state(self) -> dict[str, Any]:
        """Nothing was learnt."""
        return {}

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Nothing to take over."""
