"""DkNN: a net learns the coarse labels; each cell takes the majority label of its neighbours in feature space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import ConfigError
from benchmark.learning.encoders.feature_rows import Rows
from benchmark.method import MethodCard
from benchmark.slides import Grid

from .cells import Cells, Told, stride
from .cleaner import CITATION, PAPER, Cleaner, Scores, checked, joined
from .cleaning_params import DKNN_FIELDS, DKNN_QUICK, DKNN_RELEASED, DKNN_SMOKE, DknnParams
from .postprocess import cleaned_up

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.features import Features
    from benchmark.slides import Slide

    from .cleaning_nets import BinaryNet

Matrix = NDArray[np.float32]

SPARE = 8
"""Candidates beyond k: the index rounds distances, so the order of the last ones is settled in double precision."""
CHUNK = 1024
MOST = 16 * 2**30
"""Bytes of features above which a database is refused; the search holds it twice, the stage keeps it once."""


class Dknn(Cleaner[DknnParams]):
    """Deep k-nearest neighbours (Bahri et al., ICML 2020), the paper's baseline."""

    name = "dknn"
    card = MethodCard(
        title="Deep k-NN (baseline of LC-MIL)",
        citation=CITATION,
        paper=PAPER,
        tables=("Table I, DkNN", "Table II, DkNN"),
        notes="The released code takes features with dropout and from shifted patches; report both: "
        "--method dknn,dknn:feature_dropout=true:patch_shift=true",
    )
    Params = DknnParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "released": DKNN_RELEASED,
        "quick": DKNN_QUICK,
        "smoke": DKNN_SMOKE,
    }
    fields = DKNN_FIELDS

    def unteachable(self, cells: Cells, coarse: Told) -> str | None:
        """As for all, and when there are fewer cells than neighbours to ask."""
        others = int((coarse[cells.tissue] >= 0).sum()) - int(not self.params.include_self)
        too_few = f"there are {others} cells to choose {self.params.k} neighbours from"
        return super().unteachable(cells, coarse) or (too_few if others < self.params.k else None)

    def learn(self, parts: list[tuple[Slide, Cells, Told]], axis: str, context: Context) -> dict[str, Any]:
        """One epoch of binary cross-entropy on the coarse labels; then the features of all cells, with their labels.

        Cells of areas to ignore keep features for the scores of their own slide, and are no neighbour of any. Raises
        `ConfigError` where there are more than `MOST` bytes of them.
        """
        self._require_room(sum(int(cells.tissue.sum()) for _, cells, _ in parts))
        features = [self._features(slide, cells, context, train=True) for slide, cells, _ in parts]
        rows, labels = joined([(own, part[2][part[1].tissue]) for own, part in zip(features, parts, strict=True)])
        net = self._trained(rows, labels, axis, context)
        asked = Rows([self._features(slide, cells, context, train=False) for slide, cells, _ in parts])
        return {
            "net": {name: tensor.detach().cpu() for name, tensor in net.state_dict().items()},
            "dim": rows.dim,
            "features": self._deep(net, asked, f"{axis}, database", context),
            "labels": labels,
            "own": axis,
        }

    def _require_room(self, cells: int) -> None:
        wanted = cells * self.params.fc_width * 4
        if wanted > MOST:
            gib, most = f"{wanted / 2**30:.1f} GiB", f"{MOST / 2**30:.0f} GiB"
            what = f"{self.name} keeps {self.params.fc_width} numbers of each of {cells} cells, {gib}; at most {most}"
            raise ConfigError(what, fix="--set scope=slide, fewer slides (--slides N), or --set method.cell=…")

    def apply(self, model: dict[str, Any], slide: Slide, cells: Cells, context: Context) -> Scores:
        """Share of the k nearest cells that the coarse annotation calls lesion; on a tie the cell is none."""
        params, labels, features = self.params, np.asarray(model["labels"]), np.asarray(model["features"])
        known = labels >= 0
        database = features if known.all() else features[known]
        if model["own"] != slide.id:
            net = self._net(model["dim"], context)
            net.load_state_dict(model["net"])
            rows = Rows([self._features(slide, cells, context, train=False)])
            neighbours = nearest(self._deep(net, rows, slide.id, context), database, params.k)
        elif params.include_self:
            neighbours = nearest(features, database, params.k)
        else:
            neighbours = np.empty((len(features), params.k), np.int64)
            neighbours[known] = nearest(database, database, params.k, own=True)
            if not known.all():
                neighbours[~known] = nearest(features[~known], database, params.k)
        shares: Scores = (votes(labels[known] > 0, neighbours) / params.k).astype(np.float32)
        return shares

    def decide(self, scores: Scores, tissue: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """More than half of the neighbours; then small objects and small holes go."""
        positive = np.nan_to_num(scores) > 0.5
        return cleaned_up(positive, min_object=self.params.min_object, min_hole=self.params.min_hole)

    def _features(self, slide: Slide, cells: Cells, context: Context, *, train: bool) -> Features:
        """Patches centred on their cells, or shifted as released (L3)."""
        patches = cells.patches(self.params.patch)
        if self.params.patch_shift:
            patches = shifted(cells, self.params.patch, train=train)
        return self.rows(slide, cells, patches, context)

    def _trained(self, rows: Rows, labels: Told, axis: str, context: Context) -> BinaryNet:
        import torch
        from torch.nn import functional

        from benchmark.learning.training import seed_torch

        params = self.params
        seed_torch(context, self.name, axis, "weights")
        net = self._net(rows.dim, context, initial=True).train()
        adam = torch.optim.Adam(net.parameters(), lr=params.lr, weight_decay=params.weight_decay, fused=True)
        known = np.flatnonzero(labels >= 0)
        for epoch in range(params.epochs):
            order = known[context.generator(self.name, axis, "order", epoch).permutation(known.size)]
            losses = []
            for start in range(0, len(order), params.batch):
                numbers = order[start : start + params.batch]
                wanted = torch.from_numpy(labels[numbers].astype(np.float32)).to(context.device)
                seen = torch.from_numpy(rows.take(numbers)).to(context.device)
                loss = functional.binary_cross_entropy(net(seen).clamp(params.clamp, 1 - params.clamp), wanted)
                adam.zero_grad(set_to_none=True)
                loss.backward()
                adam.step()
                losses.append(checked(float(loss.detach()), f"{self.name}, {axis}"))
            context.log(f"{self.name}/{axis}/loss", float(np.mean(losses)), epoch)
        return net

    def _deep(self, net: BinaryNet, rows: Rows, axis: str, context: Context) -> NDArray[np.float32]:
        """What FC7 makes of every cell, n × width; of length 1 where `normalise` says so."""
        import torch

        from benchmark.learning.training import seed_torch

        seed_torch(context, self.name, axis, "dropout")
        net.train(self.params.feature_dropout)
        parts = []
        with torch.no_grad():
            for start in range(0, len(rows), self.params.score_batch):
                numbers = np.arange(start, min(start + self.params.score_batch, len(rows)))
                parts.append(net.body(torch.from_numpy(rows.take(numbers)).to(context.device)).cpu().numpy())
        features = np.concatenate(parts)
        return normalised(features) if self.params.normalise else features

    def _net(self, dim: int, context: Context, *, initial: bool = False) -> BinaryNet:
        from .cleaning_nets import BinaryNet, FullyConnected, head_weights

        body = FullyConnected(dim, self.params.fc_width, None, self.params.dropout)
        net = BinaryNet(body)
        if initial and (weights := head_weights(self.params)) is not None:
            body.start_from(weights)
        return net.to(context.device)


def shifted(cells: Cells, side: int, *, train: bool) -> Grid:
    """Where the released code reads: from the cell's upper left corner in training, from its centre afterwards."""
    unit = stride(cells.grid)
    offset = (cells.grid.width - unit) // 2 + (0 if train else unit // 2)
    return Grid(cells.grid.x + offset, cells.grid.y + offset, side, side)


def normalised(features: Matrix) -> Matrix:
    """Rows of length 1; then the squared Euclidean distance is 2 - 2 cos. A row of zeros stays."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit: Matrix = np.divide(features, length, out=np.zeros_like(features), where=length > 0)
    return unit


def nearest(queries: Matrix, database: Matrix, k: int, *, own: bool = False) -> NDArray[np.int64]:
    """The `k` rows of `database` nearest to each query (Euclidean), n × k: by distance, then by number.

    `own`: the queries are the database, and no row is its own neighbour. Raises `ConfigError` when there are fewer than
    k rows to choose from.
    """
    import faiss

    available = len(database) - int(own)
    if k > available:
        raise ConfigError(
            f"{k} neighbours were asked for, but there are only {available} cells", fix=f"--set k={available}"
        )
    index = faiss.IndexFlatL2(database.shape[1])
    index.add(np.ascontiguousarray(database, np.float32))
    wanted = min(len(database), k + int(own) + SPARE)
    parts = []
    for start in range(0, len(queries), CHUNK):
        part = np.ascontiguousarray(queries[start : start + CHUNK], np.float32)
        _, candidates = index.search(part, wanted)
        excluded = np.arange(start, start + len(part)) if own else None
        parts.append(_ranked(part, database, np.sort(candidates, axis=1), excluded)[:, :k])
    return np.concatenate(parts)


def votes(labels: NDArray[np.bool_], neighbours: NDArray[np.int64]) -> NDArray[np.int64]:
    """How many of each row's neighbours are positive."""
    return np.asarray(labels[neighbours].sum(axis=1, dtype=np.int64))


def _ranked(
    queries: Matrix, database: Matrix, candidates: NDArray[np.int64], excluded: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    """Candidates, ascending in number, by their exact distance; an excluded one comes last."""
    distances = np.empty(candidates.shape)
    for row, numbers in enumerate(candidates):
        gap = database[numbers].astype(np.float64) - queries[row]
        distances[row] = np.einsum("ij,ij->i", gap, gap)
    if excluded is not None:
        distances[candidates == excluded[:, None]] = np.inf
    return np.take_along_axis(candidates, np.argsort(distances, axis=1, kind="stable"), axis=1)
