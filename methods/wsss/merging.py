"""From scores of overlapping patches to one class per pixel: exclusion by patch labels, votes, sums (OEEM, §2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmark.slides import Slide

from .classifier_params import PatchNetParams


@dataclass(frozen=True)
class Place:
    """Where one patch lies and which classes it has: slide, corner, classes present (None: without label)."""

    slide: str
    x: int
    y: int
    present: NDArray[np.bool_] | None

    @property
    def single(self) -> bool:
        """Whether its label has one class only, so that its mask is constant whatever its CAM."""
        return self.present is not None and int(self.present.sum()) == 1


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


@dataclass
class Merger:
    """Overlapping patches → one class per pixel.

    "vote" (released code, D17): each patch votes for its argmax; most votes win, ties go to the lower class.
    "score": E is summed before the argmax; what one patch excludes stays excluded, and where all classes are, the
    lowest wins.
    """

    params: PatchNetParams
    classes: int
    sums: dict[str, NDArray[Any]] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)

    def open(self, slide: Slide) -> None:
        """Begin a slide."""
        width, height = slide.size
        shape = (self.classes, max(height, self.params.patch_side), max(width, self.params.patch_side))
        self.sums[slide.id] = np.zeros(shape, np.int32 if self.params.cam_merge == "vote" else np.float32)
        self.sizes[slide.id] = (width, height)

    def constant(self, patch: Place) -> None:
        """Add a patch with a single label, without its CAM: in a sum only the exclusions matter."""
        assert patch.present is not None
        if self.params.cam_merge == "vote":
            self._area(patch)[int(patch.present.argmax())] += 1
        else:
            self._area(patch)[~patch.present] = -np.inf

    def scored(self, patches: Sequence[Place], scores: Tensor) -> None:
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

    def _area(self, patch: Place) -> NDArray[Any]:
        side = self.params.patch_side
        return self.sums[patch.slide][:, patch.y : patch.y + side, patch.x : patch.x + side]
