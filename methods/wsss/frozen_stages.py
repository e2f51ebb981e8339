"""CAM without training a net: a logistic regression on the maps of a frozen encoder's last stages.

An extension, for machines without a GPU. As in the paper a linear layer on the mean of a fused feature tells which
classes a patch has, and the same layer at every position is the CAM; but the layer is all that is fitted, and the
encoder sees whole slides instead of single patches, which is faster and gives every position its surroundings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from benchmark.errors import ConfigError
from benchmark.learning.encoders.stage_maps import create_stages
from benchmark.learning.encoders.timm_nets import transform_of
from benchmark.learning.nets.backbones import weights_fix
from benchmark.learning.nets.heads import resize
from benchmark.learning.segmentation.segmenter import Masks
from benchmark.learning.training import autocast, place
from benchmark.slides import Grid, Slide

from .cam_source import CamSource
from .classifier_params import FROZEN_FIELDS, ClassifierParams
from .merging import Merger, Place, refined
from .patches import Pixels, patch_grid, patch_labels, read_whole

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.supervision import View

KEPT = 2**30
"""Bytes of maps that are kept between fit and score maps; those of further slides are computed twice."""


class FrozenStages(CamSource):
    """Linear CAM on frozen maps; the state is the score map of every training slide, K × h × w."""

    learns_from: ClassVar[tuple[str, ...]] = ("cam_from", *FROZEN_FIELDS)
    masks_from: ClassVar[tuple[str, ...]] = ("patch_side", "patch_stride", "presence", "cam_merge", "cam_batch")

    def __init__(self, params: ClassifierParams) -> None:
        self._params = params

    def learn(
        self, train: View, validation: View, context: Context, earlier: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Means of the patches for the fit, then the score maps, of maps that are kept meanwhile as far as they fit.

        Nothing is selected on `validation`. Raises `ConfigError` without training slides, and when a class is in all
        patches or in none.
        """
        if not len(train):
            raise ConfigError("the classifier has no training slides", fix="bench data info DATASET")
        encoder = FrozenMaps(self._params, context.device)
        means, present = [], []
        kept: dict[str, Tensor] = {}
        room = KEPT
        for slide in context.track(train, "patch features", len(train)):
            grid = patch_grid(slide, self._params)
            maps = encoder(read_whole(slide, self._params))
            labels = train.labels.patch(slide, grid, self._params.presence)
            known = labels.any(axis=-1).ravel()
            means.append(patch_means(maps, grid, _size(slide, self._params))[known])
            present.append(labels.reshape(-1, labels.shape[-1])[known])
            room -= maps.nbytes
            if room >= 0:
                kept[slide.id] = maps
        weight, bias = fit_linear(
            np.concatenate(means), np.concatenate(present), self._params.frozen_c, context.classes
        )
        scores = {}
        for slide in context.track(train, "score maps", len(train)):
            maps = kept.pop(slide.id) if slide.id in kept else encoder(read_whole(slide, self._params))
            scores[slide.id] = (torch.einsum("kc,chw->khw", weight, maps) + bias[:, None, None]).numpy()
        return {"weight": weight, "bias": bias, "scores": scores}

    def masks(self, state: Mapping[str, Any], train: View, context: Context, *, refine: bool) -> Masks:
        """The score maps at the slide's resolution, cut into patches, refined by their labels and merged."""
        params = self._params
        merger = Merger(params, len(context.classes))
        masks: dict[str, NDArray[np.int8]] = {}
        for slide in context.track(train, "pseudo-masks" if refine else "CAM", len(train)):
            width, height = _size(slide, params)
            scores = resize(torch.from_numpy(state["scores"][slide.id])[None], (height, width))[0]
            merger.open(slide)
            mixed: list[Place] = []
            for patch in _places(slide, train if refine else None, params):
                if patch.single:
                    merger.constant(patch)
                else:
                    mixed.append(patch)
            for start in range(0, len(mixed), params.cam_batch):
                group = mixed[start : start + params.cam_batch]
                merger.scored(group, _cut(scores, group, params.patch_side))
            masks |= merger.finish()
        return masks


class FrozenMaps:
    """A slide's pixels H × W × 3 → the fused maps of the encoder's last stages, C × h × w, float32, on the CPU.

    The slide is resized by each of `frozen_scales`; all stages of all scales are brought to one grid of `frozen_cell`
    px, bilinearly and smoothed, and with `frozen_flip` averaged with those of the mirrored slide.
    """

    def __init__(self, params: ClassifierParams, device: str) -> None:
        self._stages = create_stages(
            params.cls_backbone,
            params.frozen_stages,
            pretrained=params.cls_pretrained,
            weights=params.cls_weights,
            fix=weights_fix("cam", f"{params.cls_backbone}.safetensors"),
        )
        place(self._stages.eval(), device)
        mean, std = transform_of(params.cls_backbone)
        self._mean, self._std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (mean, std))
        self._params, self._device = params, device

    @torch.inference_mode()
    def __call__(self, pixels: Pixels) -> Tensor:
        """The maps of one slide."""
        whole = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(self._device).float() / 255
        grid = [-(-side // self._params.frozen_cell) for side in pixels.shape[:2]]
        return torch.cat([self._at(scale, whole, grid) for scale in self._params.frozen_scales]).cpu()

    def _at(self, scale: float, whole: Tensor, grid: list[int]) -> Tensor:
        image = _resized(whole, [max(1, round(side * scale)) for side in whole.shape[-2:]])
        image = (image - self._mean) / self._std
        fused = self._fused(image, grid)
        if self._params.frozen_flip:
            fused = (fused + self._fused(image.flip(-1), grid).flip(-1)) / 2
        return fused

    def _fused(self, image: Tensor, grid: list[int]) -> Tensor:
        with autocast(self._device, self._params.amp == "all"):
            maps = self._stages(image)
        return torch.cat([_resized(stage.float().contiguous(), grid)[0] for stage in maps])


def patch_means(maps: Tensor, grid: Grid, size: tuple[int, int]) -> NDArray[np.float32]:
    """Mean of the maps over each patch of `grid`, row by row: C × h × w → n × C.

    `size`: width and height of the slide in px, which the positions of the maps divide evenly. A position counts by
    the area that it shares with the patch.
    """
    rows = _shares(grid.y, grid.height, size[1], maps.shape[1])
    cols = _shares(grid.x, grid.width, size[0], maps.shape[2])
    means: NDArray[np.float32] = torch.einsum("ry,cyx,sx->rsc", rows, maps, cols).flatten(0, 1).numpy()
    return means


def _shares(starts: Sequence[int] | NDArray[Any], length: int, side: int, positions: int) -> Tensor:
    """Which share of each interval [start, start + length) lies in each of equal parts of [0, side): n × positions."""
    edges = np.linspace(0, side, positions + 1)
    first = np.asarray(starts, dtype=np.float64)[:, None]
    overlap = np.minimum(edges[1:], first + length) - np.maximum(edges[:-1], first)
    return torch.from_numpy((overlap.clip(0) / length).astype(np.float32))


def fit_linear(
    features: NDArray[np.float32], present: NDArray[np.bool_], c: float, classes: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Weight K × C and bias K of one logistic regression per class on standardised features (scikit-learn).

    Features n × C, classes present n × K. Raises `ConfigError` for a class that is in all patches or in none, since
    nothing tells it from the others.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    for name, share in zip(classes, present.mean(axis=0), strict=True):
        if share in (0.0, 1.0):
            problem = f"class {name!r} is in {'all' if share else 'none'} of the {len(present)} training patches"
            fix = "other patches: --set method.patch_side=56 --set method.patch_stride=28, or --set cam_from=classifier"
            raise ConfigError(f"{problem}, so that nothing tells it from the others", fix=fix)
    scaler = StandardScaler().fit(features)
    standardised = scaler.transform(features)
    fits = [LogisticRegression(C=c, max_iter=1000).fit(standardised, column) for column in present.T]
    weight = np.concatenate([fit.coef_ for fit in fits]) / scaler.scale_
    bias = np.concatenate([fit.intercept_ for fit in fits]) - weight @ scaler.mean_
    return torch.from_numpy(weight).float(), torch.from_numpy(bias).float()


def _resized(images: Tensor, size: list[int]) -> Tensor:
    return functional.interpolate(images, size=size, mode="bilinear", antialias=True, align_corners=False)


def _size(slide: Slide, params: ClassifierParams) -> tuple[int, int]:
    """Width and height of what `read_whole` gives."""
    width, height = slide.size
    return max(width, params.patch_side), max(height, params.patch_side)


def _places(slide: Slide, labelled: View | None, params: ClassifierParams) -> list[Place]:
    grid = patch_grid(slide, params)
    labels = patch_labels(slide, grid, labelled, params.presence)
    return [Place(slide.id, x, y, own) for (_, _, x, y), own in zip(grid.patches(), labels, strict=True)]


def _cut(scores: Tensor, places: Sequence[Place], side: int) -> Tensor:
    """The scores of some patches, refined by their labels: K × H × W → n × K × side × side."""
    parts = torch.stack([scores[:, patch.y : patch.y + side, patch.x : patch.x + side] for patch in places])
    return refined(parts, [patch.present for patch in places])
