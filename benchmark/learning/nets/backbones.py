"""Encoders by name, all giving the same thing: three feature maps on one grid of stride 8."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import ConfigError, WeightsError
from benchmark.learning.encoders.timm_nets import create_net, strides_of
from benchmark.learning.encoders.weights import fit_state, load_state
from benchmark.learning.nets.resnet38 import CHANNELS, RESNET38, ResNet38

STRIDE = 8
B7_DILATION = {"cam": 2, "segmentation": 4}
"""Dilation of the last block of ResNet-38, per purpose (OEEM released code, D15)."""
OUT = (-3, -2, -1)


class Backbone(nn.Module):
    """An encoder: images B × 3 × H × W → its last three stage maps, shallow to deep, each B × C × ⌈H/8⌉ × ⌈W/8⌉.

    `channels`: C of each. A map that comes out at another stride is brought to that grid bilinearly.
    """

    def __init__(self, body: nn.Module, channels: tuple[int, int, int]) -> None:
        super().__init__()
        self.body = body
        self.channels = channels

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The three maps."""
        size = [-(-side // STRIDE) for side in images.shape[-2:]]
        first, second, third = (_on_grid(stage, size) for stage in self.body(images))
        return first, second, third

    @property
    def stem(self) -> nn.Conv2d:
        """The convolution that sees the image."""
        return next(part for part in self.modules() if isinstance(part, nn.Conv2d))


def create_backbone(
    name: str,
    *,
    pretrained: bool,
    weights: Path | None,
    purpose: Literal["cam", "segmentation"],
    b7_dilation: int | None = None,
    dilated: bool = True,
) -> Backbone:
    """The encoder `name`: "resnet38" (the wide ResNet-38), a convolutional encoder of the catalogue or of timm.

    They are dilated to output stride 8 where they can be, unless `dilated` is false. `weights`, a local file, wins over
    `pretrained`, which downloads timm's own weights; with neither, weights are random. `purpose` sets the
    dilation of ResNet-38's last block, `b7_dilation` overrules it.

    Raises `ConfigError` for a name that timm does not have or that gives no stages, `WeightsError` when weights
    cannot be loaded or do not fit.
    """
    if name == RESNET38:
        dilation = B7_DILATION[purpose] if b7_dilation is None else b7_dilation
        return Backbone(_resnet38(dilation, pretrained=pretrained, weights=weights, purpose=purpose), CHANNELS)
    fix = weights_fix(purpose, f"{name}.safetensors")
    body = create_net(name, pretrained=pretrained, weights=weights, fix=fix, **_stages(name, dilated=dilated))
    first, second, third = body.feature_info.channels()  # type: ignore[union-attr, operator]
    return Backbone(body, (first, second, third))


def _resnet38(dilation: int, *, pretrained: bool, weights: Path | None, purpose: str) -> ResNet38:
    if weights is None and pretrained:
        problem = "'resnet38' has no weights to download; pretrained needs the file res38d.pth"
        raise WeightsError(problem, fix=weights_fix(purpose, "res38d.pth"))
    state = None if weights is None else load_state(weights)
    body = ResNet38(dilation)
    if state is not None:
        fit_state(body, state, origin=str(weights))
    return body


def _on_grid(stage: Tensor, size: list[int]) -> Tensor:
    if list(stage.shape[-2:]) == size:
        return stage
    return functional.interpolate(stage, size=size, mode="bilinear", align_corners=False)


def _stages(name: str, *, dilated: bool) -> dict[str, Any]:
    """What timm is asked for, to get the model's last three stages: at output stride 8 where it can be dilated."""
    options: dict[str, Any] = {"out_indices": OUT}
    if not dilated:
        strides_of(name, **options)
        return {"features_only": True, **options}
    try:
        strides_of(name, output_stride=STRIDE, **options)
        options["output_stride"] = STRIDE
    except ConfigError:
        strides_of(name, **options)
    return {"features_only": True, **options}


def weights_fix(purpose: str, file: str) -> str:
    """What to type where weights of a backbone cannot be loaded."""
    prefix = "cls" if purpose == "cam" else "seg"
    local, random = f"--set {prefix}_weights={file}", f"--set {prefix}_pretrained=false"
    return f"give a local file with {local}, or start at random with {random}"
