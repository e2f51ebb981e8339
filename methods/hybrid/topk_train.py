"""The tile stage (sheet §2.9): every epoch finds the top k tiles of each unit and learns from them under its label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.learning.training import place, seed_torch

from .tiles import Tiles, highest, top_tiles
from .topk_epochs import Plan, labels_of, score_of, selectable, train_epochs
from .topk_net import TileModel, scaled, tile_net, weighted_loss

if TYPE_CHECKING:
    from benchmark.context import Context

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
NAME = "tiles"


def train_tiles(tiles: Tiles, held_out: Tiles | None, params: Any, context: Context) -> dict[str, Any]:
    """Train the tile network; what `train_epochs` returns. Raises `DataError` when a class has no tissue tile."""
    labels = labels_of(tiles.cohort)
    _require_tiles(tiles, labels)
    seed_torch(context, NAME, "weights")
    net = tile_net(params, initialise=True)
    place(net, context.device)
    adam = torch.optim.Adam(net.parameters(), params.lr, weight_decay=params.weight_decay)

    def scores(of: Tiles, what: str) -> Floats:
        return score_tiles(TileModel(net, context.device), of, params.score_batch, context, what)

    def epoch(number: int) -> float:
        chosen = np.arange(tiles.owners.size)
        if np.bincount(tiles.owners).max() > params.top_tiles:  # else all tiles are top tiles, whatever they score
            found = scores(tiles, f"epoch {number + 1} of {params.epochs}: all training tiles")
            context.log(f"{NAME}/training_score", score_of(highest(tiles.owners, found, labels.size), labels), number)
            chosen = np.sort(top_tiles(tiles.owners, found, params.top_tiles))
        chosen = context.generator(NAME, "order", number).permutation(chosen)
        total = 0.0
        net.train()
        for lines in batches(chosen, params.batch):
            targets = torch.from_numpy(labels[tiles.owners[lines]].astype(np.int64)).to(context.device)
            loss = weighted_loss(net(scaled(tiles.read(lines), context.device)), targets, params.class_weight)
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


def score_tiles(model: TileModel, tiles: Tiles, batch: int, context: Context, what: str) -> Floats:
    """Probability of every line of `tiles.entries`; a tile that several units share is scored once."""
    found = np.zeros(tiles.entries.size, np.float32)
    lattices = tiles.cohort.lattices
    for slide in context.track(range(len(lattices)), what, len(lattices)):
        parts = [model.probabilities(pixels) for pixels in tiles.stream(slide, batch)]
        if parts:
            lines = slice(*np.searchsorted(tiles.slides, [slide, slide + 1]).tolist())
            found[lines] = np.concatenate(parts)[tiles.entries[lines]]
    return found


def batches(order: Numbers, size: int) -> list[Numbers]:
    """`order` in parts of `size`; a last part of one tile, of which no batch statistics can be had, joins the rest."""
    cuts = [cut for cut in range(size, len(order), size) if len(order) - cut > 1]
    return np.split(order, cuts)


def _require_tiles(tiles: Tiles, labels: NDArray[np.bool_]) -> None:
    having = labels[np.unique(tiles.owners)]
    for positive, name in ((True, "positive"), (False, "negative")):
        if not (having == positive).any():
            what = f"none of the {int((labels == positive).sum())} {name} training units holds a tissue tile"
            raise DataError(what, fix="--set min_tissue=0 --set tissue=dataset")
