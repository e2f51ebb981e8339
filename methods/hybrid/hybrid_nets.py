"""The networks of both stages, and the patch model θ1 as it predicts: folded, averaged, several patches at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

from benchmark.learning.augment import IMAGENET_MEAN, IMAGENET_STD
from benchmark.learning.encoders.timm_nets import encoder_of, transform_of
from benchmark.learning.nets.dla import DlaUp
from benchmark.learning.nets.khened import MEMBERS, KhenedNet, create_khened, mean_over_views
from benchmark.learning.nets.khened import scaled as khened_scaled
from benchmark.learning.training import autocast, place

from .hybrid_params import PixelParams
from .side_by_side import begun

Pixels = NDArray[np.uint8]
State = dict[str, Tensor]

CACHED = 2**17
"""Pixels that go through a net at once on a CPU, unless one patch has more; sixteen patches of 512 px take three times
as long each."""
SETTLING = 20
"""Training batches over which BatchNorm statistics are recomputed."""


def members(params: PixelParams) -> int:
    """How many patch models are averaged."""
    if _khened(params):
        return len(MEMBERS)
    return params.ensemble


def patch_net(params: PixelParams, member: int, *, initialise: bool) -> nn.Module:
    """One of the patch models θ1, whose mean is taken: DLA34up, or a member of the Khened-style ensemble."""
    if _khened(params):
        net: nn.Module = create_khened(MEMBERS[member], pretrained=params.encoder_pretrained and initialise)
        return net
    encoder = encoder_of(
        params.encoder,
        pretrained=params.encoder_pretrained and initialise,
        weights=params.encoder_weights if initialise else None,
        maps=True,
    )
    return DlaUp(encoder, encoder.feature_info.channels())  # type: ignore[union-attr, operator]


def slide_net(params: PixelParams, *, initialise: bool) -> nn.Module:
    """θ2: the encoder, global average pooling, one logit per patch.

    The logit starts small, as PyTorch has it (within 1/√channels). timm spreads a classifier's weights by the number of
    its outputs; with one (DLA, EfficientNet, MobileNet) they begin at ± 1, and no short training gets away from there.
    """
    net = encoder_of(
        params.encoder,
        pretrained=params.encoder_pretrained and initialise,
        weights=params.encoder_weights if initialise else None,
        maps=False,
    )
    if initialise:
        for part in slide_head(net):
            part.reset_parameters()  # type: ignore[operator]
    return net


def scaled(pixels: Pixels, params: PixelParams, device: str, *, patch_model: bool = True) -> Tensor:
    """uint8 n × side × side × 3 → float32 n × 3 × side × side on the device, as the nets were trained to see it."""
    images = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(device).permute(0, 3, 1, 2).float()
    if patch_model and _khened(params):
        return khened_scaled(images)
    if params.scaling == "unit":
        return images / 255
    transform: tuple[tuple[float, ...], tuple[float, ...]] = IMAGENET_MEAN, IMAGENET_STD
    if params.scaling == "encoder":
        images, transform = images / 255, transform_of(params.encoder)
    mean, deviation = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in transform)
    return (images - mean) / deviation


def settle(net: nn.Module, batches: Iterator[Tensor]) -> None:
    """Recompute mean and variance of every BatchNorm in training mode: their averages over some training batches.

    As `torch.optim.swa_utils.update_bn`, which would wake those of a frozen encoder too.
    """
    norms = [part for part in net.modules() if isinstance(part, _BatchNorm) and part.training]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
    with torch.no_grad():
        for images in batches:
            net(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def patch_head(net: nn.Module) -> list[nn.Module]:
    """The layers of a patch model that no encoder's weights fill."""
    if isinstance(net, KhenedNet):
        return [net.head, *(part for name, part in net.body.named_children() if name != "encoder")]
    return [part for name, part in net.named_children() if name != "encoder"]


def slide_head(net: nn.Module) -> list[nn.Module]:
    """The layer of a slide model that no encoder's weights fill."""
    return [net.get_classifier()]  # type: ignore[operator]


def _khened(params: PixelParams) -> bool:
    return params.nets == "khened"


class PatchModel:
    """θ1 in evaluation mode: the probability of every pixel of a patch, averaged over the ensemble."""

    def __init__(self, params: PixelParams, states: list[Mapping[str, Any]], device: str) -> None:
        self._params, self._device = params, device
        self._nets = [patch_net(params, member, initialise=False) for member in range(len(states))]
        for net, state in zip(self._nets, states, strict=True):
            net.load_state_dict(dict(state))
            place(folded(net.eval()), device)

    def logits(self, pixels: Pixels) -> NDArray[np.float32]:
        """Patches n × side × side × 3 → logits n × h × w at the nets' own stride, float32."""
        return self.begin(pixels)()

    def begin(self, pixels: Pixels) -> Callable[[], NDArray[np.float32]]:
        """Start computing `logits` beside the caller; the function returned waits for them."""
        wait = begun(self._logits, portions(pixels, self._device), self._device)
        return lambda: np.concatenate(wait())

    @torch.inference_mode()
    def _logits(self, pixels: Pixels) -> NDArray[np.float32]:
        images = scaled(pixels, self._params, self._device)
        with autocast(self._device, self._params.amp == "all"):
            if len(self._nets) == 1 and not self._params.turns:
                return np.asarray(_maps(self._nets[0], images)[:, 0].cpu().numpy())
            means = [self._mean(partial(_maps, net), images) for net in self._nets]
        mean = torch.stack([maps.double() for maps in means]).mean(dim=0)[:, 0]
        return np.asarray(torch.logit(mean, eps=1e-12).float().cpu().numpy())

    def _mean(self, net: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
        return mean_over_views(net, images) if self._params.turns else torch.sigmoid(net(images))


def folded(net: nn.Module) -> nn.Module:
    """The net in evaluation mode with every BatchNorm that follows a convolution in a sequence folded into it."""
    for chain in [module for module in net.modules() if isinstance(module, nn.Sequential)]:
        for number, (layer, norm) in enumerate(pairwise(list(chain))):
            if isinstance(layer, nn.Conv2d) and type(norm) is nn.BatchNorm2d:
                chain[number], chain[number + 1] = fuse_conv_bn_eval(layer, norm), nn.Identity()
    return net


def portions(pixels: Pixels, device: str) -> Iterator[Pixels]:
    """The patches in parts that go through a net at once: all of them, or on a CPU as many as fit its cache."""
    number = len(pixels) if device != "cpu" else max(1, CACHED // (pixels.shape[1] * pixels.shape[2]))
    for start in range(0, len(pixels), number):
        yield pixels[start : start + number]


def _maps(net: nn.Module, images: Tensor) -> Tensor:
    """Logits B × 1 × h × w."""
    logits: Tensor = net(images).float()
    return logits.reshape(len(images), 1, *logits.shape[-2:])


def probabilities(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """σ of logits, float32."""
    return np.asarray(torch.sigmoid(torch.from_numpy(logits)).numpy())


def enlarged(maps: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Maps n × h × w brought to n × side × side by repeating pixels (nearest neighbour)."""
    if maps.shape[-1] == side:
        return maps
    index = ((np.arange(side) + 0.5) * maps.shape[-1] / side).astype(np.int64)
    return maps[:, index[:, None], index[None, :]]
