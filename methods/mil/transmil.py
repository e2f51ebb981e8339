"""TransMIL (Shao et al., NeurIPS 2021): a transformer over all instances of a bag."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import model_validator

from benchmark.method import MethodCard, param

from .bag_mil import BagMil
from .mil_params import MIL_QUICK, MIL_SMOKE, FineMilParams

if TYPE_CHECKING:
    from benchmark.learning.mil.mil_training import MilSettings
    from benchmark.learning.mil.pooling import Pooling


class TransmilParams(FineMilParams):
    """TransMIL."""

    heads: int = param(8, "heads of the attention", source="released code", ge=1)
    landmarks: int = param(256, "landmarks of the Nyström attention", symbol="m", source="released code", ge=1)
    dropout: float = param(0.1, "dropout behind the attention", source="released code", ge=0.0, lt=1.0)
    lr: float = param(2e-4, "learning rate of RAdam with lookahead", source="paper", gt=0.0)
    class_weight: Literal["none", "balanced"] = param(
        "none", "'balanced': the loss of positive bags weighs negatives/positives", source="paper"
    )
    patience: int | None = param(
        10, "epochs without a better one after which training ends; none: never", source="released code", ge=1
    )
    least_epochs: int = param(1, "epochs before which training never ends", source="released code", ge=1)

    @model_validator(mode="after")
    def _heads_divide_the_width(self) -> Self:
        if self.width % self.heads:
            raise ValueError(f"width = {self.width} is not a multiple of heads = {self.heads}")
        return self


class Transmil(BagMil[TransmilParams]):
    """Correlated multiple-instance learning: self-attention between instances, position by convolution."""

    name = "transmil"
    card = MethodCard(
        title="Transformer-based correlated multiple-instance learning",
        citation=(
            "Shao, Bian, Chen, Wang, Zhang, Ji, Zhang: TransMIL: Transformer based Correlated Multiple Instance"
            " Learning for Whole Slide Image Classification. NeurIPS 2021"
        ),
        paper="https://arxiv.org/abs/2106.00908",
        tables=("Table 1",),
    )
    Params = TransmilParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {**MIL_QUICK, "heads": 4, "landmarks": 64, "lr": 2e-4},
        "smoke": {**MIL_SMOKE, "heads": 2, "landmarks": 4},
    }

    def pooling(self, dim: int) -> Pooling:
        """Two layers with a convolution between them."""
        from benchmark.learning.mil.transmil_pooling import TransmilPooling

        params = self.params
        return TransmilPooling(dim, params.width, params.heads, params.landmarks, params.dropout)

    def settings(self) -> MilSettings:
        """RAdam with lookahead."""
        return replace(super().settings(), optimiser="lookahead-radam")
