"""PSPNet on experts' masks: the fully supervised row of OEEM's Table 1 (docs/methods/oeem.md, D30)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmark.learning.segmentation.segmentation_params import SEG_QUICK, SEG_SMOKE
from benchmark.method import MethodCard

from .supervised import Supervised, SupervisedParams


class Pspnet(Supervised):
    """PSPNet trained on experts' masks: the upper bound of the weakly supervised methods."""

    name = "pspnet"
    card = MethodCard(
        title="PSPNet, fully supervised",
        citation=(
            "Li, Yu, Zou, Xiang, Li: Online Easy Example Mining for Weakly-supervised Gland Segmentation from Histology"
            " Images. MICCAI 2022"
        ),
        paper="https://arxiv.org/abs/2206.06665",
        tables=("Table 1, ours w/o OEEM (full)",),
    )
    Params = SupervisedParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": SEG_QUICK, "smoke": SEG_SMOKE}
