"""Online easy example mining (Li et al., MICCAI 2022, §2.3): `cam-seg` with a loss that trusts easy pixels more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from benchmark.method import MethodCard, param

from .cam_seg import CITATION, PAPER, QUICK, SMOKE, CamSegParams, ClassifierPipeline

if TYPE_CHECKING:
    from benchmark.learning.losses import PixelLoss


class OeemParams(CamSegParams):
    """The pipeline with online easy example mining."""

    weighting: Literal["none", "c_max", "c_diff", "l_norm", "lc_mix"] = param(
        "l_norm", "weight of each pixel's loss", symbol="W", source="paper Eq. 4-7, Table 3"
    )
    scope: Literal["image", "batch"] = param(
        "image",
        "domain over which l_norm is normalised: one image (Eq. 6, code) or the mini-batch (introduction)",
        source="D4",
    )
    normalise_weights: bool = param(False, "divide c_max, c_diff and lc_mix by their mean", source="D18")


class Oeem(ClassifierPipeline[OeemParams]):
    """Online easy example mining: pixels on which net and pseudo-mask agree weigh more."""

    name = "oeem"
    card = MethodCard(
        title="Online Easy Example Mining",
        citation=CITATION,
        paper=PAPER,
        tables=("Table 1, OEEM", "Table 2, OEEM", "Table 3, c_max, c_diff, l_norm, lc_mix"),
        notes="The F1 column of Table 1 contradicts its mIoU and is no target.",
    )
    Params = OeemParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": QUICK, "smoke": SMOKE}
    loss_fields = ("weighting", "scope", "normalise_weights")

    def loss(self) -> PixelLoss:
        """Cross-entropy with the weight map, scope and readings that the parameters name."""
        from .example_mining import Weighting, weighted_loss

        params = self.params
        how = Weighting(params.weighting, params.scope, params.count_padding, params.normalise_weights)
        return lambda logits, labels: weighted_loss(logits, labels, how)
