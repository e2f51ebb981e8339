"""Adv-CAM (Lee, Kim, Yoon, CVPR 2021): patches are changed step by step so that a class is seen more, and CAMs summed.

The classifier is that of `cam-seg`, unchanged. At scoring each patch climbs along the gradient of its class's score
("anti-adversarial"), which lights up parts that did not count before; a regulariser holds what was lit back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.nn import functional

from benchmark.learning.nets.heads import resize
from benchmark.learning.segmentation.segmentation_params import SEG_QUICK, SEG_SMOKE
from benchmark.learning.segmentation.segmenter import Masks
from benchmark.learning.training import place
from benchmark.method import MethodCard, param, with_default

from .cam import ClassifierCam, Patch, merged_masks, stacked
from .cam_seg import CamPipeline, PipelineParams
from .cam_source import CamSource
from .classifier import CamNet, create_classifier
from .classifier_params import CAM_FIELDS, NET_QUICK, NET_SMOKE, TrainedParams, ViewScale
from .merging import refined
from .patches import resized, standardised

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.supervision import View

CODE = "Adv-CAM's released code"
AUTHOR = "its author, for the wide ResNet-38"
EPSILON = 1e-5


class AdvCamParams(PipelineParams, TrainedParams):
    """The classifier of `cam-seg`, and how patches climb."""

    cam_batch: int = with_default(PipelineParams, "cam_batch", 8, "memory: every step keeps its activations")
    adv_steps: int = param(8, "steps of each patch and class (27 for ResNet-50)", symbol="T", source=AUTHOR, ge=1)
    adv_keep: float = param(
        2.0, "weight of what holds lit parts back (7 for ResNet-50)", symbol="λ", source=AUTHOR, ge=0.0
    )
    adv_lit: float = param(0.5, "a part is lit above this share of the maximum", symbol="τ", source=CODE, ge=0.0, lt=1)
    adv_rate: float = param(
        0.08, "length of a step, in standardised pixels (the paper: 0.008)", symbol="ξ", source=CODE, gt=0.0
    )
    adv_scales: tuple[ViewScale, ...] = param(
        (1.0,), "scales, times cls_input, at which whole patches climb", source="R5; released code: 0.5, 1, 1.5, 2"
    )
    cam_norm: Literal["released", "paper"] = param(
        "released",
        "'released': a CAM is multiplied by the share of positive positions among positive gradients, on which λ"
        " depends; 'paper': it is not",
        source="R6",
    )


@dataclass(frozen=True)
class Climb:
    """Scores of one classifier, and how to climb them.

    `scores`: images B × 3 × H × W → class scores at every position, without bias, B × K × h × w. `bias`: K.
    `positive`: number of positive weights of each class, K, by which released CAMs are divided; None: 1.
    """

    scores: Callable[[Tensor], Tensor]
    bias: Tensor
    positive: Tensor | None
    steps: int
    rate: float
    keep: float
    lit: float

    def __call__(self, images: Tensor, target: int, steps: int | None = None) -> Tensor:
        """The sum of the CAMs of class `target` along the climb, N × h × w. Each image climbs with its mirror image."""
        x = torch.stack([images, images.flip(-1)], dim=1).detach()
        total = first = torch.zeros(())
        for step in range(steps or self.steps):
            x = x.requires_grad_()
            goal, cam = self.objective(x, target, first if step else None)
            first = first if step else cam
            total = total + cam
            if step + 1 < (steps or self.steps):
                (slope,) = torch.autograd.grad(goal.sum(), x)
                x = self.moved(x.detach(), slope)
        return total

    def objective(self, x: Tensor, target: int, first: Tensor | None) -> tuple[Tensor, Tensor]:
        """J of each image, N, and its CAM, N × h × w, without gradient. `x`: N × 2 × 3 × H × W; `first`: CAM of step 0.

        J = y_c - Σ_{k≠c} y_k - λ Σ M |CAM - CAM⁰|, y: mean of the positive scores, summed over both views; M: where
        the CAM is lit.
        """
        scores = self.scores(x.flatten(0, 1)).unflatten(0, x.shape[:2])
        positive = functional.relu(scores + self.bias[:, None, None]).mean(dim=(-2, -1)).sum(dim=1)
        own = functional.relu(scores[:, :, target])
        if self.positive is not None:
            count = (scores[:, :, target] > 0).sum(dim=(-2, -1)).to(own.dtype)
            share = count / (count.sum(dim=1, keepdim=True) * self.positive[target]).clamp_min(1)
            own = own * share[..., None, None]
        cam = own[:, 0] + own[:, 1].flip(-1)
        goal = 2 * positive[:, target] - positive.sum(dim=1)
        if first is not None:
            now = cam.detach()
            lit = now > self.lit * now.amax(dim=(1, 2), keepdim=True)
            goal = goal - self.keep * (lit * (cam - first).abs()).sum(dim=(1, 2))
        return goal, cam.detach()

    def moved(self, x: Tensor, slope: Tensor) -> Tensor:
        """One step, clipped to the range of values that the image has now: the range can only shrink."""
        axes = tuple(range(1, x.ndim))
        step = self.rate * slope / (slope.abs().amax(dim=axes, keepdim=True) + 1e-12)
        return torch.minimum(torch.maximum(x + step, x.amin(dim=axes, keepdim=True)), x.amax(dim=axes, keepdim=True))


def steps_at(scale: float, steps: int) -> int:
    """Steps at a scale: fewer at 0.5 (released code). That CAMs count twice if there are 11 or more cancels out."""
    return max(5, steps // 2) if scale == 0.5 and steps > 5 else steps


class AdvCamSource(ClassifierCam):
    """The classifier of `cam-seg`; masks by its CAM along the climb."""

    masks_from: ClassVar[tuple[str, ...]] = (
        *CAM_FIELDS,
        *("adv_steps", "adv_keep", "adv_lit", "adv_rate", "adv_scales", "cam_norm"),
    )

    def __init__(self, params: AdvCamParams) -> None:
        super().__init__(params)
        self._adv = params

    @property
    def learner(self) -> type[CamSource]:
        """What is learnt is the same as there, and found done."""
        return ClassifierCam

    def masks(self, state: Mapping[str, Any], train: View, context: Context, *, refine: bool) -> Masks:
        """Of whole patches, merged."""
        net = create_classifier(self._adv, len(context.classes), initialise=False)
        net.load_state_dict(dict(state))
        place(net.eval().requires_grad_(False), context.device)
        return merged_masks(partial(climbed, net, self._adv, context.device), train, self._adv, context, refine)


def climbed(net: CamNet, params: AdvCamParams, device: str, patches: Sequence[Patch]) -> Tensor:
    """E of whole patches: the climb's CAM of each class over its maximum, N × K × p × p; -inf where excluded.

    A class whose CAM is 0 everywhere is 0 everywhere, and loses every tie to a lower one.
    """
    released = params.cam_norm == "released"
    climb = Climb(
        partial(linear_scores, net),
        net.linear.bias,
        (net.linear.weight > 0).sum(dim=1) if released else None,
        params.adv_steps,
        params.adv_rate,
        params.adv_keep,
        params.adv_lit,
    )
    side = (params.patch_side, params.patch_side)
    maps = []
    for target in range(len(net.linear.bias)):
        total = torch.zeros(1, device=device)
        for scale in params.adv_scales:
            images = standardised(resized(stacked(patches), int(params.cls_input * scale)), params, device)
            cam = climb(images, target, steps_at(scale, params.adv_steps))
            total = total + resize(cam[:, None], side)[:, 0]
        maps.append(total / (total.amax(dim=(1, 2), keepdim=True) + EPSILON))
    return refined(torch.stack(maps, dim=1), [patch.present for patch in patches])


def linear_scores(net: CamNet, images: Tensor) -> Tensor:
    """The CAM without its bias, B × K × h × w."""
    return net.score_maps(images) - net.linear.bias[:, None, None]


class AdvCam(CamPipeline[AdvCamParams]):
    """Anti-adversarially manipulated attributions: climb towards the class, and sum what lights up."""

    name = "adv-cam"
    card = MethodCard(
        title="Adv-CAM: anti-adversarially manipulated attributions",
        citation=(
            "Lee, Kim, Yoon: Anti-Adversarially Manipulated Attributions for Weakly and Semi-Supervised Semantic"
            " Segmentation. CVPR 2021"
        ),
        paper="https://arxiv.org/abs/2103.08896",
        tables=("OEEM, Table 1, Adv-CAM",),
        notes="The segmentation stage is that of cam-seg, as in OEEM's comparison.",
    )
    Params = AdvCamParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "quick": {**NET_QUICK, **SEG_QUICK, "cls_input": 48, "cam_batch": 128, "adv_steps": 3, "examine_cam": False},
        "smoke": {**NET_SMOKE, **SEG_SMOKE, "adv_steps": 2, "examine_cam": False},
    }

    def refits(self) -> bool:
        """Unless the classifier is selected by validation slides."""
        return self.params.cls_select == "last"

    def cam_source(self) -> CamSource:
        """Adv-CAM's."""
        return AdvCamSource(self.params)
