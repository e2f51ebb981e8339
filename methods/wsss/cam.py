"""Multi-scale CAM of patches, refined by their labels and merged to one mask per slide (paper §2.2; released code)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.learning.nets.heads import resize
from benchmark.learning.training import autocast, place
from benchmark.slides import Grid, Slide

from .classifier import CamNet
from .classifier_params import ClassifierParams
from .patches import Pixels, cut, patch_grid, read_whole, resized, standardised

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.supervision import View


@dataclass(frozen=True)
class Patch:
    """One patch: slide, corner, pixels p × p × 3, classes present (None: without label)."""

    slide: str
    x: int
    y: int
    pixels: Pixels
    present: NDArray[np.bool_] | None

    @property
    def single(self) -> bool:
        """Whether its label has one class only, so that its mask is constant whatever its CAM."""
        return self.present is not None and int(self.present.sum()) == 1


def pseudo_masks(
    net: CamNet, train: View, params: ClassifierParams, context: Context, *, refine: bool
) -> dict[str, NDArray[np.int8]]:
    """Class per pixel of every slide, by id: H × W. With `refine` the patch labels exclude absent classes.

    Without `refine` this is the "CAM" of the paper's Table 2 and no label is asked for; with it, the "pseudo-mask".
    Patches of all slides share forward passes; those with a single label need none. The votes of no more than the
    slides that share a forward pass are in memory.
    """
    place(net, context.device)
    net.eval()
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
                merger.scored(waiting, evidence(net, waiting, params, context.device))
                waiting = []
        masks |= merger.finish(keep={patch.slide for patch in waiting})
    if waiting:
        merger.scored(waiting, evidence(net, waiting, params, context.device))
    masks |= merger.finish()
    return {slide.id: masks[slide.id] for slide in train}


@torch.inference_mode()
def evidence(net: CamNet, patches: Sequence[Patch], params: ClassifierParams, device: str) -> Tensor:
    """E: score maps summed over the scales r, with -inf where the label excludes a class. N × K × p × p, float32.

    At scale r a patch is enlarged to p·r (bicubic) and cut into windows of side p; each window is brought to
    the classifier's input side S and scored; overlaps are averaged, and the map is brought back to p × p. All
    patches share each window position, so a forward pass has N windows; sums are kept on the device.
    """
    side = params.patch_side
    pixels = torch.from_numpy(np.stack([patch.pixels for patch in patches])).permute(0, 3, 1, 2)
    total = torch.zeros(1, device=device)
    for scale in params.cam_scales:
        enlarged = int(side * scale)
        images = resized(pixels, enlarged, "bicubic")
        scores = torch.zeros(1)
        cover = torch.zeros(enlarged, enlarged, device=device)
        for _, _, x, y in Grid.windows((enlarged, enlarged), side, params.patch_stride).patches():
            area = (..., slice(y, y + side), slice(x, x + side))
            windows = standardised(resized(images[area], params.cls_input), params, device)
            with autocast(device):
                maps = net.score_maps(windows)
            maps = resize(maps.float().contiguous(), (side, side))  # channels last is slow with so few of them
            if scores.ndim == 1:
                scores = torch.zeros(*maps.shape[:2], enlarged, enlarged, device=device)
            scores[area] += maps
            cover[area] += 1
        total = total + resize(scores / cover, (side, side))
    return refined(total, [patch.present for patch in patches])


def refined(scores: Tensor, present: Sequence[NDArray[np.bool_] | None]) -> Tensor:
    """E_k := -inf where a patch's label lacks class k; patches without a label are left as they are."""
    absent = np.stack([np.zeros(scores.shape[1], np.bool_) if label is None else ~label for label in present])
    return scores.masked_fill(torch.from_numpy(absent).to(scores.device)[:, :, None, None], -torch.inf)


def winners(scores: Tensor) -> Tensor:
    """The class with the highest score, N × K × h × w → N × h × w, uint8; the lower class wins a tie.

    The same as `argmax(dim=1)`, which takes ten times as long when K is small.
    """
    best, winner = scores[:, 0], torch.zeros_like(scores[:, 0], dtype=torch.uint8)
    for index in range(1, scores.shape[1]):
        better = scores[:, index] > best
        best = torch.where(better, scores[:, index], best)
        winner[better] = index
    return winner


def _patches(slide: Slide, labelled: View | None, params: ClassifierParams) -> Iterator[Patch]:
    grid = patch_grid(slide, params)
    present = None if labelled is None else labelled.labels.patch(slide, grid, params.presence)
    for (row, col, x, y), pixels in zip(grid.patches(), cut(read_whole(slide, params), grid), strict=True):
        yield Patch(slide.id, x, y, pixels, None if present is None else present[row, col])


@dataclass
class Merger:
    """Overlapping patches → one class per pixel.

    "vote" (released code, D17): each patch votes for its argmax; most votes win, ties go to the lower class.
    "score": E is summed before the argmax; what one patch excludes stays excluded, and where all classes are, the
    lowest wins.
    """

    params: ClassifierParams
    classes: int
    sums: dict[str, NDArray[Any]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def open(self, slide: Slide) -> None:
        """Begin a slide."""
        width, height = slide.size
        shape = (self.classes, max(height, self.params.patch_side), max(width, self.params.patch_side))
        self.sums[slide.id] = np.zeros(shape, np.int32 if self.params.cam_merge == "vote" else np.float32)
        self.sizes[slide.id] = (width, height)

    def constant(self, patch: Patch) -> None:
        """Add a patch with a single label, without its CAM: in a sum only the exclusions matter."""
        assert patch.present is not None
        if self.params.cam_merge == "vote":
            self._area(patch)[int(patch.present.argmax())] += 1
        else:
            self._area(patch)[~patch.present] = -np.inf

    def scored(self, patches: Sequence[Patch], scores: Tensor) -> None:
        """Add scored patches; `scores` is what `evidence` returns."""
        if self.params.cam_merge == "vote":
            for patch, hard in zip(patches, winners(scores).cpu().numpy(), strict=True):
                for index in range(self.classes):
                    self._area(patch)[index] += hard == index
        else:
            for patch, values in zip(patches, scores.cpu().numpy(), strict=True):
                self._area(patch)[...] += values

    def finish(self, keep: set[str] | None = None) -> dict[str, NDArray[np.int8]]:
        """Close all slides but those to keep, and return their masks."""
        done = [name for name in self.sums if name not in (keep or set())]
        return {name: self._closed(name) for name in done}

    def _closed(self, name: str) -> NDArray[np.int8]:
        width, height = self.sizes.pop(name)
        mask: NDArray[np.int8] = self.sums.pop(name).argmax(axis=0).astype(np.int8)
        return mask[:height, :width]

    def _area(self, patch: Patch) -> NDArray[Any]:
        side = self.params.patch_side
        return self.sums[patch.slide][:, patch.y : patch.y + side, patch.x : patch.x + side]
