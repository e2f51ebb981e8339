"""ItS2CLR (Liu et al., CVPR 2023): an encoder fine-tuned by its own instance pseudo labels, from slide labels alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.method import MethodCard

from .finetuning_params import FINETUNING_QUICK, FINETUNING_SMOKE, Its2clrParams
from .iterative import IterativeMil

if TYPE_CHECKING:
    from benchmark.learning.mil.mil_training import MilSettings


class Its2clr(IterativeMil[Its2clrParams]):
    """Iterative self-paced supervised contrastive learning: all negatives, single bags."""

    name = "its2clr"
    card = MethodCard(
        title="ItS2CLR (iterative self-paced supervised contrastive learning)",
        citation=(
            "Liu, Zhu, Shen, Liu, Razavian, Geras, Fernandez-Granda: Multiple Instance Learning via Iterative"
            " Self-Paced Supervised Contrastive Learning. CVPR 2023"
        ),
        paper="https://arxiv.org/abs/2210.09452",
        notes="Where paper, released code and good practice disagree, docs/methods/hnm.md says what is followed.",
    )
    Params = Its2clrParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {**FINETUNING_QUICK, "epochs": 2, "retrain_every": 1},  # an epoch passes over every negative
        "smoke": FINETUNING_SMOKE,
    }

    def negative_share(self) -> float:
        """All instances of negative slides."""
        return 1.0

    def mil_settings(self, number: int) -> MilSettings:
        """DSMIL, one bag per step: half the bag's loss and half that of its highest instance."""
        return self.network_settings(number)
