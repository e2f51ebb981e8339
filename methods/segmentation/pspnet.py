"""PSPNet on experts' masks: the fully supervised row of OEEM's Table 1 (docs/methods/oeem.md, D30)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.learning.segmentation.segmentation_params import SEG_QUICK, SEG_SMOKE, SegmentationParams
from benchmark.learning.segmentation.segmenter import Masks, MaskSource, Segmenter
from benchmark.method import MethodCard
from benchmark.slides import Grid
from benchmark.supervision import Supervision, View

if TYPE_CHECKING:
    from benchmark.context import Context


class Pspnet(Segmenter[SegmentationParams]):
    """PSPNet trained on experts' masks: the upper bound of the weakly supervised methods."""

    name = "pspnet"
    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.FULL})
    card = MethodCard(
        title="PSPNet, fully supervised",
        citation=(
            "Li, Yu, Zou, Xiang, Li: Online Easy Example Mining for Weakly-supervised Gland Segmentation from Histology"
            " Images. MICCAI 2022"
        ),
        paper="https://arxiv.org/abs/2206.06665",
        tables=("Table 1, ours w/o OEEM (full)",),
    )
    Params = SegmentationParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": SEG_QUICK, "smoke": SEG_SMOKE}

    def refits(self) -> bool:
        """Nothing is selected on validation slides."""
        return True

    def mask_source(self, train: View, validation: View, context: Context) -> MaskSource:
        """The experts' masks."""

        def masks() -> Masks:
            return {slide.id: train.labels.full(slide).labels(Grid.pixels(slide.size)) for slide in train}

        return MaskSource(masks)
