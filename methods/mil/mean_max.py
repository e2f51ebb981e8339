"""The two simplest poolings over frozen features: the mean and the maximum of the instances' logits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from benchmark.method import MethodCard, param

from .bag_mil import BagMil
from .mil_params import MIL_QUICK, MIL_SMOKE, FineMilParams

if TYPE_CHECKING:
    from benchmark.learning.mil.pooling import Pooling

ILSE = "Ilse, Tomczak, Welling: Attention-based Deep Multiple Instance Learning. ICML 2018"


class MeanMaxParams(FineMilParams):
    """Mean and maximum pooling. Neither has attention: the score map is the instances' own probabilities."""

    score_map: Literal["instance"] = param("instance", "the cells of the score map: each instance's own probability")


class MeanMil(BagMil[MeanMaxParams]):
    """A unit is as positive as its instances are on average."""

    name = "mean-mil"
    card = MethodCard(
        title="Mean pooling over frozen features",
        citation=ILSE,
        paper="https://arxiv.org/abs/1802.04712",
        notes="A reference; trained as CLAM's code trains its baseline.",
    )
    Params = MeanMaxParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": MIL_QUICK, "smoke": MIL_SMOKE}

    def pooling(self, dim: int) -> Pooling:
        """One layer, classifier, mean."""
        from benchmark.learning.mil.pooling import MeanPooling

        return MeanPooling(dim, self.params.width, self.params.dropout)


class MaxMil(BagMil[MeanMaxParams]):
    """A unit is as positive as its most positive instance."""

    name = "max-mil"
    card = MethodCard(
        title="Maximum pooling over frozen features",
        citation=ILSE,
        paper="https://arxiv.org/abs/1802.04712",
        notes="A reference; trained as CLAM's code trains its baseline.",
    )
    Params = MeanMaxParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": MIL_QUICK, "smoke": MIL_SMOKE}

    def pooling(self, dim: int) -> Pooling:
        """One layer, classifier, maximum."""
        from benchmark.learning.mil.pooling import MaxPooling

        return MaxPooling(dim, self.params.width, self.params.dropout)
