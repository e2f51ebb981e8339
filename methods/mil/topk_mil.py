"""Top-k multiple-instance learning (Campanella et al. 2019): the baseline that sees image-level labels alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.method import Method, MethodCard, Prediction
from benchmark.slides import ScoreMap
from benchmark.supervision import Labels, Supervision, View

from .topk_params import RNN_FIELDS, SCORE_FIELDS, TILE_FIELDS, TOPK_QUICK, TOPK_SMOKE, TopkParams

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.frozen import FrozenEncoder
    from benchmark.learning.mil.cohort import Cohort
    from benchmark.learning.mil.lattice import Lattice
    from benchmark.slides import Slide

    from .tiles import Tiles
    from .topk_rnn import Rnn
    from .topk_tiles import TileModel

Floats = NDArray[np.floating[Any]]


class TopkMil(Method[TopkParams]):
    """A tile network that learns from the highest tiles of every unit; a unit is as positive as its highest tile.

    With a frozen encoder (encoder_rate=0) tiles are rows of the feature cache and only the last layer is trained.
    """

    name = "topk-mil"
    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.IMAGE})
    card = MethodCard(
        title="Top-k multiple-instance learning on tiles",
        citation=(
            "Campanella, Hanna, Geneslaw, Miraflor, Werneck Krauss Silva, Busam et al.: Clinical-grade computational"
            " pathology using weakly supervised deep learning on whole slide images. Nature Medicine 2019"
        ),
        paper="https://doi.org/10.1038/s41591-019-0508-1",
        tables=("Table 2, image-level (of hybrid supervision)",),
        notes="The hybrid paper does not say whether its baseline has the recurrent stage; rnn=true adds it.",
    )
    Params = TopkParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": TOPK_QUICK, "smoke": TOPK_SMOKE}

    def __init__(self, params: TopkParams) -> None:
        super().__init__(params)
        self._side = 0
        self._tiles: Mapping[str, Any] | None = None
        self._rnn: Mapping[str, Any] | None = None
        self._models: tuple[TileModel, Rnn | None] | None = None
        self._encoder: FrozenEncoder | None = None

    def encoders(self) -> Sequence[str]:
        """The tile network."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        return [seen_by(params.encoder, pretrained=params.encoder_pretrained, weights=params.encoder_weights)]

    def fit(self, train: View, validation: View, context: Context) -> None:
        """The stage "tiles"; with rnn also "sequences" and "rnn". Raises `DataError` for units of one class only."""
        from benchmark.learning.mil.cohort import Cohort

        from .topk_tiles import train_tiles

        room = self.params.crop_cache * 2**30
        cohort = Cohort.of(train, self.params, context, room=room)
        cohort.require_both(self.name)
        self._side = cohort.side
        self._load_encoder(context)
        tiles = self._tiles_of(cohort, room, context)
        held_out = None
        if len(validation):
            units = Cohort.of(validation, self.params, context, room=room, side=cohort.side)
            held_out = self._tiles_of(units, tiles.room_left, context)
        self._tiles = context.stage(
            "tiles", lambda: train_tiles(tiles, held_out, self.params, context), uses=TILE_FIELDS
        )
        if self.params.rnn:
            self._rnn = self._recurrent(tiles, held_out, context)
        self._build(context)

    def _load_encoder(self, context: Context) -> None:
        from .topk_tiles import frozen_encoder

        params = self.params
        if params.encoder_rate == 0 and not params.encoder_pretrained and params.encoder_weights is None:
            context.reporter.say(f"encoder {params.encoder}: random weights, frozen")
        self._encoder = frozen_encoder(self.params, self._side, context.device)

    def _tiles_of(self, cohort: Cohort, room: float, context: Context) -> Tiles:
        """Features where the encoder is frozen, else pixels, of which `room` bytes are kept in memory."""
        from .tiles import FeatureTiles, Tiles

        if self._encoder is None:
            return Tiles(cohort, room)
        return FeatureTiles(cohort, self._encoder, self.params.score_batch, context)

    def _recurrent(self, tiles: Tiles, held_out: Tiles | None, context: Context) -> dict[str, Any]:
        """Embeddings of the top tiles of all units, then the network that reads them."""
        from .topk_epochs import labels_of
        from .topk_rnn import sequences_of, train_rnn
        from .topk_tiles import TileModel

        def embed() -> dict[str, list[Floats]]:
            model = TileModel.of(self._learnt()["net"], self.params, context.device)
            parts = {"train": tiles} if held_out is None else {"train": tiles, "validation": held_out}
            return {name: sequences_of(model, part, self.params, context) for name, part in parts.items()}

        made = context.stage("sequences", embed, uses=(*SCORE_FIELDS, "rnn_tiles"), after=("tiles",))
        known = labels_of(None if held_out is None else held_out.cohort)

        def train() -> dict[str, Any]:
            labels = labels_of(tiles.cohort)
            return train_rnn(made["train"], labels, made.get("validation", []), known, self.params, context)

        return context.stage("rnn", train, uses=RNN_FIELDS, after=("sequences",))

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """Every tissue tile with its probability; a unit has its highest one, or what the recurrent network says.

        A unit without any tissue tile scores 0, and the slide's note says so.
        """
        from benchmark.learning.mil.cohort import lattice_of

        assert self._models is not None, "fit comes before predict"
        lattice = lattice_of(slide, self.params, context, self._side)
        values = np.full(lattice.tissue.size, np.nan, np.float32)
        features = self._features(lattice, context)
        if features is not None:
            values[lattice.numbers] = self._models[0].probabilities(features)
        else:
            for numbers, pixels in lattice.stream(self.params.score_batch):
                values[numbers] = self._models[0].probabilities(pixels)
        units = np.zeros(lattice.units.shape, np.float32)
        empty = 0
        for row, col in np.ndindex(units.shape):
            members = lattice.members(row, col)
            empty += not members.size
            if members.size:
                units[row, col] = self._unit(lattice, members, values[members], features, context)
        notes = (f"no tissue patch in {empty} of {units.size} units: scored 0",) if empty else ()
        return Prediction(ScoreMap(lattice.grid, values.reshape(lattice.grid.shape)), units, notes=notes)

    def _features(self, lattice: Lattice, context: Context) -> Floats | None:
        """Of all tissue tiles, row by row, where the encoder is frozen."""
        from .tiles import features_of

        if self._encoder is None:
            return None
        return features_of(lattice, self._encoder, self.params.score_batch, context)

    def _unit(
        self,
        lattice: Lattice,
        members: NDArray[np.int64],
        values: Floats,
        features: Floats | None,
        context: Context,
    ) -> float:
        """The probability of one unit from its tiles and their probabilities; `features` are of the whole slide."""
        from benchmark.learning.mil.top import top_tiles

        from .topk_rnn import unit_probabilities

        assert self._models is not None, "fit comes before predict"
        model, rnn = self._models
        if rnn is None:
            return float(values.max())
        top = members[top_tiles(np.zeros(members.size, np.int64), values, self.params.rnn_tiles)[::-1]]
        if features is not None:
            tiles = features[np.searchsorted(lattice.numbers, top)]
        else:
            tiles = np.stack([lattice.read(number) for number in top.tolist()])
        sequence = model.embeddings(tiles, self.params.score_batch)
        return float(unit_probabilities(rnn, [sequence], context.device)[0])

    def _learnt(self) -> Mapping[str, Any]:
        assert self._tiles is not None, "fit comes first"
        return self._tiles

    def _build(self, context: Context) -> None:
        from .topk_rnn import restored
        from .topk_tiles import TileModel

        rnn = None if self._rnn is None else restored(self._rnn, self.params, context.device)
        self._models = (TileModel.of(self._learnt()["net"], self.params, context.device), rnn)

    def state(self) -> dict[str, Any]:
        """Both networks, each with the epoch that was kept."""
        return {
            "side": self._side,
            "tiles": dict(self._learnt()),
            "rnn": None if self._rnn is None else dict(self._rnn),
        }

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Build both networks around these weights."""
        self._side, self._tiles, self._rnn = int(state["side"]), state["tiles"], state["rnn"]
        self._load_encoder(context)
        self._build(context)
