"""Multi-scale CAM of patches, refined by their labels and merged to one mask per slide (paper §2.2; released code)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.learning.nets.heads import resize
from benchmark.learning.nets.patch_net import PatchNet
from benchmark.learning.segmentation.segmenter import Masks
from benchmark.learning.training import autocast, place
from benchmark.slides import Grid, Slide

from .cam_source import CamSource
from .classifier import create_classifier, train_classifier
from .classifier_params import CAM_FIELDS, CLASSIFIER_FIELDS, PatchNetParams, TrainedParams
from .merging import Merger, Place, refined
from .patches import Pixels, cut, patch_grid, patch_labels, read_whole, resized, standardised

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.supervision import View


@dataclass(frozen=True)
class Patch(Place):
    """A patch with its pixels, p × p × 3."""

    pixels: Pixels


class ClassifierCam(CamSource):
    """The paper's: a classifier of patches is trained, and its linear layer, at every position, is the CAM."""

    learns_from: ClassVar[tuple[str, ...]] = CLASSIFIER_FIELDS
    masks_from: ClassVar[tuple[str, ...]] = CAM_FIELDS

    def __init__(self, params: TrainedParams) -> None:
        self._params = params

    def learn(
        self, train: View, validation: View, context: Context, earlier: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The classifier's weights."""
        return dict(train_classifier(train, validation, self._params, context))

    def masks(self, state: Mapping[str, Any], train: View, context: Context, *, refine: bool) -> Masks:
        """Its multi-scale CAM, merged."""
        net = create_classifier(self._params, len(context.classes), initialise=False)
        net.load_state_dict(dict(state))
        return pseudo_masks(net, train, self._params, context, refine=refine)


def pseudo_masks(
    net: PatchNet, train: View, params: PatchNetParams, context: Context, *, refine: bool
) -> dict[str, NDArray[np.int8]]:
    """`merged_masks` of the net's multi-scale CAM."""
    place(net, context.device)
    net.eval()
    return merged_masks(lambda patches: evidence(net, patches, params, context.device), train, params, context, refine)


def merged_masks(
    score: Callable[[Sequence[Patch]], Tensor], train: View, params: PatchNetParams, context: Context, refine: bool
) -> dict[str, NDArray[np.int8]]:
    """Class per pixel of every slide, by id: H × W. With `refine` the patch labels exclude absent classes.

    Without `refine` this is the "CAM" of the paper's Table 2 and no label is asked for; with it, the "pseudo-mask".
    `score` gives E, N × K × p × p, of `cam_batch` patches, whatever their slides; patches with a single label need
    none. The votes of no more than the slides that share a batch are in memory.
    """
    merger = Merger(params, len(context.classes))
    waiting: list[Patch] = []
    masks: dict[str, NDArray[np.int8]] = {}
    for slide in context.track(train, "pseudo-masks" if refine else "CAM", len(train)):
        merger.open(slide)
        for patch in _patches(slide, train if refine else None, params):
            if patch.single:
                merger.constant(patch)
            else:
                waiting.append(patch)
            if len(waiting) == params.cam_batch:
                merger.scored(waiting, score(waiting))
                waiting = []
        masks |= merger.finish(keep={patch.slide for patch in waiting})
    if waiting:
        merger.scored(waiting, score(waiting))
    masks |= merger.finish()
    return {slide.id: masks[slide.id] for slide in train}


@torch.inference_mode()
def whole_evidence(
    net: PatchNet, patches: Sequence[Patch], params: PatchNetParams, device: str, *, scales: Sequence[float], flip: bool
) -> Tensor:
    """E of whole patches instead of windows: score maps summed over scales of the input side, and mirror images.

    N × K × p × p, float32, with -inf where the label excludes a class.
    """
    side = params.patch_side
    total = torch.zeros(1, device=device)
    for scale in scales:
        images = standardised(resized(stacked(patches), int(params.cls_input * scale)), params, device)
        with autocast(device, params.amp == "all"):
            maps = net.score_maps(images)
            if flip:
                maps = maps + net.score_maps(images.flip(-1)).flip(-1)
        total = total + resize(maps.float().contiguous(), (side, side))
    return refined(total, [patch.present for patch in patches])


@torch.inference_mode()
def evidence(net: PatchNet, patches: Sequence[Patch], params: PatchNetParams, device: str) -> Tensor:
    """E: score maps summed over the scales r, with -inf where the label excludes a class. N × K × p × p, float32.

    At scale r a patch is enlarged to p·r (bicubic) and cut into windows of side p; each window is brought to
    the classifier's input side S and scored; overlaps are averaged, and the map is brought back to p × p. All
    patches share each window position, so a forward pass has N windows; sums are kept on the device.
    """
    side = params.patch_side
    pixels = stacked(patches)
    total = torch.zeros(1, device=device)
    for scale in params.cam_scales:
        enlarged = int(side * scale)
        images = resized(pixels, enlarged, "bicubic")
        scores = torch.zeros(1)
        cover = torch.zeros(enlarged, enlarged, device=device)
        for _, _, x, y in Grid.windows((enlarged, enlarged), side, params.patch_stride).patches():
            area = (..., slice(y, y + side), slice(x, x + side))
            windows = standardised(resized(images[area], params.cls_input), params, device)
            with autocast(device, params.amp == "all"):
                maps = net.score_maps(windows)
            maps = resize(maps.float().contiguous(), (side, side))  # channels last is slow with so few of them
            if scores.ndim == 1:
                scores = torch.zeros(*maps.shape[:2], enlarged, enlarged, device=device)
            scores[area] += maps
            cover[area] += 1
        total = total + resize(scores / cover, (side, side))
    return refined(total, [patch.present for patch in patches])


def stacked(patches: Sequence[Patch]) -> Tensor:
    """Their pixels, uint8 N × 3 × p × p."""
    return torch.from_numpy(np.stack([patch.pixels for patch in patches])).permute(0, 3, 1, 2)


def _patches(slide: Slide, labelled: View | None, params: PatchNetParams) -> Iterator[Patch]:
    grid = patch_grid(slide, params)
    labels = patch_labels(slide, grid, labelled, params.presence)
    for (_, _, x, y), own, pixels in zip(grid.patches(), labels, cut(read_whole(slide, params), grid), strict=True):
        yield Patch(slide.id, x, y, own, pixels)
