"""DSMIL (Li, Li, Eliceiri, CVPR 2021): the copy that ItS2CLR and HNM use, and today's repository by option."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from benchmark.learning.mil.mil_training import Schedule, Selection
from benchmark.method import MethodCard, param

from .bag_mil import BagMil
from .mil_params import MIL_QUICK, MIL_SMOKE, MilParams

if TYPE_CHECKING:
    from benchmark.learning.mil.mil_training import MilSettings
    from benchmark.learning.mil.pooling import Pooling

CODE = "code of HNM"


class DsmilParams(MilParams):
    """DSMIL. The defaults are those of the copy; instances are those of its paper at 5×."""

    variant: Literal["copy", "repository"] = param(
        "copy",
        "'copy': as ItS2CLR and HNM have it; 'repository': as its authors' repository has it today",
        source=CODE,
    )
    attention: int = param(128, "length of a query", source=CODE, ge=1)
    dropout: float = param(0.0, "dropout in front of the values (of the copy)", source=CODE, ge=0.0, lt=1.0)
    epochs: int = param(350, "most passes over the training bags", source=CODE, ge=1)
    weight_decay: float = param(1e-4, "L2 penalty, added to Adam's gradient", source=CODE, ge=0.0)
    beta1: float = param(0.9, "Adam's β₁", source=CODE, ge=0.0, lt=1.0)
    beta2: float = param(0.999, "Adam's β₂", source=CODE, ge=0.0, lt=1.0)
    schedule: Schedule = param(
        "halving", "learning rate: halved with a period, falling as a cosine to 0, or constant", source=CODE
    )
    period: int = param(
        75, "period of the halving, stepped twice per epoch as released: halved every 37.5 epochs", source=CODE, ge=1
    )
    bag_weight: float = param(0.5, "weight of the bag stream's loss", source=CODE, ge=0.0)
    max_weight: float = param(0.5, "weight of the loss of the critical instance", source=CODE, ge=0.0)
    select: Selection = param(
        "auc",
        "which epoch is kept: that of the highest validation AUC or F1, lowest validation loss, or the last",
        source="docs/methods/mil.md",
    )
    patience: int | None = param(
        None, "epochs without a better one after which training ends; none: never", source=CODE, ge=1
    )


class Dsmil(BagMil[DsmilParams]):
    """Dual-stream multiple-instance learning over frozen features."""

    name = "dsmil"
    card = MethodCard(
        title="Dual-stream multiple-instance learning",
        citation=(
            "Li, Li, Eliceiri: Dual-stream Multiple Instance Learning Network for Whole Slide Image Classification with"
            " Self-supervised Contrastive Learning. CVPR 2021"
        ),
        paper="https://arxiv.org/abs/2011.08939",
        tables=("Table 1",),
        notes="One scale. Its slide score is the bag stream's alone, as in the code.",
    )
    Params = DsmilParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "repository": {
            "variant": "repository",
            "epochs": 50,
            "lr": 1e-4,
            "weight_decay": 1e-3,
            "beta1": 0.5,
            "beta2": 0.9,
            "schedule": "cosine",
            "patience": 10,
            "least_epochs": 1,
        },
        "quick": {**MIL_QUICK, "epochs": 40, "period": 20},
        "smoke": {**MIL_SMOKE, "attention": 8},
    }

    def pooling(self, dim: int) -> Pooling:
        """Instance stream and bag stream."""
        from benchmark.learning.mil.dsmil_pooling import DsmilPooling, RepositoryDsmilPooling

        params = self.params
        if params.variant == "repository":
            return RepositoryDsmilPooling(dim, params.attention)
        return DsmilPooling(dim, params.attention, params.dropout)

    def settings(self) -> MilSettings:
        """Both streams' losses and the released schedule."""
        params = self.params
        return replace(
            super().settings(),
            betas=(params.beta1, params.beta2),
            schedule=params.schedule,
            period=params.period,
            bag_weight=params.bag_weight,
            max_weight=params.max_weight,
        )
