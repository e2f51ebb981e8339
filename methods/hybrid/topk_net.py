"""The tile network: a timm encoder with two outputs, its inputs, its loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.learning.training import place

from .nets import encoder_of

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

MEAN, DEVIATION = 0.5, 0.1
"""Pixels in [0, 1] are standardised with these, in every channel."""
CLASSES = 2


def tile_net(params: Any, *, initialise: bool) -> nn.Module:
    """The encoder with global average pooling and logits of the two classes, n × 2. Raises as `encoder_of` does."""
    net = encoder_of(
        params.encoder,
        pretrained=params.encoder_pretrained and initialise,
        weights=params.encoder_weights if initialise else None,
        maps=False,
    )
    net.reset_classifier(CLASSES)  # type: ignore[operator]
    return net


def scaled(pixels: Pixels, device: str) -> Tensor:
    """uint8 n × side × side × 3 → float32 n × 3 × side × side on the device, standardised."""
    images = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(device).permute(0, 3, 1, 2).float()
    return (images / 255 - MEAN) / DEVIATION


def probability(logits: Tensor) -> Floats:
    """Softmax of n × 2 logits, probability of class 1: n."""
    return np.asarray(torch.softmax(logits.float(), dim=1)[:, 1].cpu().numpy())


def weighted_loss(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Cross-entropy Σ wᵢ lᵢ / Σ wᵢ with w = `weight` for the positive class and 1 − w for the negative one."""
    weights = torch.tensor([1 - weight, weight], dtype=logits.dtype, device=logits.device)
    return functional.cross_entropy(logits, labels, weight=None if weight == 0.5 else weights)


class TileModel:
    """A tile network in evaluation mode."""

    def __init__(self, net: nn.Module, device: str) -> None:
        self._net, self._device = net.eval(), device

    @classmethod
    def of(cls, state: Mapping[str, Any], params: Any, device: str) -> TileModel:
        """A network with these weights."""
        net = tile_net(params, initialise=False)
        net.load_state_dict(dict(state))
        place(net, device)
        return cls(net, device)

    @torch.inference_mode()
    def probabilities(self, pixels: Pixels) -> Floats:
        """Tiles n × side × side × 3 → n. In full precision, for a rounded value may put another tile on top."""
        return probability(self._net(scaled(pixels, self._device)))

    @torch.inference_mode()
    def embeddings(self, pixels: Pixels, batch: int) -> Floats:
        """Tiles n × side × side × 3 → n × dim, what the last layer sees."""
        return np.concatenate(list(self._embedded(pixels, batch)))

    def _embedded(self, pixels: Pixels, batch: int) -> Iterator[Floats]:
        for start in range(0, len(pixels), batch):
            maps = self._net.forward_features(scaled(pixels[start : start + batch], self._device))  # type: ignore[operator]
            yield np.asarray(self._net.forward_head(maps, pre_logits=True).float().cpu().numpy())  # type: ignore[operator]
