"""The recurrent stage of top-k MIL: a small network reads the embeddings of a unit's top tiles, best first.

Campanella et al., Nature Medicine 2019, and their released code; open points: docs/methods/hybrid.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmark.learning.mil.top import top_tiles
from benchmark.learning.training import seed_torch

from .tiles import Tiles
from .topk_epochs import Plan, selectable, train_epochs
from .topk_params import TopkParams
from .topk_tiles import CLASSES, TileModel, probability, score_tiles, weighted_loss

if TYPE_CHECKING:
    from benchmark.context import Context

Floats = NDArray[np.float32]
Sequences = Sequence[Floats]
"""Per unit the embeddings of its top tiles, n × dim by descending probability; n = 0 without tissue."""
NAME = "rnn"


class Rnn(nn.Module):
    """s_t = ReLU(W₁ e_t + b₁ + W₂ s_{t−1} + b₂) with s₀ = 0, then logits W₃ s + b₃ of the last state.

    Sequences of a batch may differ in length: each ends in the state after its own last tile. The released code
    needs all of one length and breaks on a batch that holds a unit with fewer tiles.
    """

    def __init__(self, dim: int, state: int) -> None:
        super().__init__()
        self.embedding, self.state, self.output = (
            nn.Linear(dim, state),
            nn.Linear(state, state),
            nn.Linear(state, CLASSES),
        )

    def update(self, embeddings: Tensor, state: Tensor) -> Tensor:
        """One step: n × dim and n × state → n × state."""
        return torch.relu(self.embedding(embeddings) + self.state(state))

    def forward(self, sequences: Tensor, lengths: Tensor) -> Tensor:
        """Sequences n × longest × dim, of which only the first `lengths` (n) of each are read → logits n × 2."""
        state = sequences.new_zeros(len(sequences), self.state.in_features)
        for step in range(sequences.shape[1]):
            going_on = (step < lengths)[:, None]
            state = torch.where(going_on, self.update(sequences[:, step], state), state)
        logits: Tensor = self.output(state)
        return logits


def sequences_of(model: TileModel, tiles: Tiles, params: TopkParams, context: Context) -> list[Floats]:
    """The sequences of all units, from a frozen tile network."""
    scored = score_tiles(model, tiles, params.score_batch, context, "top tiles")
    lines = top_tiles(tiles.owners, scored, params.rnn_tiles)
    parts = np.split(lines, np.searchsorted(tiles.owners[lines], np.arange(1, len(tiles.cohort.units))))
    empty = np.zeros((0, 0), np.float32)
    return [
        model.embeddings(tiles.read(part[::-1]), params.score_batch) if part.size else empty
        for part in context.track(parts, "embeddings of top tiles", len(parts))
    ]


def train_rnn(
    sequences: Sequences,
    labels: NDArray[np.bool_],
    held_out: Sequences,
    known: NDArray[np.bool_],
    params: TopkParams,
    context: Context,
) -> dict[str, Any]:
    """Train on units that have tiles; what `train_epochs` returns, and `dim`, the length of an embedding."""
    usable = np.array([number for number, sequence in enumerate(sequences) if len(sequence)])
    dim = sequences[usable[0]].shape[1]
    seed_torch(context, NAME, "weights")
    net = Rnn(dim, params.rnn_state).to(context.device)
    sgd = torch.optim.SGD(
        net.parameters(), params.rnn_lr, momentum=params.rnn_momentum, nesterov=True, weight_decay=params.weight_decay
    )

    def epoch(number: int) -> float:
        order = context.generator(NAME, "order", number).permutation(usable)
        total = 0.0
        net.train()
        for start in range(0, len(order), params.rnn_batch):
            part = order[start : start + params.rnn_batch]
            targets = torch.from_numpy(labels[part].astype(np.int64)).to(context.device)
            logits = net(*padded([sequences[unit] for unit in part], context.device))
            loss = weighted_loss(logits, targets, params.class_weight)
            sgd.zero_grad(set_to_none=True)
            loss.backward()
            sgd.step()
            total += float(loss.detach()) * len(part)
        return total / len(order)

    watched = (lambda: unit_probabilities(net, held_out, context.device)) if selectable(known, context) else None
    plan = Plan(NAME, params.rnn_epochs, epoch, "rnn_lr", watched, known, every=1)
    return {**train_epochs(net, sgd, plan, context), "dim": dim}


def padded(sequences: Sequences, device: str) -> tuple[Tensor, Tensor]:
    """Sequences of one batch, n × longest × dim with zeros behind their ends, and their lengths, n."""
    lengths = [len(sequence) for sequence in sequences]
    together = np.zeros((len(lengths), max(lengths), sequences[0].shape[1]), np.float32)
    for row, sequence in zip(together, sequences, strict=True):
        row[: len(sequence)] = sequence
    return torch.from_numpy(together).to(device), torch.tensor(lengths, device=device)


def restored(kept: Mapping[str, Any], params: TopkParams, device: str) -> Rnn:
    """The network of what `train_rnn` returned."""
    net = Rnn(int(kept["dim"]), params.rnn_state)
    net.load_state_dict(dict(kept["net"]))
    return net.to(device).eval()


@torch.inference_mode()
def unit_probabilities(net: Rnn, sequences: Sequences, device: str) -> Floats:
    """Probability of class 1 of every unit; 0 for one without tiles. One by one, so that neighbours change no bit."""
    net.eval()
    scores = [float(probability(net(*padded([part], device)))[0]) if len(part) else 0.0 for part in sequences]
    return np.array(scores, np.float32)
