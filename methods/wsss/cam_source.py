"""The seam of the family: patch labels in, masks of the training slides out; segmentation behind it is shared.

`ClassifierCam` (the paper's, cam.py) and `FrozenStages` (frozen_stages.py) are two of them. A rival that replaces the
paper's first stage is a third, and a method of a few lines that returns it from `CamPipeline.cam_source`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.learning.segmentation.segmenter import Masks
from benchmark.supervision import View

if TYPE_CHECKING:
    from benchmark.context import Context


class CamSource(ABC):
    """Learns from patch labels where each class is, then says so for the training slides.

    `learns_from`, `masks_from`: the parameters that the two steps read; the second also comes after the first. Each is
    a stage, kept and shared by all methods of the family whose parameters agree.
    """

    learns_from: ClassVar[tuple[str, ...]]
    masks_from: ClassVar[tuple[str, ...]]

    @abstractmethod
    def learn(self, train: View, validation: View, context: Context) -> dict[str, Any]:
        """What the masks are made with: tensors, arrays, numbers. `validation` is for selection and may be empty."""

    @abstractmethod
    def masks(self, state: Mapping[str, Any], train: View, context: Context, *, refine: bool) -> Masks:
        """Class per pixel of every training slide, by id.

        With `refine` the patch labels exclude absent classes: the "pseudo-mask" of the paper's Table 2. Without it, its
        "CAM", no label is asked for.
        """
