"""LC-MIL (Wang, Popel, Sulam, 2021): bags drawn from inside and outside a coarse annotation; re-label every cell."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.learning.encoders.feature_rows import Rows
from benchmark.method import MethodCard

from .cells import Cells, Told
from .cleaner import CITATION, PAPER, Cleaner, Scores, checked, joined
from .cleaning_params import LCMIL_FIELDS, LCMIL_QUICK, LCMIL_RELEASED, LCMIL_SMOKE, LcmilParams
from .postprocess import blurred, cleaned_up

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.features import Features
    from benchmark.slides import Slide

    from .cleaning_nets import MilNet

Pool = Sequence[NDArray[np.int64]]
"""Per slide, the numbers of its cells of one class; slides without any are not in it."""


@dataclass(frozen=True, eq=False)
class Bag:
    """`cells`: numbers of the instances, one or more, drawn with replacement. `positive`: the bag's label."""

    cells: NDArray[np.int64]
    positive: bool


class Lcmil(Cleaner[LcmilParams]):
    """Label-cleaning multiple-instance learning on single slides."""

    name = "lcmil"
    card = MethodCard(
        title="LC-MIL (label cleaning by multiple-instance learning)",
        citation=CITATION,
        paper=PAPER,
        tables=("Table I, LC-MIL", "Table II, LC-MIL"),
        notes="Where paper and released code disagree, docs/methods/lcmil.md says what is followed.",
    )
    Params = LcmilParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "released": LCMIL_RELEASED,
        "quick": LCMIL_QUICK,
        "smoke": LCMIL_SMOKE,
    }
    suggested = True
    fields = LCMIL_FIELDS

    def learn(self, parts: list[tuple[Slide, Cells, Told]], axis: str, context: Context) -> dict[str, Any]:
        """Train on bags (Section III-B): one bag is one step of Adam, and the rate halves after every round."""
        seen = [self._features(slide, cells, context) for slide, cells, _ in parts]
        rows, labels = joined([(own, part[2][part[1].tissue]) for own, part in zip(seen, parts, strict=True)])
        net = self.create_net(rows.dim, axis, context)
        self.train(net, rows, self.bags(rows, labels, axis, context), axis, context)
        return {"net": {name: tensor.detach().cpu() for name, tensor in net.state_dict().items()}, "dim": rows.dim}

    def bags(self, rows: Rows, labels: Told, axis: str, context: Context) -> list[Bag]:
        """The bags of all rounds, in the order of training."""
        params = self.params
        return draw_bags(
            rows.of_class(labels, 1),
            rows.of_class(labels, 0),
            bags=params.bags,
            per_round=params.round_bags,
            mean=params.bag_mean,
            seed=context.seed_for(self.name, axis, "bags"),
        )

    def train(self, net: MilNet, rows: Rows, bags: list[Bag], axis: str, context: Context) -> None:
        """One step of Adam per bag. Loss and accuracy (of the same pass, L27) are logged after every round."""
        import torch

        from .cleaning_nets import Focal

        params = self.params
        loss_of = Focal.of(params)
        adam = torch.optim.Adam(net.parameters(), lr=params.lr, weight_decay=params.weight_decay, fused=True)
        losses, hits = 0.0, 0
        net.train()
        for step, bag in enumerate(context.track(bags, f"{self.name}: bags of {axis}", len(bags))):
            adam.param_groups[0]["lr"] = rate_at(step, params)
            probability = net(torch.from_numpy(rows.take(bag.cells)).to(context.device))
            loss = loss_of(probability, bag.positive)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            losses += checked(float(loss.detach()), f"{self.name}, {axis}")
            hits += int((float(probability.detach()) > 0.5) == bag.positive)
            if (step + 1) % params.round_bags == 0:
                epoch = step // params.round_bags
                context.log(f"{self.name}/{axis}/loss", losses / params.round_bags, epoch)
                context.log(f"{self.name}/{axis}/bag_accuracy", hits / params.round_bags, epoch)
                losses, hits = 0.0, 0

    def apply(self, model: dict[str, Any], slide: Slide, cells: Cells, context: Context) -> Scores:
        """Every cell as a bag of one (Eq. 10), without dropout unless `mc_dropout` asks for it (L1)."""
        net = self.create_net(model["dim"], slide.id, context, initial=False)
        net.load_state_dict(model["net"])
        rows = Rows([self._features(slide, cells, context)])
        passes = self.params.mc_dropout
        net.train(passes > 0)
        total = np.zeros(len(rows), np.float64)
        for _ in range(max(1, passes)):
            total += self._singletons(net, rows, context)
        scores: Scores = (total / max(1, passes)).astype(np.float32)
        return scores

    def decide(self, scores: Scores, tissue: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Blur, threshold (strictly above), small objects, then small holes (Section III-D)."""
        params = self.params
        smooth = blurred(scores, tissue, sigma=params.blur_sigma, kernel=params.blur_kernel, border=params.blur_border)
        return cleaned_up(smooth > params.threshold, min_object=params.min_object, min_hole=params.min_hole)

    def _features(self, slide: Slide, cells: Cells, context: Context) -> Features:
        return self.rows(slide, cells, cells.patches(self.params.patch), context)

    def _singletons(self, net: MilNet, rows: Rows, context: Context) -> NDArray[np.float64]:
        import torch

        scores = []
        with torch.no_grad():
            for start in range(0, len(rows), self.params.score_batch):
                numbers = np.arange(start, min(start + self.params.score_batch, len(rows)))
                scores.append(net.singletons(torch.from_numpy(rows.take(numbers)).to(context.device)).cpu().numpy())
        return np.concatenate(scores).astype(np.float64)

    def create_net(self, dim: int, axis: str, context: Context, *, initial: bool = True) -> MilNet:
        """FC layers (from ImageNet's where there are weights), attention and classifier; seeds PyTorch by `axis`."""
        from benchmark.learning.training import seed_torch

        from .cleaning_nets import FullyConnected, MilNet, head_weights

        params = self.params
        seed_torch(context, self.name, axis, "weights" if initial else "dropout")
        body = FullyConnected(dim, params.fc_width, params.embedding, params.dropout)
        net = MilNet(body, params.attention, biases=params.biases)
        if initial and (weights := head_weights(params)) is not None:
            body.start_from(weights)
        return net.to(context.device)


def rate_at(step: int, params: LcmilParams) -> float:
    """Learning rate of one bag: multiplied by `decay` after every round."""
    return float(params.lr * params.decay ** (step // params.round_bags))


def draw_bags(positive: Pool, negative: Pool, *, bags: int, per_round: int, mean: int, seed: int) -> list[Bag]:
    """`bags` bags in the order of training: rounds of `per_round`, half of them positive, shuffled within the round.

    All instances of a bag come from one slide, every slide of the pool being equally likely; lengths are those of
    `draw_length`. Raises `DataError` when a pool holds no cell.
    """
    for pool, side in ((positive, "inside"), (negative, "outside")):
        if not any(cells.size for cells in pool):
            raise DataError(f"no tissue cell lies {side} the coarse annotation, so no bags can be drawn")
    rng = np.random.default_rng(seed)
    pools = {True: [cells for cells in positive if cells.size], False: [cells for cells in negative if cells.size]}
    drawn: list[Bag] = []
    for _ in range(bags // per_round):
        labels = [True] * (per_round // 2) + [False] * (per_round // 2)
        made = [Bag(_instances(pools[label], mean, rng), label) for label in labels]
        drawn.extend(made[index] for index in rng.permutation(per_round))
    return drawn


def draw_length(mean: int, rng: np.random.Generator) -> int:
    """A bag length: Binomial(2 · mean, 0.5), drawn again when it is 0 (L18; about one in a million at mean 10)."""
    while True:
        length = int(rng.binomial(2 * mean, 0.5))
        if length:
            return length


def _instances(pool: Pool, mean: int, rng: np.random.Generator) -> NDArray[np.int64]:
    cells = pool[int(rng.integers(len(pool)))]
    return rng.choice(cells, size=draw_length(mean, rng), replace=True)
