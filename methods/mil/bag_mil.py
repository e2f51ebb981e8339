"""The course of all methods on bags of frozen features: features, one training, scores of units and instances."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError
from benchmark.learning.encoders.feature_params import folder_of
from benchmark.method import Method, Prediction
from benchmark.slides import ScoreMap
from benchmark.supervision import Labels, Supervision, View

from .mil_params import MilParams

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.elsewhere import FeatureFolder
    from benchmark.learning.encoders.frozen import FrozenEncoder
    from benchmark.learning.mil.bags import Bag
    from benchmark.learning.mil.mil_training import BagScores, MilSettings
    from benchmark.learning.mil.pooling import Pooling
    from benchmark.slides import Slide

K = TypeVar("K", bound=MilParams, covariant=True)
Floats = NDArray[np.float32]


class BagMil(Method[K]):
    """Learns a pooling over the frozen features of units from their labels alone. Subclasses say which."""

    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.IMAGE})

    def __init__(self, params: K) -> None:
        super().__init__(params)
        self._learnt: Mapping[str, Any] | None = None
        self._encoder: FrozenEncoder | FeatureFolder | None = None
        self._folder: FeatureFolder | None = None
        self._built: Pooling | None = None

    @abstractmethod
    def pooling(self, dim: int) -> Pooling:
        """The untrained pooling for features of `dim` numbers."""

    def settings(self) -> MilSettings:
        """How it is trained: by default, on the loss of the bag alone."""
        from benchmark.learning.mil.mil_training import MilSettings

        params = self.params
        return MilSettings(
            name=self.name,
            epochs=params.epochs,
            lr=params.lr,
            weight_decay=params.weight_decay,
            balance=params.class_weight == "balanced",
            select=params.select,
            patience=params.patience,
            least_epochs=params.least_epochs,
            room=params.bag_cache * 2**30,
        )

    def encoders(self) -> Sequence[str]:
        """The frozen encoder."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        if (folder := self._elsewhere()) is not None:
            return [folder.seen()]
        return [seen_by(params.encoder, pretrained=params.encoder_pretrained, weights=params.encoder_weights)]

    def refits(self) -> bool:
        """Only where no epoch is chosen on validation slides."""
        return self.params.select == "last"

    def check_slides(self, train: Sequence[Slide], scored: Sequence[Slide]) -> None:
        """With features made elsewhere, every slide has a file."""
        if (folder := self._elsewhere()) is not None:
            folder.require([*train, *scored])

    def _elsewhere(self) -> FeatureFolder | None:
        if self._folder is None:
            self._folder = folder_of(self.params, _setting)
        return self._folder

    def fit(self, train: View, validation: View, context: Context) -> None:
        """The stage "mil". Raises `DataError` for units of one class only."""
        from benchmark.learning.mil.bags import bags_of

        bags = bags_of(train, self.params, context, self.encoder(context))
        side = bags[0].lattice.side if bags else self.params.patch
        held_out = bags_of(validation, self.params, context, self.encoder(context), side=side)
        fields = tuple(name for name in type(self).Params.model_fields if name != "score_map")
        self._learnt = context.stage("mil", lambda: self._train(bags, held_out, side, context), uses=fields)
        self._built = None

    def _train(self, bags: Sequence[Bag], held_out: Sequence[Bag], side: int, context: Context) -> dict[str, Any]:
        from benchmark.learning.mil.mil_training import train_mil
        from benchmark.learning.training import seed_torch

        dim = self.encoder(context).dim
        seed_torch(context, self.name, "weights")
        fit = train_mil(self.pooling(dim), bags, held_out, self.settings(), context, checkpoint=context.checkpoint)
        return {"net": fit.state, "epoch": fit.epoch, "dim": dim, "side": side}

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """The probability of every unit and of its instances; where units share an instance it has the highest.

        A unit without any tissue patch scores 0, and the slide's note says so. Raises `ConfigError` when the encoder
        gives features of another width than those it was trained on.
        """
        from benchmark.learning.mil.bags import bags_of_slide
        from benchmark.learning.mil.mil_training import score_bag

        pooling = self._pooling(context)
        assert self._learnt is not None, "fit comes before predict"
        bags = bags_of_slide(slide, self.params, context, self.encoder(context), side=int(self._learnt["side"]))
        lattice = bags[0].lattice
        values = np.full(lattice.tissue.size, np.nan, np.float32)
        units = np.zeros(lattice.units.shape, np.float32)
        empty = 0
        for bag in bags:
            if not len(bag):
                empty += 1
                continue
            scores = score_bag(pooling, bag, context.device)
            units[bag.row, bag.col] = scores.probability
            values[bag.numbers] = np.fmax(values[bag.numbers], self._cells(scores))
        notes = (f"no tissue patch in {empty} of {units.size} units: scored 0",) if empty else ()
        return Prediction(ScoreMap(lattice.grid, values.reshape(lattice.grid.shape)), units, notes=notes)

    def _cells(self, scores: BagScores) -> Floats:
        """The scores of a bag's instances, n."""
        if self.params.score_map == "instance" or scores.attention is None:
            return scores.instances
        return np.asarray(scores.probability * rescaled(scores.attention), np.float32)

    def encoder(self, context: Context) -> FrozenEncoder | FeatureFolder:
        """The frozen encoder that the parameters name, or features made elsewhere."""
        from benchmark.learning.mil.bags import encoder_of_params

        if self._encoder is None:
            self._encoder = self._elsewhere() or encoder_of_params(self.params, context)
        return self._encoder

    def _pooling(self, context: Context) -> Pooling:
        assert self._learnt is not None, "fit comes before predict"
        if self._built is None:
            dim, given = int(self._learnt["dim"]), self.encoder(context).dim
            if given != dim:
                problem = f"{self.name} learnt from features of {dim} numbers, the encoder {self.params.encoder} gives"
                raise ConfigError(f"{problem} {given}", fix="use the encoder it was trained with: --set encoder=…")
            built = self.pooling(dim)
            built.load_state_dict(dict(self._learnt["net"]))
            self._built = built.to(context.device).eval()
        return self._built

    def no_probability(self) -> Mapping[str, str]:
        """Attention is rescaled to [0, 1] in each bag, whatever it is worth."""
        if self.params.score_map == "instance":
            return {}
        return {"cell": "score_map=attention shows attention, rescaled in each bag, which is no probability"}

    def state(self) -> dict[str, Any]:
        """The pooling's weights, the width of its features and the side of its patches."""
        assert self._learnt is not None, "fit comes before state"
        return dict(self._learnt)

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Take over `state`."""
        self._learnt, self._built = state, None


def _setting(side: int, step: int) -> str:
    """The options that ask for patches of `side` px at level 0, one every `step` px."""
    return f"--set method.mpp=null --set method.patch={side} --set overlap={side - step}"


def rescaled(attention: Floats) -> Floats:
    """(a − min) / (max − min) within the bag (Ilse et al. 2018, Section 4.2); 1 where all are equal."""
    low, high = float(attention.min()), float(attention.max())
    if high <= low:
        return np.ones_like(attention)
    return np.asarray(((attention - low) / (high - low)).clip(0, 1), np.float32)
