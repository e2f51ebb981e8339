"""The retrieval net f_ret and the classifier f_cl: two copies of the trainable part of a cut encoder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from benchmark.errors import ConfigError
from benchmark.seeds import seed_of

from .triplet import triplet_loss

if TYPE_CHECKING:
    from benchmark.learning.encoders.cut import CutEncoder

    from .interactive_params import InteractiveParams

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]
State = dict[str, Any]

SHOWN, SHOWN_TO_GPU = 32, 512
"""Maps that a net is shown at once to embed or classify them."""


class MapSource(Protocol):
    """Stored maps under numbers, see `search_base.SearchBase`."""

    def maps(self, numbers: Numbers) -> Tensor:
        """The maps of some items, n × shape."""
        ...


class TwoNets:
    """f_ret: maps → embeddings n × d. f_cl: maps → logits n × C. Normalisation layers stay in evaluation mode.

    Maps are embedded and classified in batches of one shape, so on the CPU the result for a patch has the same bits
    whatever its neighbours. `seen`: the classes f_cl has learnt; the others are never predicted.
    """

    def __init__(self, encoder: CutEncoder, params: InteractiveParams, classes: int, device: str) -> None:
        self._encoder, self._params, self._classes = encoder, params, classes
        self.device = torch.device(device)
        self.seen = np.zeros(classes, np.bool_)
        self.untrained = self._head()
        self.ret, self.cl = self._head(), self._classifier(0)

    def _head(self) -> nn.Sequential:
        return self._encoder.copied_head().to(self.device)

    def _classifier(self, seed: int) -> nn.Sequential:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            linear = nn.Linear(self._encoder.width, self._classes)
        return nn.Sequential(*self._head(), linear).to(self.device)

    def fine_tune(self, maps: Tensor, labels: Numbers, *axes: int | str) -> dict[str, float]:
        """Train both nets on everything reviewed, n × shape; returns their last losses.

        f_ret is left as it is where all labels are one: there is no triplet. `axes` seed order and random layers.
        """
        params, seed = self._params, seed_of("fine-tune", *axes)
        maps = maps.to(self.device)
        if params.train_init == "pretrained":
            self.ret = self._head()
        if params.train_init == "pretrained" or not self.seen.any():
            self.cl = self._classifier(seed % 2**63)
        self.seen = np.isin(np.arange(self._classes), labels)
        targets = torch.from_numpy(labels).to(self.device)
        rng = np.random.default_rng(seed)
        losses = {"classifier": self._train(self.cl, maps, targets, self._shuffled(len(labels), rng), _cross_entropy)}
        if len(np.unique(labels)) > 1:
            draw = self._shuffled(len(labels), rng) if len(labels) <= params.batch_size else self._balanced(labels, rng)
            losses["retrieval"] = self._train(self.ret, maps, targets, draw, self._triplets)
        return losses

    def _train(
        self,
        net: nn.Sequential,
        maps: Tensor,
        targets: Tensor,
        batches: Iterator[Numbers],
        loss_of: Callable[[Tensor, Tensor], Tensor],
    ) -> float:
        optimiser = torch.optim.Adam(net.parameters(), lr=self._params.lr)
        value = 0.0
        for batch in batches:
            chosen = torch.from_numpy(batch).to(self.device)
            loss = loss_of(net(maps[chosen]), targets[chosen])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            value = float(loss.detach())
        if not np.isfinite(value):
            raise ConfigError(f"fine-tuning: the loss became {value}", fix="lower the learning rate: --set lr=1e-5")
        return value

    def _triplets(self, embeddings: Tensor, labels: Tensor) -> Tensor:
        params = self._params
        return triplet_loss(
            embeddings,
            labels,
            margin=params.margin,
            mining=params.mining,
            squared=params.squared,
            normalise=params.normalise,
            reduction=params.reduction,
        )

    def _steps(self, per_epoch: int) -> int:
        steps = self._params.epochs * per_epoch
        return steps if self._params.max_steps is None else min(steps, self._params.max_steps)

    def _shuffled(self, number: int, rng: np.random.Generator) -> Iterator[Numbers]:
        """Shuffled epochs in batches of at most `batch_size`."""
        size = min(number, self._params.batch_size)
        left = self._steps(-(-number // size))
        while left:
            order = rng.permutation(number)
            for start in range(0, number, size)[:left]:
                yield order[start : start + size]
                left -= 1

    def _balanced(self, labels: Numbers, rng: np.random.Generator) -> Iterator[Numbers]:
        """Batches with `per_class` items of every class, as many as an epoch has."""
        pools = [np.flatnonzero(labels == label) for label in np.unique(labels)]
        size = len(pools) * self._params.per_class
        for _ in range(self._steps(-(-len(labels) // size))):
            yield np.concatenate([rng.choice(pool, min(self._params.per_class, pool.size), False) for pool in pools])

    def embed(self, base: MapSource, numbers: Numbers, *, untrained: bool = False) -> Floats:
        """Embeddings of some items, n × d, by f_ret as it is or as it was before any training."""
        net = self.untrained if untrained else self.ret
        return self._outputs(net, base, numbers, self._encoder.width)

    def probabilities(self, base: MapSource, numbers: Numbers) -> Floats:
        """Class probabilities of some items, n × C; 0 for classes that f_cl has not learnt."""
        logits = torch.from_numpy(self._outputs(self.cl, base, numbers, self._classes))
        logits[:, torch.from_numpy(~self.seen)] = -torch.inf
        return np.asarray(torch.softmax(logits, dim=1).numpy(), np.float32)

    def _outputs(self, net: nn.Module, base: MapSource, numbers: Numbers, width: int) -> Floats:
        # The kernels of convolutions and products are chosen by the shape of the batch, and round differently.
        size = SHOWN if self.device.type == "cpu" else SHOWN_TO_GPU
        outputs = np.empty((len(numbers), width), np.float32)
        with torch.inference_mode():
            for start in range(0, len(numbers), size):
                maps = base.maps(numbers[start : start + size])
                shown = torch.zeros(size, *maps.shape[1:], device=self.device)
                shown[: len(maps)] = maps
                outputs[start : start + size] = net(shown)[: len(maps)].cpu().numpy()
        return outputs

    def state(self) -> State:
        """Weights of both nets and the classes seen."""
        return {"ret": _weights(self.ret), "cl": _weights(self.cl), "seen": self.seen.copy()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what another pair of the same encoder learnt."""
        self.ret.load_state_dict(dict(state["ret"]))
        self.cl.load_state_dict(dict(state["cl"]))
        self.seen = np.asarray(state["seen"], np.bool_).copy()


def _weights(net: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in net.state_dict().items()}


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return functional.cross_entropy(logits, labels)
