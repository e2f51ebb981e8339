"""Res-UNet on experts' masks: the U-Net with residual blocks, trained alike (docs/methods/segmentation.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmark.method import MethodCard

from .supervised import Supervised, with_defaults
from .unet import QUICK, SMOKE, TRAINING

ResUnetParams = with_defaults(
    "ResUnetParams", __name__, "as unet: the paper's own training is for vessels", seg_net="res-unet", **TRAINING
)


class ResUnet(Supervised):
    """Res-UNet (Xiao et al., ITME 2018)."""

    name = "res-unet"
    card = MethodCard(
        title="Res-UNet, fully supervised",
        citation="Xiao, Lian, Luo, Li: Weighted Res-UNet for High-quality Retina Vessel Segmentation. ITME 2018",
        paper="https://doi.org/10.1109/ITME.2018.00080",
        tables=("OEEM, Table 1, Res-UNet (quoted there under another protocol)",),
        notes="No code was released; net and training are our reading. Its weight map would be 1 everywhere.",
    )
    Params = ResUnetParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": QUICK, "smoke": SMOKE}
