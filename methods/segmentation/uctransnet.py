"""UCTransNet on experts' masks (Wang et al., AAAI 2022; docs/methods/segmentation.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmark.learning.segmentation.segmentation_params import UCTRANSNET
from benchmark.method import MethodCard

from .supervised import Supervised, with_defaults
from .unet import QUICK, SMOKE, TRAINING

UctransnetParams = with_defaults("UctransnetParams", __name__, UCTRANSNET, seg_net="uctransnet", **TRAINING)


class Uctransnet(Supervised):
    """A U-Net whose skips go through a transformer over the channels of all levels."""

    name = "uctransnet"
    card = MethodCard(
        title="UCTransNet, fully supervised",
        citation=(
            "Wang, Cao, Wang, Zaiane: UCTransNet: Rethinking the Skip Connections in U-Net from a Channel-wise"
            " Perspective with Transformer. AAAI 2022"
        ),
        paper="https://arxiv.org/abs/2109.04335",
        tables=("OEEM, Table 1, UCTransNet (quoted there under another protocol)",),
        notes="The jointly trained variant; the one whose U-Net is trained first is not built.",
    )
    Params = UctransnetParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": QUICK, "smoke": SMOKE}
