"""What the fully supervised methods share: experts' masks, a choice of loss, and of the epoch that is kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import create_model, model_validator

from benchmark.errors import ConfigError
from benchmark.learning.segmentation.segmentation_params import UCTRANSNET, SegmentationParams
from benchmark.learning.segmentation.segmenter import Masks, MaskSource, Segmenter
from benchmark.method import param, with_default
from benchmark.slides import Grid
from benchmark.supervision import Supervision, View

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.context import Context
    from benchmark.learning.losses import PixelLoss
    from benchmark.learning.segmentation.mask_training import Selection


class SupervisedParams(SegmentationParams):
    """Training on experts' masks."""

    seg_loss: Literal["ce", "dice", "ce+dice"] = param(
        "ce", "cross-entropy, Dice, or half of each", source=f"'ce+dice' is {UCTRANSNET}"
    )
    class_weights: Literal["equal", "balanced"] = param(
        "equal",
        "'equal': every pixel counts alike in the cross-entropy; 'balanced': every class does",
        source=f"'balanced' is {UCTRANSNET}",
    )
    seg_select: Literal["last", "best"] = param(
        "last",
        "keep the last weights, or those with the best Dice on validation slides, tried every epoch (needs whole_side)",
        source=f"'best' is {UCTRANSNET}",
    )
    seg_patience: int | None = param(
        None, "with 'best', epochs without a better one after which training ends; none: never", ge=1
    )

    @model_validator(mode="after")
    def _selection_and_loss_agree(self) -> Self:
        if self.seg_select == "best" and self.whole_side is None:
            raise ValueError("seg_select 'best' scores whole images: give whole_side")
        if self.count_padding and (self.seg_loss != "ce" or self.class_weights != "equal"):
            raise ValueError(
                "count_padding is the mean of plain cross-entropy: it needs seg_loss ce, class_weights equal"
            )
        return self


def with_defaults(name: str, module: str, source: str, **defaults: Any) -> type[SupervisedParams]:
    """`SupervisedParams` with the defaults of another paper, and where these stand.

    Runs are started in processes of their own, so `module` has to hold the class under this `name`.
    """
    fields: dict[str, Any] = {
        field: (SupervisedParams.model_fields[field].annotation, with_default(SupervisedParams, field, default, source))
        for field, default in defaults.items()
    }
    made: type[SupervisedParams] = create_model(name, __base__=SupervisedParams, __module__=module, **fields)
    return made


class Supervised(Segmenter[SupervisedParams]):
    """A net that learns from experts' masks. A method names the net and its paper's settings; nothing else differs."""

    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.FULL})
    loss_fields = ("seg_loss", "class_weights", "seg_select", "seg_patience")

    def refits(self) -> bool:
        """Unless the epoch is chosen by validation slides."""
        return self.params.seg_select == "last"

    def mask_source(self, train: View, validation: View, context: Context) -> MaskSource:
        """The experts' masks."""
        return MaskSource(lambda: _masks(train))

    def selection(self, validation: View) -> Selection | None:
        """The validation slides, where `seg_select` asks for them. Raises `ConfigError` when there are none."""
        from benchmark.learning.segmentation.mask_training import Selection, read_images

        if self.params.seg_select == "last":
            return None
        if not len(validation):
            what = f"{self.name}: seg_select=best chooses an epoch by validation slides, and there are none"
            raise ConfigError(what, fix="--set seg_select=last")
        return Selection(read_images(validation.slides), _masks(validation), self.params.seg_patience)

    def loss(self) -> PixelLoss:
        """As `seg_loss` and `class_weights` say."""
        from benchmark.learning.losses import balanced_cross_entropy, dice_loss

        kind, plain = self.params.seg_loss, super().loss()
        entropy = balanced_cross_entropy if self.params.class_weights == "balanced" else plain
        if kind == "ce":
            return entropy
        if kind == "dice":
            return dice_loss

        def both(logits: Tensor, labels: Tensor) -> Tensor:
            return 0.5 * dice_loss(logits, labels) + 0.5 * entropy(logits, labels)

        return both


def _masks(view: View) -> Masks:
    masks: dict[str, NDArray[np.int8]] = {}
    for slide in view:
        annotation, grid = view.labels.full(slide), Grid.pixels(slide.size)
        masks[slide.id] = np.where(annotation.ignored(grid), np.int8(-1), annotation.labels(grid))
    return masks
