"""The seam of the family: patch labels in, masks of the training slides out; segmentation behind it is shared.

`ClassifierCam` (the paper's, cam.py) and `FrozenStages` (frozen_stages.py) are two of them; `seam.py`, `sc_cam.py`,
`adv_cam.py` and `hamil.py` have one each, beside the method that returns it from `CamPipeline.cam_source`.
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

    @property
    def learner(self) -> type[CamSource]:
        """The class whose code decides what is learnt; another one's where a source learns just as that one does."""
        return type(self)

    @property
    def rounds(self) -> int:
        """How often `learn` is called, each time with what it returned before; each call is a stage."""
        return 1

    @abstractmethod
    def learn(
        self, train: View, validation: View, context: Context, earlier: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """What the masks are made with: tensors, arrays, numbers. `validation` is for selection and may be empty.

        `earlier`: what the round before returned; None in the first.
        """

    @abstractmethod
    def masks(self, state: Mapping[str, Any], train: View, context: Context, *, refine: bool) -> Masks:
        """Class per pixel of every training slide, by id.

        With `refine` the patch labels exclude absent classes: the "pseudo-mask" of the paper's Table 2. Without it, its
        "CAM", no label is asked for.
        """
