"""ABMIL (Ilse, Tomczak, Welling, ICML 2018): attention decides how much an instance counts, gated or plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.method import MethodCard, param

from .bag_mil import BagMil
from .mil_params import MIL_QUICK, MIL_SMOKE, FineMilParams

if TYPE_CHECKING:
    from benchmark.learning.mil.pooling import Pooling

PAPER = "paper, histopathology"


class AbmilParams(FineMilParams):
    """ABMIL."""

    gated: bool = param(True, "gate the attention (Eq. 9); false: plain (Eq. 8)", source="paper")
    attention: int = param(128, "units of the attention", symbol="L", source="paper", ge=1)
    dropout: float = param(0.0, "dropout in the layer before the attention", source="paper", ge=0.0, lt=1.0)
    epochs: int = param(100, "passes over the training bags", source=PAPER, ge=1)
    lr: float = param(1e-4, "learning rate of Adam", source=PAPER, gt=0.0)
    weight_decay: float = param(5e-4, "L2 penalty, added to Adam's gradient", source=PAPER, ge=0.0)
    patience: int | None = param(
        None, "epochs without a better one after which training ends; none: never", source="paper", ge=1
    )


class Abmil(BagMil[AbmilParams]):
    """Attention-based multiple-instance learning over frozen features."""

    name = "abmil"
    card = MethodCard(
        title="Attention-based deep multiple-instance learning",
        citation="Ilse, Tomczak, Welling: Attention-based Deep Multiple Instance Learning. ICML 2018",
        paper="https://arxiv.org/abs/1802.04712",
        tables=("Tables 2 and 3",),
        notes="The paper trains its encoder on small patches; on frozen features, as here, later papers use it.",
    )
    Params = AbmilParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "plain": {"gated": False},
        "quick": MIL_QUICK,
        "smoke": {**MIL_SMOKE, "attention": 8},
    }

    def pooling(self, dim: int) -> Pooling:
        """One layer, attention, classifier."""
        from benchmark.learning.mil.pooling import AttentionPooling

        params = self.params
        return AttentionPooling(dim, params.width, params.attention, gated=params.gated, dropout=params.dropout)
