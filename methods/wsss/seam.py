"""SEAM (Wang, Zhang, Kan, Shan, Chen, CVPR 2020): a CAM should commute with a change of scale, and follow alike pixels.

Two branches with shared weights see a patch and the same patch reduced. Their CAMs are to agree (equivariance), and
each is to agree with the other's, refined by the correlation of pixels. Order and names of the losses: released code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

import torch
from pydantic import model_validator
from torch import Tensor
from torch.nn import functional

from benchmark.learning.nets.heads import resize
from benchmark.learning.nets.seam_net import SeamNet
from benchmark.learning.segmentation.segmentation_params import SEG_QUICK, SEG_SMOKE
from benchmark.learning.segmentation.segmenter import Masks
from benchmark.learning.training import place, seed_torch
from benchmark.method import MethodCard, param, with_default

from .cam import merged_masks, pseudo_masks, whole_evidence
from .cam_seg import CamPipeline, PipelineParams
from .cam_source import CamSource
from .classifier_params import CAM_FIELDS, NET_FIELDS, NET_QUICK, NET_SMOKE, ViewScale
from .patch_training import backbone_of, keeps_norms, scaled_groups, train_on_patches, training_patches

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.supervision import View

CODE = "SEAM's released code"
EPSILON = 1e-5
SMALLEST = 24
"""Least side of the reduced patch, px: three positions of stride 8."""


class SeamParams(PipelineParams):
    """SEAM in the place of the classifier."""

    cls_b7_dilation: int = with_default(PipelineParams, "cls_b7_dilation", 4, CODE)
    cls_batch: int = with_default(PipelineParams, "cls_batch", 8, CODE)
    cls_epochs: int = with_default(PipelineParams, "cls_epochs", 8, CODE)
    cls_momentum: float = with_default(PipelineParams, "cls_momentum", 5e-4, f"{CODE}: decay in momentum's place, R1")
    cls_weight_decay: float = with_default(PipelineParams, "cls_weight_decay", 5e-4, CODE)
    new_rate: float = param(10.0, "rate of the new layers, times cls_lr", source=CODE, gt=0.0)

    seam_scale: float = param(0.3, "scale of the second branch", symbol="s", source="paper §4.2", gt=0.0, lt=1.0)
    ecr_share: float = param(
        0.2, "share of the largest differences that the cross loss counts", source="paper §3.4", gt=0.0, le=1.0
    )
    min_share: float = param(0.25, "share of the smallest refined values that are pulled to 0", source=CODE, gt=0, le=1)
    min_weight: float = param(1.0, "weight of that loss", symbol="w_min", source=f"{CODE} alone", ge=0.0)
    er_weight: float = param(1.0, "weight of the equivariance loss", symbol="w_er", source="paper Eq. 6", ge=0.0)
    ecr_weight: float = param(1.0, "weight of the cross loss", symbol="w_ecr", source="paper Eq. 6", ge=0.0)
    seam_windows: bool = param(
        False,
        "score windows of the enlarged patch (cam_scales) as the other methods do, instead of whole patches; each class"
        " is stretched to 1 in every window, also where it is absent",
        source="R2",
    )
    view_scales: tuple[ViewScale, ...] = param(
        (0.5, 1.0, 1.5, 2.0), "scales, times cls_input, at which whole patches are scored", source=CODE, min_length=1
    )
    view_flip: bool = param(True, "also score the mirrored patch", source=CODE)

    @model_validator(mode="after")
    def _reduced_patch_is_large_enough(self) -> Self:
        side = int(self.seam_scale * self.cls_input)
        if side < SMALLEST:
            raise ValueError(f"seam_scale {self.seam_scale} makes {side} px of cls_input {self.cls_input}: at least 24")
        return self


LOSS_FIELDS = ("new_rate", "seam_scale", "ecr_share", "min_share", "min_weight", "er_weight", "ecr_weight")


def stretched(maps: Tensor) -> Tensor:
    """Each channel of each image from its least positive value to its largest, as 0 to 1: B × C × h × w.

    Of equal extremes one alone takes the gradient, as in the released code.
    """
    positive = functional.relu(maps)
    low, high = (
        extreme.values[..., None] for extreme in (positive.flatten(2).min(2, True), positive.flatten(2).max(2, True))
    )
    return functional.relu(positive - low - EPSILON) / (high - low + EPSILON)


def strongest(maps: Tensor) -> Tensor:
    """Classes below the strongest one of a position become 0; the background, channel 0, stays. Ties survive."""
    classes = maps[:, 1:]
    return torch.cat([maps[:, :1], classes.masked_fill(classes < classes.amax(dim=1, keepdim=True), 0)], dim=1)


def least_loss(r: Tensor, y: Tensor, share: float) -> Tensor:
    """L_min: mean of the smallest values, positive part, that the present classes have at most. `y`: B × C × 1 × 1."""
    highest = (r * y)[:, 1:].max(dim=1).values.flatten(1)
    count = max(1, int(highest.shape[1] * share))
    return functional.relu(highest.topk(count, dim=1, largest=False).values).mean()


def cross_loss(target: Tensor, r: Tensor, share: float) -> Tensor:
    """L_ECR of one branch: mean of the largest differences between R and the other branch's CAM, which is constant."""
    apart = (strongest(target.detach()) - r).abs().flatten(1)
    return apart.topk(max(1, int(apart.shape[1] * share)), dim=1).values.mean()


def seam_losses(
    first: tuple[Tensor, Tensor], second: tuple[Tensor, Tensor], present: Tensor, params: SeamParams
) -> dict[str, Tensor]:
    """The losses by name. `first`, `second`: A and R of the patch and of the reduced patch; `present`: B × K."""
    (a1, r1), (a2, r2) = first, second
    y = functional.pad(present, (1, 0), value=1.0)[:, :, None, None]
    classified = [functional.multilabel_soft_margin_loss(a.mean(dim=(2, 3))[:, 1:], present) for a in (a1, a2)]
    least = [least_loss(r, y, params.min_share) for r in (r1, r2)]
    size = a2.shape[-2:]
    a1, r1 = (resize(stretched(maps), size, align_corners=True) * y for maps in (a1, r1))
    a2, r2 = (stretched(maps) * y for maps in (a2, r2))
    equivariance = (a1[:, 1:] - a2[:, 1:]).abs().mean()
    a1, a2 = (torch.cat([1 - a[:, 1:].max(dim=1, keepdim=True).values, a[:, 1:]], dim=1) for a in (a1, a2))
    return {
        "cls": (classified[0] + classified[1]) / 2,
        "min": params.min_weight * (least[0] + least[1]) / 2,
        "er": params.er_weight * equivariance,
        "ecr1": params.ecr_weight * cross_loss(a2, r1, params.ecr_share),
        "ecr2": params.ecr_weight * cross_loss(a1, r2, params.ecr_share),
    }


class SeamSource(CamSource):
    """The refined CAM of a net trained by these losses."""

    learns_from: ClassVar[tuple[str, ...]] = (*NET_FIELDS, *LOSS_FIELDS)
    masks_from: ClassVar[tuple[str, ...]] = (*CAM_FIELDS, "seam_windows", "view_scales", "view_flip")

    def __init__(self, params: SeamParams) -> None:
        self._params = params

    def learn(
        self, train: View, validation: View, context: Context, earlier: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The weights."""
        params = self._params
        patches = training_patches(train, params, context.classes)
        seed_torch(context, "seam", "weights")
        backbone = backbone_of(params, initialise=True)
        net = SeamNet(backbone, len(context.classes), frozen=keeps_norms(params))

        def loss(images: Tensor, present: Tensor) -> Tensor:
            side = [int(length * params.seam_scale) for length in images.shape[-2:]]
            reduced = resize(images, side, align_corners=True)
            losses = seam_losses(net(images), net(reduced), present, params)
            return torch.stack(list(losses.values())).sum()

        groups = scaled_groups(net, net.new_layers, params.new_rate)
        return dict(train_on_patches(net, "seam", patches, patches.present, loss, groups, params, context))

    def masks(self, state: Mapping[str, Any], train: View, context: Context, *, refine: bool) -> Masks:
        """Its R, of whole patches or of windows, merged."""
        params = self._params
        net = SeamNet(backbone_of(params, initialise=False), len(context.classes))
        net.load_state_dict(dict(state))
        if params.seam_windows:
            return pseudo_masks(net, train, params, context, refine=refine)
        place(net.eval(), context.device)
        scales, flip = params.view_scales, params.view_flip
        return merged_masks(
            lambda patches: whole_evidence(net, patches, params, context.device, scales=scales, flip=flip),
            train,
            params,
            context,
            refine,
        )


class Seam(CamPipeline[SeamParams]):
    """Equivariant attention: the CAM is the same at another scale."""

    name = "seam"
    card = MethodCard(
        title="SEAM: self-supervised equivariant attention",
        citation=(
            "Wang, Zhang, Kan, Shan, Chen: Self-supervised Equivariant Attention Mechanism for Weakly Supervised"
            " Semantic Segmentation. CVPR 2020"
        ),
        paper="https://arxiv.org/abs/2004.04581",
        tables=("OEEM, Table 1, SEAM", "OEEM, Table 2, SEAM"),
        notes="The segmentation stage is that of cam-seg, as in OEEM's comparison.",
    )
    Params = SeamParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {
            **NET_QUICK,
            **SEG_QUICK,
            "new_rate": 1.0,
            "seam_scale": 0.5,
            "view_scales": (1.0,),
            "view_flip": False,
            "examine_cam": False,
        },
        "smoke": {**NET_SMOKE, **SEG_SMOKE, "cls_input": 48, "seam_scale": 0.5, "view_scales": (1.0,)},
    }

    def cam_source(self) -> CamSource:
        """SEAM's."""
        return SeamSource(self.params)
