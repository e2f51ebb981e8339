"""What `mlflow.pyfunc.load_model` gives for the model of a run: `predict` takes slides and gives a table."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmark.applying.given_slides import Given, given_slides, stated_mpp
from benchmark.applying.predict_slides import row_of
from benchmark.applying.stored_model import Predictor, StoredModel
from benchmark.context import SilentReporter

if TYPE_CHECKING:
    from pandas import DataFrame


class LoadedModel:
    """The model of a run. The weights are read when slides are first given."""

    def __init__(self, folder: Path, device: str = "auto") -> None:
        self.model = StoredModel.open(folder)
        self._device = device

    @cached_property
    def predictor(self) -> Predictor:
        """The model with its weights; `predictor.predict` gives score map and mask of one slide."""
        return self.model.ready(device=self._device, cache=None, reporter=SilentReporter())

    def predict(self, slides: Any, params: Mapping[str, Any] | None = None) -> DataFrame:
        """A row per slide, as `predictions.csv` of `bench predict` has them.

        Args:
            slides: a path, a list of them, or a data frame with the column `slide` (paths) and maybe `mpp`.
            params: nothing is taken from it; MLflow hands it over.

        Raises:
            DataError: a slide cannot be read, or is of another magnification than the model learnt from.
        """
        from pandas import DataFrame

        given = _given(slides)
        return DataFrame([row_of(self.predictor.predict(one), self.model.card) for one in given])


def _load_pyfunc(path: str) -> LoadedModel:
    """MLflow calls this with the folder of the model."""
    return LoadedModel(Path(path))


def _given(slides: Any) -> list[Given]:
    from pandas import DataFrame, isna

    if isinstance(slides, str | Path):
        return given_slides([Path(slides)])
    if not isinstance(slides, DataFrame):
        return given_slides([Path(str(slide)) for slide in slides])
    places = [Path(str(slide)) for slide in slides["slide"]]
    named = given_slides(places)
    if "mpp" not in slides:
        return named
    known: dict[Path, float | None] = {}
    for number, (place, cell) in enumerate(zip(places, slides["mpp"], strict=True)):
        stated = stated_mpp("" if isna(cell) else str(cell).strip(), f"row {number}")
        for one in given_slides([place]):  # a row may be a folder or a table, with microns of its own
            known.setdefault(one.path, one.mpp if stated is None else stated)
    return [Given(one.id, one.path, known[one.path]) for one in named]
