"""The multiple-instance network of a round: features of all slides, training from scratch, scores of instances."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError, DataError
from benchmark.learning.mil.bags import Bag
from benchmark.learning.mil.dsmil_pooling import DsmilPooling
from benchmark.learning.mil.mil_training import MilSettings, score_bag, train_mil
from benchmark.learning.training import seed_torch

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.frozen import FrozenEncoder
    from benchmark.learning.mil.cohort import Cohort

    from .instances import Instances


def bags_of_cohort(cohort: Cohort, encoder: FrozenEncoder, batch: int, context: Context) -> list[Bag]:
    """The bags of all units, with features from the cache; the places of patches are those that the cohort has found.

    Raises `DataError` for features that are not finite.
    """
    values: list[NDArray[np.floating[Any]]] = []
    for lattice in context.track(cohort.lattices, "bags", len(cohort.lattices)):
        features = context.features.of(
            lattice.slide, lattice.grid, lattice.tissue, encoder, batch=batch, track=context.track
        )
        if not np.isfinite(features.values).all():
            problem = f"slide {lattice.slide.id!r}: features by {encoder.name} are not finite numbers"
            raise DataError(problem, fix="the encoder diverged: --set lr=… (lower), or choose another encoder")
        values.append(features.values)
    bags = []
    for unit in cohort.units:
        lattice = cohort.lattices[unit.slide]
        places = np.searchsorted(lattice.numbers, unit.numbers)
        run = places.size and places[-1] - places[0] + 1 == places.size  # neighbours stay on disk
        rows = values[unit.slide][slice(places[0], places[-1] + 1) if run else places]
        bags.append(Bag(lattice.slide.id, unit.row, unit.col, int(unit.positive), rows, unit.numbers, lattice))
    return bags


def train_network(
    number: int,
    encoder: FrozenEncoder,
    cohort: Cohort,
    held_out: Cohort | None,
    instances: Instances,
    settings: MilSettings,
    batch: int,
    context: Context,
    *,
    both: bool,
) -> dict[str, Any]:
    """What a retraining leaves; call it inside a stage. `both`: validation slides hold instances too."""
    train = bags_of_cohort(cohort, encoder, batch, context)
    validation = [] if held_out is None else bags_of_cohort(held_out, encoder, batch, context)
    seed_torch(context, "mil", number, "weights")
    network = DsmilPooling(encoder.dim)
    try:
        fit = train_mil(network, train, validation, settings, context, checkpoint=context.checkpoint)
    except ConfigError as error:  # its loss: `lr` is the encoder's here
        raise ConfigError(error.what, fix="lower the learning rate: --set mil_lr=…") from error
    for name in ("validation_auc", "validation_loss", "loss"):
        if name in fit.history[fit.epoch]:
            context.log(f"rounds/{name}", fit.history[fit.epoch][name], number)
    extracting = DsmilPooling(encoder.dim).to(context.device)
    extracting.load_state_dict(fit.kept[settings.extract[0]])
    scores = np.full(len(instances), np.nan, np.float32)
    slides = {part.slide.id: start for part, start in zip(instances.slides, instances.starts[:-1], strict=True)}
    for bag in (*train, *(validation if both else ())):
        if len(bag):
            places = slides[bag.slide_id] + np.searchsorted(bag.lattice.numbers, bag.numbers)
            scores[places] = score_bag(extracting, bag, context.device).instances
    if not np.isfinite(scores).all():
        missing = int((~np.isfinite(scores)).sum())
        raise DataError(f"{missing} of {len(scores)} instances have no finite score", fix="--set mil_lr=… (lower)")
    return {"network": fit.state, "epoch": fit.epoch, "figure": fit.best("validation_f1"), "scores": scores}
