"""What all methods of the family end in: a segmentation net trained on one mask per training slide."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from benchmark.dataset import Split
from benchmark.method import Method, Prediction
from benchmark.supervision import Labels, View

from .seg_params import SEGMENTATION_FIELDS

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.dataset import Dataset
    from benchmark.slides import Slide

    from .segmentation import SegNet
    from .weighting import Weighting

Masks = Mapping[str, NDArray[np.int8]]
"""Class of every level-0 pixel, H × W, by slide id; negative = ignored."""
LARGEST = 100_000_000
"""Pixels of a training slide that is held in memory as a whole, image and mask."""


class Segmenter(Method):
    """A PSPNet that learns from one mask per training slide and scores slides tile by tile."""

    _net: SegNet

    @classmethod
    def not_applicable(cls, dataset: Dataset) -> str | None:
        """Training slides are held in memory as pixels and masks, so they have to be small."""
        for slide in dataset.slides(Split.TRAIN):
            width, height = slide.size
            if width * height > LARGEST:
                return (
                    f"holds training slides in memory as pixel maps, but {slide.id!r} has {width} × {height} px"
                    f" (limit {LARGEST // 1_000_000} Mpx)"
                )
        return None

    def encoders(self) -> tuple[str, ...]:
        """The backbone of the segmentation net."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        return (seen_by(params.seg_backbone, pretrained=params.seg_pretrained, weights=params.seg_weights),)

    @abstractmethod
    def weighting(self) -> Weighting:
        """How the losses of the pixels are weighted."""

    def learn(
        self,
        train: View,
        masks: Callable[[], Masks],
        context: Context,
        *,
        uses: tuple[str, ...] = (),
        after: tuple[str, ...] = (),
    ) -> None:
        """The stage "segmentation": train the net on these masks. `uses`: parameters of the weighting."""
        from .segmentation import read_images, train_segmentation

        def segmentation() -> dict[str, Any]:
            images = read_images(train.slides)
            return dict(train_segmentation(images, masks(), self.params, self.weighting(), context))

        self.restore(
            context.stage("segmentation", segmentation, uses=(*SEGMENTATION_FIELDS, *uses), after=after), context
        )

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """Foreground probability over scales, flips and overlapping tiles."""
        from .scoring import score_slide

        return Prediction(score_slide(self._net, slide, self.params, context))

    def state(self) -> dict[str, Any]:
        """The weights of the segmentation net."""
        return {name: value.detach().cpu() for name, value in self._net.state_dict().items()}

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Build the net around these weights."""
        from benchmark.learning.training import place

        from .segmentation import create_net

        net = create_net(self.params, len(context.classes), initialise=False)
        net.load_state_dict(dict(state))
        place(net, context.device)
        self._net = net.eval()
