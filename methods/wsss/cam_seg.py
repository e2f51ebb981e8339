"""CAM masks → segmentation net: the weakly supervised pipeline (OEEM, MICCAI 2022), and cam-seg, its plain form.

Patch labels → classifier → class activation maps, refined by the labels → masks of the training slides → segmentation
net. `cam-seg` minimises plain cross-entropy on the masks; `oeem` and `ohem` weigh its pixels.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.learning.segmentation.segmentation_params import SEG_QUICK, SEG_SMOKE, SegmentationParams
from benchmark.learning.segmentation.segmenter import Masks, MaskSource, Segmenter
from benchmark.method import MethodCard, param
from benchmark.supervision import Supervision, View

from .cam_source import CamSource
from .classifier_params import CLASSIFIER_QUICK, CLASSIFIER_SMOKE, ClassifierParams, PatchNetParams

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide

CITATION = (
    "Li, Yu, Zou, Xiang, Li: Online Easy Example Mining for Weakly-supervised Gland Segmentation from Histology Images."
    " MICCAI 2022"
)
PAPER = "https://arxiv.org/abs/2206.06665"


class PipelineParams(SegmentationParams, PatchNetParams):
    """The whole weakly supervised pipeline, whatever makes the masks."""

    examine_cam: bool = param(
        True,
        "also score the CAM without patch labels on the training slides (Table 2), at the cost of a pass over all"
        " patches",
    )


class CamSegParams(PipelineParams, ClassifierParams):
    """The pipeline with the CAM of a classifier, and plain cross-entropy."""


QUICK: Mapping[str, Any] = {**CLASSIFIER_QUICK, **SEG_QUICK}
SMOKE: Mapping[str, Any] = {**CLASSIFIER_SMOKE, **SEG_SMOKE}
P = TypeVar("P", bound=PipelineParams, covariant=True)
C = TypeVar("C", bound=CamSegParams, covariant=True)


class CamPipeline(Segmenter[P]):
    """What all methods of the family share: a mask source, which they name, and the segmentation stage behind it."""

    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.PATCH})

    @abstractmethod
    def cam_source(self) -> CamSource:
        """What turns patch labels into masks."""

    def refits(self) -> bool:
        """Nothing is selected by validation slides."""
        return True

    def encoders(self) -> tuple[str, ...]:
        """The backbones of the classifier and of the segmentation net."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        classifier = seen_by(params.cls_backbone, pretrained=params.cls_pretrained, weights=params.cls_weights)
        return (classifier, *super().encoders())

    def starts_from(self) -> Sequence[str] | None:
        """As the parameters say; only the classifier's where the segmentation net has no backbone."""
        params = self.params
        if super().starts_from() is None:
            return None
        return (params.cls_backbone,) if params.cls_pretrained and params.cls_weights is None else ()

    def mask_source(self, train: View, validation: View, context: Context) -> MaskSource:
        """The stages "round_0" … (of a source with rounds), "classifier", "cam" (if examined) and "pseudo_masks"."""
        source = self.cam_source()
        state: dict[str, Any] | None = None
        after: tuple[str, ...] = ()
        for number in reversed(range(source.rounds)):
            stage = f"round_{source.rounds - 1 - number}" if number else "classifier"
            learn = partial(source.learn, train, validation, context, state)
            state = context.stage(stage, learn, uses=source.learns_from, after=after, code=source.learner)
            after = (stage,)
        kept = state or {}

        def masks(stage: str, *, refine: bool) -> Masks:
            def made() -> Masks:
                return source.masks(kept, train, context, refine=refine)

            return context.stage(stage, made, uses=source.masks_from, after=("classifier",), code=type(source))

        if self.params.examine_cam:
            context.examine("cam", _each(train, masks("cam", refine=False)))
        pseudo = masks("pseudo_masks", refine=True)
        context.examine("pseudo_mask", _each(train, pseudo))
        return MaskSource(lambda: pseudo, after=("pseudo_masks",))


class ClassifierPipeline(CamPipeline[C]):
    """What `cam-seg`, `oeem` and `ohem` share: everything but the loss of the segmentation net."""

    def refits(self) -> bool:
        """The paper trains on all of them; only a classifier with `cls_select=best` selects by validation slides."""
        return self.params.cls_select == "last" or self.params.cam_from != "classifier"

    def cam_source(self) -> CamSource:
        """What turns patch labels into masks, as `cam_from` says."""
        if self.params.cam_from == "frozen-stages":
            from .frozen_stages import FrozenStages

            return FrozenStages(self.params)
        from .cam import ClassifierCam

        return ClassifierCam(self.params)


class CamSeg(ClassifierPipeline[CamSegParams]):
    """The weakly supervised pipeline without example mining: "ours w/o OEEM"."""

    name = "cam-seg"
    card = MethodCard(
        title="CAM pseudo-masks + PSPNet (OEEM without example mining)",
        citation=CITATION,
        paper=PAPER,
        tables=("Table 1, ours w/o OEEM (weak)", "Table 2, ours w/o OEEM", "Table 3, baseline"),
    )
    Params = CamSegParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": QUICK, "smoke": SMOKE}


def _each(view: View, masks: Masks) -> Iterator[tuple[Slide, NDArray[np.int8]]]:
    return ((slide, masks[slide.id]) for slide in view)
