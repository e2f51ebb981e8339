"""HAMIL (Zhong, Wang, Liao, Zhang, TMI 2023): CAMs of three depths over many views, then nets that teach each other.

Order of the paper: HAM-Net, its CAMs, the segmentation stage. Symbols and constants as in the released code.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.augment import IGNORE
from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.learning.nets.ham_net import VGG16, HamNet, vgg16
from benchmark.learning.nets.heads import resize
from benchmark.learning.segmentation.segmentation_params import (
    SEG_QUICK,
    SEG_SMOKE,
    SegNet,
    SegOptimiser,
    SegSchedule,
    TtaScale,
)
from benchmark.learning.segmentation.segmenter import Masks
from benchmark.learning.training import autocast, dropping_rate, place, seed_torch
from benchmark.method import MethodCard, param, with_default

from .cam import Patch, merged_masks, stacked
from .cam_seg import CamPipeline, PipelineParams
from .cam_source import CamSource
from .classifier_params import CAM_FIELDS, NET_FIELDS, NET_QUICK, NET_SMOKE
from .merging import refined
from .patch_training import Groups, backbone_of, keeps_norms, train_on_patches, training_patches
from .patches import resized, standardised

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.losses import PixelLoss
    from benchmark.supervision import View

CODE = "HAMIL's released code"
NETS = 3
PatchView = tuple[int, int, bool]
"""Side in px, quarters of a turn, whether mirrored."""


class HamilParams(PipelineParams):
    """HAM-Net in the place of the classifier, and three segmentation nets instead of one."""

    cls_backbone: EncoderName = with_default(PipelineParams, "cls_backbone", VGG16, CODE)
    cls_batch: int = with_default(PipelineParams, "cls_batch", 32, CODE)
    cls_epochs: int = with_default(PipelineParams, "cls_epochs", 100, CODE)
    cls_freeze_bn: Literal["auto", "yes", "no"] = with_default(PipelineParams, "cls_freeze_bn", "no", CODE)
    cls_lr: float = with_default(PipelineParams, "cls_lr", 1e-3, CODE)
    cls_weight_decay: float = with_default(PipelineParams, "cls_weight_decay", 5e-4, CODE)
    new_rate: float = param(10.0, "rate of the three convolutions behind the backbone, times cls_lr", source=CODE, gt=0)
    extra_width: int = param(512, "channels of those convolutions", source=CODE, ge=1)

    view_count: int = param(20, "random views of each patch whose CAMs are averaged", source=CODE, ge=1)
    view_side: int = param(256, "side of a view before its random scale", unit="px", source=CODE, ge=32)
    view_spread: float = param(0.25, "largest change of that scale", source=CODE, ge=0.0, lt=1.0)

    seg_net: SegNet = with_default(PipelineParams, "seg_net", "deeplab", CODE)
    seg_backbone: EncoderName = with_default(PipelineParams, "seg_backbone", "resnet50", CODE)
    crop: int = with_default(PipelineParams, "crop", 224, CODE)
    ratio_min: float = with_default(PipelineParams, "ratio_min", 1.0, CODE)
    ratio_max: float = with_default(PipelineParams, "ratio_max", 1.0, CODE)
    seg_distortion: bool = with_default(PipelineParams, "seg_distortion", False, CODE)
    iterations: int | None = with_default(PipelineParams, "iterations", None, CODE)
    max_epochs: float | None = with_default(PipelineParams, "max_epochs", 100.0, CODE)
    seg_optimiser: SegOptimiser = with_default(PipelineParams, "seg_optimiser", "nesterov", CODE)
    seg_schedule: SegSchedule = with_default(PipelineParams, "seg_schedule", "steps", CODE)
    seg_lr: float = with_default(PipelineParams, "seg_lr", 2e-3, CODE)
    tta_scales: tuple[TtaScale, ...] = with_default(PipelineParams, "tta_scales", (1.0,), CODE)
    tta_flip: bool = with_default(PipelineParams, "tta_flip", False, CODE)
    agree_weight: float = param(2.0, "weight of a pixel where the other two nets agree", source=CODE, ge=0.0)
    differ_weight: float = param(0.5, "weight of a pixel where they differ", source=CODE, ge=0.0)
    kd_weight: float = param(0.2, "weight of the distance to the mean of the other two", symbol="α", source=CODE, ge=0)
    kd_temperature: float = param(30.0, "temperature of that distance", symbol="T", source=CODE, gt=0.0)


LOSS_FIELDS = ("agree_weight", "differ_weight", "kd_weight", "kd_temperature", "count_padding")


class HamSource(CamSource):
    """The CAMs of HAM-Net, averaged over depths and random views."""

    learns_from: ClassVar[tuple[str, ...]] = (*NET_FIELDS, "new_rate", "extra_width")
    masks_from: ClassVar[tuple[str, ...]] = (*CAM_FIELDS, "extra_width", "view_count", "view_side", "view_spread")

    def __init__(self, params: HamilParams) -> None:
        self._params = params

    def learn(
        self, train: View, validation: View, context: Context, earlier: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """The weights."""
        params = self._params
        patches = training_patches(train, params, context.classes)
        seed_torch(context, "ham-net", "weights")
        net = ham_net(params, len(context.classes), initialise=True)

        def loss(images: Tensor, present: Tensor) -> Tensor:
            return torch.stack([functional.multilabel_soft_margin_loss(z, present) for z in net(images)]).mean()

        def rate(step: int, per_epoch: int) -> float:
            return dropping_rate(step, per_epoch * params.cls_epochs, params.cls_lr)

        groups = rated_groups(net, params.new_rate)
        options: dict[str, Any] = {"rate": rate, "nesterov": params.cls_momentum > 0}
        return dict(
            train_on_patches(net, "ham-net", patches, patches.present, loss, groups, params, context, **options)
        )

    def masks(self, state: Mapping[str, Any], train: View, context: Context, *, refine: bool) -> Masks:
        """Merged CAMs. The views are the same for all patches and for both ways to ask."""
        net = ham_net(self._params, len(context.classes), initialise=False)
        net.load_state_dict(dict(state))
        place(net.eval(), context.device)
        drawn = draw_views(self._params, context.generator("ham-net", "views"))
        score = partial(mean_of_views, net, drawn, self._params, context.device)
        return merged_masks(score, train, self._params, context, refine)


def ham_net(params: HamilParams, classes: int, *, initialise: bool) -> HamNet:
    """The net on VGG16 with stride 8, or on another backbone."""
    if params.cls_backbone == VGG16:
        pretrained, weights = initialise and params.cls_pretrained, params.cls_weights if initialise else None
        backbone = vgg16(pretrained=pretrained, weights=weights)
    else:
        backbone = backbone_of(params, initialise=initialise)
    return HamNet(backbone, classes, frozen=initialise and keeps_norms(params), width=params.extra_width)


def rated_groups(net: HamNet, new_rate: float) -> Groups:
    """Four groups: weights and biases of the three convolutions and of the rest; biases at twice the rate."""
    groups: Groups = []
    for new in (False, True):
        for bias in (False, True):
            weights = [
                value
                for name, value in net.named_parameters()
                if value.requires_grad and name.startswith("extra.") is new and name.endswith("bias") is bias
            ]
            scale = (new_rate if new else 1.0) * (2.0 if bias else 1.0)
            groups += [{"params": weights, "lr_scale": scale}] if weights else []
    return groups


def draw_views(params: HamilParams, rng: np.random.Generator) -> list[PatchView]:
    """Random scales about `view_side`, flips and turns by 90°."""
    scales = 1 + params.view_spread * rng.uniform(-1, 1, params.view_count)
    return [(int(params.view_side * scale), int(rng.integers(4)), bool(rng.integers(2))) for scale in scales]


@torch.inference_mode()
def mean_of_views(
    net: HamNet, views: Sequence[PatchView], params: HamilParams, device: str, patches: Sequence[Patch]
) -> Tensor:
    """E: the mean over the views of HAM-Net's CAM, N × K × p × p, with -inf where the label excludes a class."""
    pixels, side = stacked(patches), (params.patch_side, params.patch_side)
    total = torch.zeros(1, device=device)
    for length, quarters, mirrored in views:
        images = standardised(resized(pixels, length), params, device).rot90(quarters, (-2, -1))
        with autocast(device, params.amp == "all"):
            maps = net.score_maps(images.flip(-1) if mirrored else images)
        maps = (maps.flip(-1) if mirrored else maps).rot90(-quarters, (-2, -1))
        total = total + resize(maps.float().contiguous(), side) / len(views)
    return refined(total, [patch.present for patch in patches])


class Trio(nn.Module):
    """Three nets of one kind. In training their logits one after the other, 3B × K × h × w; else the mean."""

    def __init__(self, nets: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nets = nn.ModuleList(nets)

    def forward(self, images: Tensor) -> tuple[Tensor, None]:
        """See the class."""
        logits = torch.stack([net(images)[0] for net in self.nets])
        return (logits.flatten(0, 1) if self.training else logits.mean(dim=0)), None


def taught_loss(own: Tensor, others: tuple[Tensor, Tensor], labels: Tensor, params: HamilParams) -> dict[str, Tensor]:
    """What one net minimises, by name; the other two are constants.

    "ce": cross-entropy on the pseudo-masks, pixels weighted by whether the others agree. "kd": T² times the divergence
    of its softened probabilities from those of the mean of the others' logits. Means over pixels that are not ignored,
    over all with `count_padding`.
    """
    first, second = (other.detach() for other in others)
    agree = first.argmax(dim=1) == second.argmax(dim=1)
    weights = torch.where(agree, params.agree_weight, params.differ_weight)
    losses = functional.cross_entropy(own, labels, ignore_index=IGNORE, reduction="none") * weights
    t = params.kd_temperature
    softened = functional.log_softmax(own / t, dim=1)
    distance = functional.kl_div(softened, ((first + second) / (2 * t)).softmax(dim=1), reduction="none").sum(dim=1)
    valid = torch.ones_like(labels, dtype=torch.bool) if params.count_padding else labels != IGNORE
    number = valid.sum().clamp_min(1)
    kd = t**2 * (distance * valid).sum() / number
    return {"ce": (losses * valid).sum() / number, "kd": params.kd_weight * kd}


def trio_loss(logits: Tensor, labels: Tensor, params: HamilParams) -> Tensor:
    """The sum of the three nets' losses. Logits as `Trio` gives them in training."""
    a, b, c = logits.float().unflatten(0, (NETS, -1))
    losses = [taught_loss(own, others, labels, params) for own, others in ((a, (b, c)), (b, (c, a)), (c, (a, b)))]
    return torch.stack([value for loss in losses for value in loss.values()]).sum()


class Hamil(CamPipeline[HamilParams]):
    """Multi-depth CAMs, and three segmentation nets, each of which learns where the other two agree."""

    name = "hamil"
    card = MethodCard(
        title="HAMIL: high-resolution activation maps and interleaved learning",
        citation=(
            "Zhong, Wang, Liao, Zhang: HAMIL: High-Resolution Activation Maps and Interleaved Learning for Weakly"
            " Supervised Segmentation of Histopathological Images. IEEE TMI 2023"
        ),
        paper="https://doi.org/10.1109/TMI.2023.3269798",
        notes="Its own paper has two lung sets; the number on GlaS is from a later table of comparisons.",
    )
    Params = HamilParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {
            **NET_QUICK,
            **SEG_QUICK,
            "cls_lr": 0.01,
            "new_rate": 1.0,
            "extra_width": 64,
            "view_count": 4,
            "view_side": 80,
            "iterations": 120,
            "seg_batch": 4,
            "examine_cam": False,
        },
        "smoke": {
            **NET_SMOKE,
            **SEG_SMOKE,
            "seg_net": "fpn",
            "extra_width": 8,
            "view_count": 2,
            "view_side": 32,
            "seg_min_lr": 0.0,
        },
    }
    loss_fields = LOSS_FIELDS

    def cam_source(self) -> CamSource:
        """HAM-Net's."""
        return HamSource(self.params)

    def create(self, classes: int, *, initialise: bool) -> nn.Module:
        """Three nets; heads and whatever has no published weights start differently."""
        return Trio([super(Hamil, self).create(classes, initialise=initialise) for _ in range(NETS)])

    def loss(self) -> PixelLoss:
        """That of all three."""
        return partial(trio_loss, params=self.params)
