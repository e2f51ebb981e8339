"""The tile stage of top-k MIL: every epoch finds the top k tiles of each unit and learns from them under its label.

Campanella et al., Nature Medicine 2019, and their released code; open points: docs/methods/hybrid.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import DataError
from benchmark.learning.encoders.frozen import FrozenEncoder, create_encoder
from benchmark.learning.encoders.pace import hold, paced
from benchmark.learning.encoders.timm_nets import encoder_of, transform_of
from benchmark.learning.mil.top import highest, top_tiles
from benchmark.learning.training import place, seed_torch

from .tiles import FeatureTiles, Tiles
from .topk_epochs import Plan, labels_of, score_of, selectable, train_epochs
from .topk_params import TopkParams

if TYPE_CHECKING:
    from benchmark.context import Context

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
NAME = "tiles"
MEAN, DEVIATION = 0.5, 0.1
"""Pixels in [0, 1] are standardised with these, in every channel."""
CLASSES = 2


def frozen_encoder(params: TopkParams, side: int, device: str) -> FrozenEncoder | None:
    """What turns tiles of `side` px into rows of features where the encoder is frozen (encoder_rate=0), else None.

    Raises as `create_encoder` does.
    """
    if params.encoder_rate > 0:
        return None
    made = create_encoder(
        params.encoder,
        pretrained=params.encoder_pretrained,
        weights=params.encoder_weights,
        side=side,
        device=device,
    )
    if params.scaling == "encoder":
        return made
    mean, std = (MEAN,) * 3, (DEVIATION,) * 3
    return FrozenEncoder(made.module, name=made.name, dim=made.dim, side=side, device=device, mean=mean, std=std)


def tile_net(params: TopkParams, *, initialise: bool) -> nn.Module:
    """The encoder with global average pooling and logits of the two classes, n × 2. Raises as `encoder_of` does."""
    net = encoder_of(
        params.encoder,
        pretrained=params.encoder_pretrained and initialise,
        weights=params.encoder_weights if initialise else None,
        maps=False,
    )
    net.reset_classifier(CLASSES)  # type: ignore[operator]
    return net


def scaled(tiles: Pixels | Floats, params: TopkParams, device: str) -> Tensor:
    """Tiles on the device as the network takes them.

    Pixels, uint8 n × side × side × 3 → float32 n × 3 × side × side, standardised as `scaling` says; rows of features,
    n × dim, stay as they are.
    """
    if tiles.ndim == 2:
        return torch.from_numpy(np.array(tiles, np.float32)).to(device)
    pixels = tiles
    images = torch.from_numpy(np.require(pixels, requirements=["C", "W"])).to(device).permute(0, 3, 1, 2).float()
    if params.scaling == "released":
        return (images / 255 - MEAN) / DEVIATION
    transform = transform_of(params.encoder)
    mean, deviation = (torch.tensor(values, device=device).view(1, 3, 1, 1) for values in transform)
    return (images / 255 - mean) / deviation


def probability(logits: Tensor) -> Floats:
    """Softmax of n × 2 logits, probability of class 1: n."""
    return np.asarray(torch.softmax(logits.float(), dim=1)[:, 1].cpu().numpy())


def weighted_loss(logits: Tensor, labels: Tensor, weight: float) -> Tensor:
    """Cross-entropy Σ wᵢ lᵢ / Σ wᵢ with w = `weight` for the positive class and 1 − w for the negative one."""
    weights = torch.tensor([1 - weight, weight], dtype=logits.dtype, device=logits.device)
    return functional.cross_entropy(logits, labels, weight=None if weight == 0.5 else weights)


class TileModel:
    """A tile network in evaluation mode; where the encoder is frozen, its last layer, which takes rows of features."""

    def __init__(self, net: nn.Module, params: TopkParams, device: str) -> None:
        self._net, self._params, self._device = net.eval(), params, device

    @classmethod
    def of(cls, state: Mapping[str, Any], params: TopkParams, device: str) -> TileModel:
        """A network with these weights."""
        net = tile_net(params, initialise=False) if params.encoder_rate > 0 else _layer(state["weight"].shape[1])
        net.load_state_dict(dict(state))
        place(net, device)
        return cls(net, params, device)

    @torch.inference_mode()
    def probabilities(self, tiles: Pixels | Floats) -> Floats:
        """Tiles, or their features → n. In full precision, since rounding may put another tile on top."""
        return probability(self._net(scaled(tiles, self._params, self._device)))

    @torch.inference_mode()
    def embeddings(self, tiles: Pixels | Floats, batch: int) -> Floats:
        """Tiles n × side × side × 3 → n × dim, what the last layer sees: features as they are."""
        if tiles.ndim == 2:
            return np.array(tiles, np.float32)
        return np.concatenate(list(self._embedded(tiles, batch)))

    def _embedded(self, pixels: Pixels | Floats, batch: int) -> Iterator[Floats]:
        for start in range(0, len(pixels), batch):
            images = scaled(pixels[start : start + batch], self._params, self._device)
            maps = self._net.forward_features(images)  # type: ignore[operator]
            yield np.asarray(self._net.forward_head(maps, pre_logits=True).float().cpu().numpy())  # type: ignore[operator]


def _layer(dim: int) -> nn.Linear:
    return nn.Linear(dim, CLASSES)


def train_tiles(tiles: Tiles, held_out: Tiles | None, params: TopkParams, context: Context) -> dict[str, Any]:
    """Train the tile network; what `train_epochs` returns. Raises `DataError` when a class has no tissue tile.

    With a frozen encoder the tiles are `FeatureTiles` and the network is its last layer.
    """
    labels = labels_of(tiles.cohort)
    _require_tiles(tiles, labels)
    seed_torch(context, NAME, "weights")
    net = _layer(tiles.dim) if isinstance(tiles, FeatureTiles) else tile_net(params, initialise=True)
    place(net, context.device)
    head = [net] if isinstance(tiles, FeatureTiles) else [net.get_classifier()]  # type: ignore[operator]
    groups = paced(net, head, rate=params.encoder_rate)
    adam = torch.optim.Adam(groups, params.lr, weight_decay=params.weight_decay)
    for group in adam.param_groups:
        group["lr"] *= group.get("lr_scale", 1.0)

    def scores(of: Tiles, task: str) -> Floats:
        return score_tiles(TileModel(net, params, context.device), of, params.score_batch, context, task)

    def epoch(number: int) -> float:
        chosen = np.arange(tiles.owners.size)
        if np.bincount(tiles.owners).max() > params.top_tiles:  # else all tiles are top tiles, whatever they score
            scored = scores(tiles, f"epoch {number + 1} of {params.epochs}: all training tiles")
            context.log(f"{NAME}/training_score", score_of(highest(tiles.owners, scored, labels.size), labels), number)
            chosen = np.sort(top_tiles(tiles.owners, scored, params.top_tiles))
        chosen = context.generator(NAME, "order", number).permutation(chosen)
        total = 0.0
        net.train()
        hold(net, head, rate=params.encoder_rate)
        for lines in batches(chosen, params.batch):
            targets = torch.from_numpy(labels[tiles.owners[lines]].astype(np.int64)).to(context.device)
            loss = weighted_loss(net(scaled(tiles.read(lines), params, context.device)), targets, params.class_weight)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            total += float(loss.detach()) * len(lines)
        return total / len(chosen)

    known = labels_of(None if held_out is None else held_out.cohort)

    def validate() -> Floats:
        assert held_out is not None
        return highest(held_out.owners, scores(held_out, "validation tiles"), known.size)

    watched = validate if selectable(known, context) else None
    plan = Plan(NAME, params.epochs, epoch, "lr", watched, known, params.test_every)
    return train_epochs(net, adam, plan, context)


def score_tiles(model: TileModel, tiles: Tiles, batch: int, context: Context, task: str) -> Floats:
    """Probability of every line of `tiles.entries`; a tile that several units share is scored once."""
    scored = np.zeros(tiles.entries.size, np.float32)
    lattices = tiles.cohort.lattices
    for slide in context.track(range(len(lattices)), task, len(lattices)):
        parts = [model.probabilities(part) for part in tiles.stream(slide, batch)]
        if parts:
            lines = slice(*np.searchsorted(tiles.slides, [slide, slide + 1]).tolist())
            scored[lines] = np.concatenate(parts)[tiles.entries[lines]]
    return scored


def batches(order: Numbers, size: int) -> list[Numbers]:
    """`order` in parts of `size`; a last part of one tile, which has no batch statistics, joins the part before."""
    cuts = [cut for cut in range(size, len(order), size) if len(order) - cut > 1]
    return np.split(order, cuts)


def _require_tiles(tiles: Tiles, labels: NDArray[np.bool_]) -> None:
    having = labels[np.unique(tiles.owners)]
    for positive, name in ((True, "positive"), (False, "negative")):
        if not (having == positive).any():
            number = int((labels == positive).sum())
            raise DataError(
                f"none of the {number} {name} training units holds a tissue tile",
                fix="--set min_tissue=0 --set tissue=dataset",
            )
