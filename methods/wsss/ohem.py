"""Online hard example mining, the rival of OEEM in its Table 3: `cam-seg` with a loss on the hard pixels alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.method import MethodCard, param

from .cam_seg import CITATION, PAPER, QUICK, SMOKE, CamSegParams, ClassifierPipeline

if TYPE_CHECKING:
    from benchmark.learning.losses import PixelLoss


class OhemParams(CamSegParams):
    """The pipeline with online hard example mining."""

    ohem_threshold: float | None = param(
        0.7,
        "pixels whose label has a lower probability are kept; none: only ohem_kept counts",
        source="mmsegmentation",
        gt=0.0,
        le=1.0,
    )
    ohem_kept: int = param(
        16_384,
        "at least this many pixels per image are kept (a quarter of a 256-px crop)",
        source="own choice, docs/methods/oeem.md",
        ge=1,
    )


class Ohem(ClassifierPipeline[OhemParams]):
    """Online hard example mining, the opposite: it trusts the pseudo-masks where the net does not."""

    name = "ohem"
    card = MethodCard(
        title="CAM pseudo-masks + PSPNet with online hard example mining",
        citation=CITATION,
        paper=PAPER,
        tables=("Table 3, OHEM",),
        notes="The paper names no settings; the usual ones keep nearly every pixel, so the default keeps fewer.",
    )
    Params = OhemParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {**QUICK, "ohem_kept": 4096},  # a sixth of its 160-px crop
        "smoke": {**SMOKE, "ohem_kept": 576},  # a quarter of its 48-px crop
    }
    loss_fields = ("ohem_threshold", "ohem_kept")

    def loss(self) -> PixelLoss:
        """Cross-entropy of the hard pixels; the others count as 0 in the mean."""
        from .example_mining import hard_pixel_loss

        threshold, kept, padding = self.params.ohem_threshold, self.params.ohem_kept, self.params.count_padding
        return lambda logits, labels: hard_pixel_loss(logits, labels, threshold, kept, count_padding=padding)
