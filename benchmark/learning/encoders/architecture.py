"""What timm states about an architecture: width, side and transform of its input."""

from __future__ import annotations

from typing import Any

from benchmark.errors import ConfigError
from benchmark.learning.encoders.encoder_names import timm_names
from benchmark.near_names import did_you_mean, near_names


def stated_by_timm(architecture: str) -> dict[str, object]:
    """`side`, `width`, `mean`, `std` and `interpolation` of one of timm's models; the network is built without memory.

    `any_side`: whether it is a transformer of one side that takes others where its positions are interpolated.

    Raises `ConfigError` for a name that timm does not know, and for a network whose input is no square of three
    channels.
    """
    if architecture not in timm_names():
        hint = did_you_mean(near_names(architecture, timm_names(), cutoff=0.6))
        raise ConfigError(
            f"--architecture {architecture}: timm has no such model", fix=hint or "--architecture resnet18"
        )
    import timm
    import torch

    with torch.device("meta"):
        network: Any = timm.create_model(architecture, num_classes=0).eval()
    stated = network.pretrained_cfg
    channels, height, width = stated["input_size"]
    if channels != 3 or height != width:
        what = f"--architecture {architecture}: its input is {channels} × {height} × {width}, expected 3 × N × N"
        raise ConfigError(what, fix="a class of your own: docs/encoders.md, Adding an encoder")
    with torch.device("meta"):
        features = network(torch.zeros(1, channels, height, width))  # `num_features` is not always what comes out
    interpolation = "bilinear" if stated["interpolation"] == "bilinear" else "bicubic"
    return {
        "any_side": _interpolates(architecture, height),
        "side": height,
        "width": int(features.shape[1]),
        "mean": tuple(stated["mean"]),
        "std": tuple(stated["std"]),
        "interpolation": interpolation,
    }


def _interpolates(architecture: str, side: int) -> bool:
    import timm
    import torch

    with torch.device("meta"):
        try:
            timm.create_model(architecture, num_classes=0, img_size=side, dynamic_img_size=True)
        except TypeError:
            return False
    return True
