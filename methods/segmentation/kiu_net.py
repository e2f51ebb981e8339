"""KiU-Net on experts' masks (Valanarasu et al., MICCAI 2020; docs/methods/segmentation.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from benchmark.method import MethodCard

from .medt import TRAINING
from .supervised import Supervised, with_defaults

CODE = "KiU-Net's released code"

KiuNetParams = with_defaults(
    "KiuNetParams",
    __name__,
    CODE,
    **{**TRAINING, "seg_net": "kiu-net", "seg_lr": 1e-4, "seg_min_lr": 1e-4, "seg_batch": 1, "seg_flip": 0.0},
)


class KiuNet(Supervised):
    """A U-Net beside its opposite, whose maps grow with depth."""

    name = "kiu-net"
    card = MethodCard(
        title="KiU-Net, fully supervised",
        citation=(
            "Valanarasu, Sindagi, Hacihaliloglu, Patel: KiU-Net: Overcomplete Convolutional Architectures for"
            " Biomedical Image and Volumetric Segmentation. IEEE TMI 2022"
        ),
        paper="https://arxiv.org/abs/2010.01663",
        tables=("OEEM, Table 1, KiU-Net (quoted there under another protocol)",),
        notes="Without the released ReLU behind the head (head_relu), which stops the gradients of negative logits.",
    )
    Params = KiuNetParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {
            "net_width": 4,
            "whole_side": 64,
            "seg_batch": 4,
            "max_epochs": 30.0,
            "seg_flip": 0.5,
            "seg_schedule": "one-cycle",
            "seg_lr": 5e-3,
            "seg_min_lr": 0.0,
        },
        "smoke": {"net_width": 2, "whole_side": 16, "max_epochs": None, "iterations": 2},
    }
