"""The classification stage: patch labels → a net whose linear layer, at every position, is the CAM (paper §2.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import ConfigError
from benchmark.learning.nets.backbones import Backbone
from benchmark.learning.nets.patch_net import PatchNet
from benchmark.learning.training import Training, autocast, place, poly_rate, seed_torch, train_steps

from .classifier_params import PatchNetParams, TrainedParams
from .patch_training import backbone_of, epoch_steps, keeps_norms, patch_batches, training_patches
from .patches import PatchSet, resized, standardised

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.supervision import View

STAGE = "classifier"
RELEASED_MOMENTUM = 1e-4
"""The released optimiser takes weight decay for momentum, and has no decay (D1)."""


class CamNet(PatchNet):
    """Backbone, fused feature F (its three maps side by side), linear layer: z_k = b_k + Σ_c W_kc · mean F_c.

    With `frozen`, the first convolution and every BatchNorm stay as they were loaded (D16).
    """

    def __init__(self, backbone: Backbone, classes: int, *, frozen: bool = False) -> None:
        super().__init__(backbone, frozen=frozen)
        self.linear = nn.Linear(sum(backbone.channels), classes)

    def fused(self, images: Tensor) -> Tensor:
        """B × 3 × H × W → B × C × H/8 × W/8 (D13: plain concatenation, all maps have stride 8)."""
        return torch.cat(self.backbone(images), dim=1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits B × K."""
        logits: Tensor = self.linear(self.fused(images).mean(dim=(2, 3)))
        return logits

    def score_maps(self, images: Tensor) -> Tensor:
        """The CAM, B × K × h × w: weights and bias at every position, no ReLU, no normalisation (D14)."""
        return functional.conv2d(self.fused(images), self.linear.weight[:, :, None, None], self.linear.bias)


def create_classifier(params: PatchNetParams, classes: int, *, initialise: bool) -> CamNet:
    """The net with initial weights as the parameters say, or at random when trained ones will be loaded."""
    backbone = backbone_of(params, initialise=initialise)
    return CamNet(backbone, classes, frozen=initialise and keeps_norms(params))


def train_classifier(train: View, validation: View, params: TrainedParams, context: Context) -> dict[str, Tensor]:
    """Train on patch labels and return the weights, on the CPU: binary cross-entropy per class, SGD.

    `cls_select` "best" compares the epochs by the loss on the patch labels of `validation`, never on masks or test
    slides (D20). Raises `ConfigError` when there is nothing to train on or to select by.
    """
    patches = training_patches(train, params, context.classes)
    steps = epoch_steps(params, len(patches))
    seed_torch(context, STAGE, "weights")
    net = create_classifier(params, len(context.classes), initialise=True)
    place(net, context.device)
    net.train()
    training = Training(
        STAGE,
        steps * params.cls_epochs,
        batch=patch_batches(STAGE, patches.pixels, patches.present, steps, params, context),
        loss=lambda batch: _loss(net(standardised(batch[0], params, context.device)), batch[1]),
        rate=_rate(params, steps),
        save_every=steps,
        validate=_validation(net, validation, params, context) if params.cls_select == "best" else None,
        validate_every=steps,
        half=params.amp != "none",
    )
    train_steps(net, _optimiser(net, params), training, context)
    return {name: value.detach().cpu() for name, value in net.state_dict().items()}


def released_rate(step: int, epochs: int, base: float) -> float:
    """The rate of the released code (D1): poly 0.9 over as many steps as there are epochs, then constant."""
    return poly_rate(min(step, epochs - 1), epochs, base)


def _rate(params: TrainedParams, steps: int) -> Callable[[int], float]:
    epochs, base = params.cls_epochs, params.cls_lr
    if params.cls_schedule == "released":
        return lambda step: released_rate(step, epochs, base)
    return lambda step: poly_rate(step, steps * epochs, base)


def _optimiser(net: CamNet, params: TrainedParams) -> torch.optim.SGD:
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    if params.cls_schedule == "released":
        return torch.optim.SGD(trained, params.cls_lr, momentum=RELEASED_MOMENTUM, weight_decay=0.0)
    return torch.optim.SGD(trained, params.cls_lr, momentum=params.cls_momentum, weight_decay=params.cls_weight_decay)


def _loss(logits: Tensor, present: Tensor) -> Tensor:
    return functional.binary_cross_entropy_with_logits(logits.float(), present.to(logits.device))


def _validation(net: CamNet, validation: View, params: TrainedParams, context: Context) -> Callable[[], float]:
    if not len(validation):
        raise ConfigError("cls_select 'best' needs validation slides, and there are none", fix="--set cls_select=last")
    held_out = PatchSet.of(validation, params)
    return lambda: validation_loss(net, held_out, params, context)


@torch.inference_mode()
def validation_loss(net: CamNet, patches: PatchSet, params: TrainedParams, context: Context) -> float:
    """Mean binary cross-entropy on whole patches, without augmentation. The net is left in training mode."""
    net.eval()
    total = 0.0
    for start in range(0, len(patches), params.cls_batch):
        images = torch.from_numpy(np.stack(patches.pixels[start : start + params.cls_batch])).permute(0, 3, 1, 2)
        present = torch.from_numpy(patches.present[start : start + params.cls_batch]).float()
        with autocast(context.device, params.amp == "all"):
            logits = net(standardised(resized(images, params.cls_input), params, context.device))
        total += _loss(logits, present).item() * len(present)
    net.train()
    return total / len(patches)
