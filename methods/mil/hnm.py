"""HNM (Huang et al., MICCAI 2024): ItS2CLR with hard negatives, and a network that ranks pairs of bags."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.method import MethodCard

from .finetuning_params import FINETUNING_QUICK, FINETUNING_SMOKE, MIL_FIELDS, RANK_FIELDS, HnmParams
from .iterative import IterativeMil

if TYPE_CHECKING:
    from benchmark.learning.mil.mil_training import MilSettings


class Hnm(IterativeMil[HnmParams]):
    """Hard negative sample mining: of negative slides only the instances that look most positive are contrasted."""

    name = "hnm"
    card = MethodCard(
        title="HNM (hard negative sample mining)",
        citation=(
            "Huang, Hu, Abousamra, Prasanna, Chen: Hard Negative Sample Mining for Whole Slide Image Classification."
            " MICCAI 2024"
        ),
        paper="https://arxiv.org/abs/2410.02212",
        notes="Where paper, released code and good practice disagree, docs/methods/hnm.md says what is followed.",
    )
    Params = HnmParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": FINETUNING_QUICK,
        "smoke": {**FINETUNING_SMOKE, "batch": 4},
    }
    mil_fields = (*MIL_FIELDS, *RANK_FIELDS)
    pool_fields = ("neg_ratio",)

    def negative_share(self) -> float:
        """ρ: a hard negative scores high on a slide known to be negative, and says most about where the net errs."""
        return self.params.neg_ratio

    def mil_settings(self, number: int) -> MilSettings:
        """DSMIL on pairs of a positive and a negative bag, whose top K instances are ranked apart."""
        params = self.params
        return replace(
            self.network_settings(number),
            paired=params.rank_weight > 0,
            rank_weight=params.rank_weight,
            rank_k=params.rank_k,
            margin=params.rank_margin,
            rank_score=params.rank_on,
        )
