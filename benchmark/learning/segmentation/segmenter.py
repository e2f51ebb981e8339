"""Methods that end in a segmentation net: mask source → net → score map.

A mask source turns training slides and their labels into one mask per training slide. What the labels were (experts'
masks, patch labels, a few fine masks) is the method's own business; the net, its training and its scoring are shared.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.dataset import Split
from benchmark.learning.segmentation.segmentation_params import (
    LARGEST,
    SEGMENTATION_FIELDS,
    WITH_BACKBONE,
    SegmentationParams,
)
from benchmark.method import Method, Prediction
from benchmark.supervision import Labels, View

if TYPE_CHECKING:
    from torch import nn

    from benchmark.context import Context
    from benchmark.dataset import Dataset
    from benchmark.learning.losses import PixelLoss
    from benchmark.learning.segmentation.mask_training import Selection
    from benchmark.slides import Slide

Masks = Mapping[str, NDArray[np.int8]]
"""Class of every level-0 pixel, H × W, by slide id; negative = ignored."""
S = TypeVar("S", bound=SegmentationParams, covariant=True)


@dataclass(frozen=True)
class MaskSource:
    """The masks that the net learns from.

    `masks` is called inside the stage "segmentation", hence not at all when that is reused. `after`: the stages whose
    results are in the masks; none where they are labels, which the data digest covers.
    """

    masks: Callable[[], Masks]
    after: tuple[str, ...] = ()


class Segmenter(Method[S]):
    """A segmentation net that learns from one mask per training slide and scores slides tile by tile."""

    loss_fields: ClassVar[tuple[str, ...]] = ()
    """Parameters that `loss` reads."""
    _net: nn.Module

    @classmethod
    def not_applicable(cls, dataset: Dataset) -> str | None:
        """Training slides are held in memory as pixels and masks, so they have to be small and drawn."""
        slides = dataset.slides(Split.TRAIN)
        undrawn = [slide.id for slide in slides if not dataset.annotated(slide)]
        if undrawn:
            kinds = ", ".join(sorted(cls.supervision))
            few = f"{len(undrawn)} of {len(slides)} have no outlines, the first is {undrawn[0]!r}"
            return f"it learns from {kinds} labels of every train slide, and {few}"
        for slide in dataset.slides(Split.TRAIN):
            width, height = slide.size
            if width * height > LARGEST:
                return (
                    f"holds training slides in memory as pixel maps, but {slide.id!r} has {width} × {height} px"
                    f" (limit {LARGEST // 1_000_000} Mpx)"
                )
        return None

    def encoders(self) -> tuple[str, ...]:
        """The backbone of the segmentation net; of a net without one, the weights that it starts from, if any."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        if params.seg_net not in WITH_BACKBONE:
            return () if params.seg_weights is None else (f"{params.seg_net}: {params.seg_weights.name}",)
        return (seen_by(params.seg_backbone, pretrained=params.seg_pretrained, weights=params.seg_weights),)

    def starts_from(self) -> Sequence[str] | None:
        """None, so that the parameters say it; nothing where the net has no backbone."""
        return None if self.params.seg_net in WITH_BACKBONE else ()

    @abstractmethod
    def mask_source(self, train: View, validation: View, context: Context) -> MaskSource:
        """Training slides and their labels → masks, in stages of the method's own."""

    def loss(self) -> PixelLoss:
        """What the net minimises on the masks: cross-entropy, every pixel alike."""
        from benchmark.learning.losses import mean_cross_entropy

        return partial(mean_cross_entropy, count_padding=self.params.count_padding)

    def selection(self, validation: View) -> Selection | None:
        """Images by which the best weights are chosen; None, the default: the last ones are kept."""
        return None

    def create(self, classes: int, *, initialise: bool) -> nn.Module:
        """The net, with initial weights as the parameters say, or at random when trained ones will be loaded.

        Images B × 3 × H × W → logits and those of an auxiliary head, or None; see `create_net`.
        """
        from benchmark.learning.segmentation.build_net import create_net

        return create_net(self.params, classes, initialise=initialise)

    def fit(self, train: View, validation: View, context: Context) -> None:
        """The stages of the mask source, then "segmentation"."""
        from benchmark.learning.segmentation.mask_training import read_images, train_segmentation

        source = self.mask_source(train, validation, context)

        def segmentation() -> dict[str, Any]:
            images = read_images(train.slides)
            selection = self.selection(validation)
            make = partial(self.create, len(context.classes), initialise=True)
            masks = source.masks()
            return dict(train_segmentation(images, masks, self.params, self.loss(), context, selection, make))

        uses = (*SEGMENTATION_FIELDS, *self.loss_fields)
        self.restore(context.stage("segmentation", segmentation, uses=uses, after=source.after), context)

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """Foreground probability over scales, flips and overlapping tiles."""
        from benchmark.learning.segmentation.sliding_window import score_slide

        return Prediction(score_slide(self._net, slide, self.params, context))

    def state(self) -> dict[str, Any]:
        """The weights of the segmentation net."""
        return {name: value.detach().cpu() for name, value in self._net.state_dict().items()}

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Build the net around these weights."""
        from benchmark.learning.encoders.weights import fit_state
        from benchmark.learning.training import place

        net = self.create(len(context.classes), initialise=False)
        fit_state(net, state, origin=f"the saved state of {self.name!r}")
        place(net, context.device)
        self._net = net.eval()
