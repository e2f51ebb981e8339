"""CLAM, single branch (Lu et al., Nature Biomedical Engineering 2021): attention with clustering of instances."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from benchmark.method import MethodCard, param

from .bag_mil import BagMil
from .mil_params import CODE, MIL_QUICK, MIL_SMOKE, FineMilParams

if TYPE_CHECKING:
    from benchmark.learning.mil.mil_training import MilSettings
    from benchmark.learning.mil.pooling import Pooling


class ClamParams(FineMilParams):
    """CLAM."""

    attention: int = param(256, "units of the gated attention", source=CODE, ge=1)
    cluster: int = param(
        8,
        "instances of highest and of lowest attention that the clustering loss pulls apart, at most half a bag each",
        symbol="B",
        source="paper",
        ge=1,
    )
    bag_weight: float = param(
        0.7, "share of the bag's loss; the clustering loss has the rest", symbol="c₁", source="paper", gt=0.0, le=1.0
    )
    instance_loss: Literal["svm", "ce"] = param(
        "svm", "clustering loss: smooth top-1 SVM, or cross-entropy", source="paper"
    )


class Clam(BagMil[ClamParams]):
    """Clustering-constrained attention over frozen features, one attention branch."""

    name = "clam"
    card = MethodCard(
        title="Clustering-constrained-attention multiple-instance learning (single branch)",
        citation=(
            "Lu, Williamson, Chen, Chen, Barbieri, Mahmood: Data-efficient and weakly supervised computational"
            " pathology on whole-slide images. Nature Biomedical Engineering 2021"
        ),
        paper="https://doi.org/10.1038/s41551-020-00682-w",
        tables=("Figure 2",),
    )
    Params = ClamParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {**MIL_QUICK, "attention": 64},
        "smoke": {**MIL_SMOKE, "attention": 8, "cluster": 2},
    }

    def pooling(self, dim: int) -> Pooling:
        """One layer, gated attention, one classifier per class for the clustering."""
        from benchmark.learning.mil.clam_pooling import ClamPooling

        params = self.params
        return ClamPooling(
            dim,
            params.width,
            params.attention,
            dropout=params.dropout,
            cluster=params.cluster,
            instance_loss=params.instance_loss,
        )

    def settings(self) -> MilSettings:
        """The bag's loss and the clustering loss of its own class."""
        weight = self.params.bag_weight
        return replace(super().settings(), bag_weight=weight, own_weight=1 - weight)
