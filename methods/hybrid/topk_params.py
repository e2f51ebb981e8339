"""Parameters of top-k multiple-instance learning. The defaults are those of the released code."""

from __future__ import annotations

from pydantic import FilePath

from benchmark.method import param

from .hybrid_params import CODE, PLACE_FIELDS, PlaceParams


class TopkParams(PlaceParams):
    """The tile stage, then the optional recurrent one."""

    patch: int = param(
        224, "side of a tile; smaller where units are smaller", unit="px", source=CODE, ge=32, multiple_of=32
    )
    overlap: int = param(0, "what neighbouring tiles have to do with each other", unit="px", source=CODE, ge=0)

    encoder: str = param("resnet34", "tile network: a timm model, given two outputs", source=CODE)
    encoder_pretrained: bool = param(True, "ImageNet weights; false starts at random", source=CODE, given=True)
    encoder_weights: FilePath | None = param(None, "local weight file of the encoder")

    top_tiles: int = param(
        1,
        "tiles of highest probability per unit that are learnt from, all where it has fewer",
        symbol="k",
        ge=1,
        source=CODE,
    )
    epochs: int = param(100, "epochs of the tile network", source=CODE, ge=1)
    batch: int = param(512, "tiles per step", source=CODE, ge=2)
    lr: float = param(1e-4, "learning rate of Adam, constant", source=CODE, gt=0.0)
    weight_decay: float = param(1e-4, "weight decay of both stages", source=CODE, ge=0.0)
    class_weight: float = param(
        0.5,
        "weight of the positive class in the cross-entropy of both stages, 1 − w that of the negative one",
        symbol="w",
        source=CODE,
        gt=0.0,
        lt=1.0,
    )
    test_every: int = param(
        10, "epochs between two looks at the validation units; the last epoch is always looked at", source=CODE, ge=1
    )

    rnn: bool = param(False, "a recurrent network over the top tiles decides on a unit, not its top tile", source=CODE)
    rnn_tiles: int = param(10, "tiles of a sequence, by descending probability", symbol="s", source=CODE, ge=1)
    rnn_state: int = param(128, "length of the recurrent state", source=CODE, ge=1)
    rnn_epochs: int = param(100, "epochs of the recurrent network", source=CODE, ge=1)
    rnn_batch: int = param(128, "sequences per step", source=CODE, ge=1)
    rnn_lr: float = param(0.1, "learning rate of SGD with Nesterov momentum, constant", source=CODE, gt=0.0)
    rnn_momentum: float = param(0.9, "Nesterov momentum", source=CODE, gt=0.0, lt=1.0)

    score_batch: int = param(128, "tiles per forward pass when scoring", ge=1)
    crop_cache: float = param(4.0, "decoded tiles held in memory at most while training", unit="GiB", ge=0.0)


NET_FIELDS = ("encoder", "encoder_pretrained", "encoder_weights")
SCORE_FIELDS = (*PLACE_FIELDS, *NET_FIELDS, "score_batch")
"""Parameters behind the probabilities of a given tile network."""
TILE_FIELDS = (*SCORE_FIELDS, "top_tiles", "epochs", "batch", "lr", "weight_decay", "class_weight", "test_every")
RNN_FIELDS = ("rnn_state", "rnn_epochs", "rnn_batch", "rnn_lr", "rnn_momentum", "weight_decay", "class_weight")
