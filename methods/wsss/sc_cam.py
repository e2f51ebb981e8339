"""SC-CAM (Chang, Wang, Hung, Piramuthu, Tsai, Yang, CVPR 2020): sub-classes make the classifier look at more.

Features of the patches of each class are clustered; the clusters are sub-classes that a fresh net learns beside the
classes. Each round clusters by the net of the round before. The CAM is that of the classes, of the last round.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field, model_validator
from torch import Tensor
from torch.nn import functional

from benchmark.learning.nets.two_heads import TwoHeads
from benchmark.learning.segmentation.segmentation_params import SEG_QUICK, SEG_SMOKE
from benchmark.learning.segmentation.segmenter import Masks
from benchmark.learning.training import autocast, place, seed_torch
from benchmark.method import MethodCard, param, with_default

from .cam import pseudo_masks
from .cam_seg import CamPipeline, PipelineParams
from .cam_source import CamSource
from .classifier_params import CAM_FIELDS, NET_FIELDS, NET_QUICK, NET_SMOKE
from .patch_training import (
    backbone_of,
    keeps_norms,
    late_poly_rate,
    scaled_groups,
    train_on_patches,
    training_patches,
)
from .patches import PatchSet, resized, standardised

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.supervision import View

CODE = "SC-CAM's released code"
MAX_ITERATIONS = 300
"""Of k-means."""


class ScCamParams(PipelineParams):
    """Classifiers with sub-classes, one after the other, in the place of the classifier."""

    cls_b7_dilation: int = with_default(PipelineParams, "cls_b7_dilation", 4, CODE)
    cls_batch: int = with_default(PipelineParams, "cls_batch", 16, CODE)
    cls_momentum: float = with_default(PipelineParams, "cls_momentum", 5e-4, f"{CODE}: decay in momentum's place, R1")
    cls_weight_decay: float = with_default(PipelineParams, "cls_weight_decay", 5e-4, CODE)
    new_rate: float = param(10.0, "rate of the heads, times cls_lr", source=CODE, gt=0.0)

    clusters: int = param(10, "sub-classes per class, or as many as it has patches", symbol="k", source=CODE, ge=2)
    cluster_starts: int = param(10, "starts of k-means, of which the best counts", source="R4", ge=1)
    sub_weight: float = param(5.0, "weight of the sub-classes' loss", symbol="λ", source=CODE, ge=0.0)
    sub_epochs: tuple[Annotated[int, Field(ge=1)], ...] = param(
        (31, 41, 51), "epochs of each round with sub-classes; before them come cls_epochs without", source=CODE
    )
    sub_horizon: int = param(61, "epochs over which the rate of these rounds decays", source=CODE, ge=1)

    @model_validator(mode="after")
    def _rounds_end_before_the_rate(self) -> Self:
        if not self.sub_epochs or max(self.sub_epochs) > self.sub_horizon:
            raise ValueError(f"sub_epochs {self.sub_epochs}: expected one or more, of at most sub_horizon")
        return self


def sub_labels(
    features: NDArray[np.float32], present: NDArray[np.bool_], clusters: int, starts: int
) -> NDArray[np.bool_]:
    """One bit per present class of each patch, at class · clusters + cluster: n × (K · clusters).

    Clusters are numbered by first appearance. A class with fewer patches than clusters, or with equal ones, leaves
    clusters empty: their bits are never set.
    """
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    number, classes = present.shape
    labels = np.zeros((number, classes * clusters), np.bool_)
    for index in range(classes):
        own = np.flatnonzero(present[:, index])
        if not len(own):
            continue
        means = KMeans(min(clusters, len(own)), n_init=starts, max_iter=MAX_ITERATIONS, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # fewer distinct patches than clusters
            found = means.fit_predict(features[own])
        order = {cluster: place for place, cluster in enumerate(dict.fromkeys(found.tolist()))}
        labels[own, [index * clusters + order[cluster] for cluster in found.tolist()]] = True
    return labels


def two_level_loss(parents: Tensor, children: Tensor | None, targets: Tensor, weight: float) -> Tensor:
    """Multilabel soft margin of the classes, plus `weight` times that of the sub-classes; targets side by side."""
    classes = parents.shape[1]
    loss = functional.multilabel_soft_margin_loss(parents, targets[:, :classes])
    if children is None:
        return loss
    return loss + weight * functional.multilabel_soft_margin_loss(children, targets[:, classes:])


class ScCamSource(CamSource):
    """Round 0 without sub-classes, then one round for each of `sub_epochs`."""

    learns_from: ClassVar[tuple[str, ...]] = (
        *NET_FIELDS,
        *("cam_batch", "new_rate", "clusters", "cluster_starts", "sub_weight", "sub_epochs", "sub_horizon"),
    )
    masks_from: ClassVar[tuple[str, ...]] = CAM_FIELDS

    def __init__(self, params: ScCamParams) -> None:
        self._params = params

    @property
    def rounds(self) -> int:
        """With round 0."""
        return 1 + len(self._params.sub_epochs)

    def learn(
        self, train: View, validation: View, context: Context, earlier: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """One round: its number, its number of sub-classes, and its weights. Each starts from published weights."""
        params, classes = self._params, len(context.classes)
        patches = training_patches(train, params, context.classes)
        targets, number = patches.present, 0
        if earlier is not None:
            number = int(earlier["round"]) + 1
            features = self._features(self._net(earlier, classes), patches, context)
            children = sub_labels(features, patches.present, params.clusters, params.cluster_starts)
            targets = np.concatenate([patches.present, children], axis=1)
        name = f"round {number}"
        seed_torch(context, name, "weights")
        subclasses = targets.shape[1] - classes
        net = TwoHeads(backbone_of(params, initialise=True), classes, subclasses, frozen=keeps_norms(params))

        def loss(images: Tensor, target: Tensor) -> Tensor:
            parents, children = net(images)
            return two_level_loss(parents, children, target, params.sub_weight)

        def rate(step: int, per_epoch: int) -> float:
            epochs = params.sub_horizon if number else params.cls_epochs
            return late_poly_rate(step, epochs * per_epoch, params.cls_lr)

        groups = scaled_groups(net, net.new_layers, params.new_rate)
        epochs = params.sub_epochs[number - 1] if number else None
        weights = train_on_patches(net, name, patches, targets, loss, groups, params, context, epochs=epochs, rate=rate)
        return {"round": number, "subclasses": subclasses, "weights": weights}

    def masks(self, state: Mapping[str, Any], train: View, context: Context, *, refine: bool) -> Masks:
        """The CAM of the classes, merged."""
        return pseudo_masks(self._net(state, len(context.classes)), train, self._params, context, refine=refine)

    def _net(self, state: Mapping[str, Any], classes: int) -> TwoHeads:
        net = TwoHeads(backbone_of(self._params, initialise=False), classes, int(state["subclasses"]))
        net.load_state_dict(state["weights"])
        return net.eval()

    @torch.inference_mode()
    def _features(self, net: TwoHeads, patches: PatchSet, context: Context) -> NDArray[np.float32]:
        """Of every patch, whole and without augmentation: n × C."""
        params = self._params
        place(net, context.device)
        rows = []
        starts = range(0, len(patches), params.cam_batch)
        for start in context.track(starts, "patch features", len(starts)):
            pixels = torch.from_numpy(np.stack(patches.pixels[start : start + params.cam_batch])).permute(0, 3, 1, 2)
            with autocast(context.device, params.amp == "all"):
                mean = net.features(standardised(resized(pixels, params.cls_input), params, context.device))
            rows.append(mean.float().cpu().numpy())
        return np.concatenate(rows)


class ScCam(CamPipeline[ScCamParams]):
    """Sub-category exploration: what tells sub-classes apart is more than what tells classes apart."""

    name = "sc-cam"
    card = MethodCard(
        title="SC-CAM: sub-category exploration",
        citation=(
            "Chang, Wang, Hung, Piramuthu, Tsai, Yang: Weakly-Supervised Semantic Segmentation via Sub-category"
            " Exploration. CVPR 2020"
        ),
        paper="https://arxiv.org/abs/2008.01183",
        tables=("OEEM, Table 1, SC-CAM",),
        notes="The segmentation stage is that of cam-seg, as in OEEM's comparison.",
    )
    Params = ScCamParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {
            **NET_QUICK,
            **SEG_QUICK,
            "new_rate": 1.0,
            "clusters": 3,
            "cluster_starts": 3,
            "sub_epochs": (1,),
            "sub_horizon": 1,
            "examine_cam": False,
        },
        "smoke": {**NET_SMOKE, **SEG_SMOKE, "clusters": 2, "cluster_starts": 1, "sub_epochs": (1,), "sub_horizon": 1},
    }

    def cam_source(self) -> CamSource:
        """SC-CAM's."""
        return ScCamSource(self.params)
