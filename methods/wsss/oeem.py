"""OEEM and the methods it is compared with: two stages, patch labels → pseudo-masks → segmentation net."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.method import MethodCard
from benchmark.supervision import Supervision, View

from .classifier_params import CLASSIFIER_FIELDS, ClassifierParams
from .classifier_presets import CLASSIFIER_QUICK, CLASSIFIER_SMOKE
from .seg_params import OEEM_FIELDS, OHEM_FIELDS, CamSegParams, OeemParams, OhemParams, SegmentationParams
from .seg_presets import OHEM_QUICK, OHEM_SMOKE, SEG_QUICK, SEG_SMOKE
from .segmenter import Masks, Segmenter

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide

    from .weighting import Weighting

CITATION = (
    "Li, Yu, Zou, Xiang, Li: Online Easy Example Mining for Weakly-supervised Gland Segmentation from Histology Images."
    " MICCAI 2022"
)
PAPER = "https://arxiv.org/abs/2206.06665"


class CamSeg(Segmenter):
    """The weakly supervised pipeline without example mining: "ours w/o OEEM"."""

    name = "cam-seg"
    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.PATCH})
    card = MethodCard(
        title="CAM pseudo-masks + PSPNet (OEEM without example mining)",
        citation=CITATION,
        paper=PAPER,
        tables=("Table 1, ours w/o OEEM (weak)", "Table 2, ours w/o OEEM", "Table 3, baseline"),
    )
    Params = CamSegParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {**CLASSIFIER_QUICK, **SEG_QUICK},
        "smoke": {**CLASSIFIER_SMOKE, **SEG_SMOKE},
    }
    weighting_fields: ClassVar[tuple[str, ...]] = ()

    def refits(self) -> bool:
        """The paper trains on all of them; only `cls_select=best` selects by validation slides."""
        return bool(self.params.cls_select == "last")

    def fit(self, train: View, validation: View, context: Context) -> None:
        """Patch labels → classifier → activation maps, refined by the labels → masks → segmentation net."""
        from .classifier import train_classifier

        def classifier() -> dict[str, Any]:
            return dict(train_classifier(train, validation, self.params, context))

        weights = context.stage("classifier", classifier, uses=CLASSIFIER_FIELDS)
        if self.params.examine_cam:
            context.examine("cam", _each(train, self._masks("cam", weights, train, context, refine=False)))
        masks = self._masks("pseudo_masks", weights, train, context, refine=True)
        context.examine("pseudo_mask", _each(train, masks))
        self.learn(train, lambda: masks, context, uses=self.weighting_fields, after=("pseudo_masks",))

    def _masks(self, stage: str, weights: Mapping[str, Any], train: View, context: Context, *, refine: bool) -> Masks:
        from .cam import pseudo_masks
        from .classifier import create_classifier

        def masks() -> Masks:
            net = create_classifier(self.params, len(context.classes), initialise=False)
            net.load_state_dict(dict(weights))
            return pseudo_masks(net, train, self.params, context, refine=refine)

        return context.stage(stage, masks, uses=tuple(ClassifierParams.model_fields), after=("classifier",))

    def encoders(self) -> tuple[str, ...]:
        """The backbones of the classifier and of the segmentation net."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        classifier = seen_by(params.cls_backbone, pretrained=params.cls_pretrained, weights=params.cls_weights)
        return (classifier, *super().encoders())

    def weighting(self) -> Weighting:
        """All pixels alike."""
        from .weighting import Weighting

        return Weighting("none")


class Oeem(CamSeg):
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
    weighting_fields = OEEM_FIELDS

    def weighting(self) -> Weighting:
        """The map, scope and readings that the parameters name."""
        from .weighting import Weighting

        params = self.params
        return Weighting(params.weighting, params.scope, params.ignore_in_softmax, params.normalise_weights)


class Ohem(CamSeg):
    """Online hard example mining: the opposite idea, which trusts the pseudo-masks where the net does not."""

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
        "quick": {**CLASSIFIER_QUICK, **SEG_QUICK, **OHEM_QUICK},
        "smoke": {**CLASSIFIER_SMOKE, **SEG_SMOKE, **OHEM_SMOKE},
    }
    weighting_fields = OHEM_FIELDS

    def weighting(self) -> Weighting:
        """1 for hard pixels, 0 for the others."""
        from .weighting import Weighting

        return Weighting("ohem", ohem_threshold=self.params.ohem_threshold, ohem_kept=self.params.ohem_kept)


class Pspnet(Segmenter):
    """The same segmentation net on the experts' masks: the upper bound (D30)."""

    name = "pspnet"
    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.FULL})
    card = MethodCard(
        title="PSPNet, fully supervised",
        citation=CITATION,
        paper=PAPER,
        tables=("Table 1, ours w/o OEEM (full)",),
    )
    Params = SegmentationParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": SEG_QUICK, "smoke": SEG_SMOKE}

    def refits(self) -> bool:
        """Nothing is selected on validation slides."""
        return True

    def fit(self, train: View, validation: View, context: Context) -> None:
        """Train on the truth, every pixel alike."""
        from benchmark.slides import Grid

        def masks() -> Masks:
            return {slide.id: train.labels.full(slide).labels(Grid.pixels(slide.size)) for slide in train}

        self.learn(train, masks, context)

    def weighting(self) -> Weighting:
        """All pixels alike."""
        from .weighting import Weighting

        return Weighting("none")


def _each(view: View, masks: Masks) -> Iterator[tuple[Slide, NDArray[np.int8]]]:
    return ((slide, masks[slide.id]) for slide in view)
