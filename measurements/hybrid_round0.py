"""Hybrid supervision's rounds taken apart: how well patches and slides are ranked, split by split and round by round.

python measurements/hybrid_round0.py COMPOSED [--rounds 0] [--seed 0] [--stages FOLDER] [--set name=value …]

COMPOSED: a folder in the layout of camelyon16, with truth. Per split the AUC of patches (lesion on more than half of
the area against none) by the highest and by the mean probability of their pixels, within slides (mean over slides with
both) and over all; the share of patches that reach T on slides with and without lesion; the share of lesion among the
top K patches of slides with lesion, beside that of all their patches; the AUC of slides by their highest patch, by the
mean of their patches' means, and by θ2. Prints a Markdown table, a row per split and round.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmark.config import read_setting, resolve
from benchmark.context import Context, SilentReporter
from benchmark.dataset import Dataset, Split
from benchmark.learning.mil.lattice import Lattice
from benchmark.methods.hybrid.e_step import kept, look
from benchmark.methods.hybrid.hybrid import Hybrid
from benchmark.methods.hybrid.hybrid_nets import PatchModel, probabilities
from benchmark.methods.hybrid.hybrid_params import HybridParams
from benchmark.methods.hybrid.rounds import Round
from benchmark.methods.hybrid.slide_model import SlideModel
from benchmark.metrics.classification import auc
from benchmark.registry import datasets
from benchmark.running.device import prepare
from benchmark.supervision import Labels, Ledger, View

Floats = NDArray[np.float64]
HEAD = (
    *("round", "split", "slides", "patches", "AUC of patches by highest", "by mean", "within slides, highest", "mean"),
    *("≥ T with / without lesion", "lesion in top K / in all", "AUC of slides by highest", "by mean", "by θ2"),
)


class Parts(Hybrid):
    """Hybrid supervision that keeps all its rounds."""

    made: list[Round]

    def _best(self, rounds: list[Round]) -> int:
        self.made = rounds
        return super()._best(rounds)


def fitted(dataset: Dataset, params: HybridParams, seed: int, folder: Path) -> tuple[Parts, Context]:
    """Hybrid supervision fitted on the training slides."""
    prepare("cpu", seed)
    ledger, method = Ledger(), Parts(params)
    context = Context(
        geometry=dataset, folder=folder, ledger=ledger, seed=seed, data_digest="composed", reporter=SilentReporter()
    )
    context.bind(method)
    views = []
    for split in (Split.TRAIN, Split.VALIDATION):
        slides = dataset.slides(split)
        labels = Labels(dataset, slides, method.supervision, ledger, owner="hybrid", budgets=method.budgets())
        views.append(View(slides, labels))
    method.fit(*views, context)
    return method, context


def of_slide(
    models: tuple[PatchModel, SlideModel], lattice: Lattice, lesion: NDArray[np.float64], params: HybridParams
) -> tuple[NDArray[np.float64], list[float]]:
    """Per patch: lesion share, highest and mean probability; per slide: lesion in top K and in all, the score of θ2."""
    rows = []
    for numbers, logits in look(models[0], lattice, params.score_batch):
        maps = probabilities(logits)
        rows.append(np.stack([lesion[numbers], logits.max(axis=(1, 2)), maps.mean(axis=(1, 2)), numbers], axis=1))
    table = np.concatenate(rows).astype(float)
    top = table[np.argsort(-table[:, 1], kind="stable")[: params.top_patches]]
    score = models[1].probabilities(np.stack([lattice.read(int(number)) for number in top[:, 3]])).mean()
    return table, [float((top[:, 0] > 0).mean()), float((table[:, 0] > 0).mean()), float(score)]


def described(
    dataset: Dataset, split: Split, number: int, made: Round, params: HybridParams, context: Context, side: int
) -> list[str]:
    """One row of the table."""
    from benchmark.learning.mil.cohort import lattice_of

    models = PatchModel(params, made.theta1, "cpu"), SlideModel(params, made.theta2, "cpu")
    slides, tables, about = list(dataset.slides(split)), [], []
    for slide in slides:
        lattice = lattice_of(slide, params, context, side)
        lesion = dataset.truth(slide).fractions(lattice.grid, 2)[..., 1].ravel()
        table, facts = of_slide(models, lattice, lesion, params)
        tables.append(table)
        about.append(facts)
    positive = np.array([bool(dataset.unit_labels(slide).any()) for slide in slides])
    every, facts = np.concatenate(tables), np.array(about)
    reached = [kept(probabilities(np.float32(table[:, 1])), params.removal_threshold).mean() for table in tables]
    within = [[area(table, column) for table in tables] for column in (1, 2)]
    highest = np.array([table[:, 1].max() for table in tables])
    means = np.array([table[:, 2].mean() for table in tables])
    figures = [
        *(area(every, column) for column in (1, 2)),
        *(float(np.mean([value for value in values if value is not None])) for values in within),
    ]
    return [
        *(str(number), str(split), f"{len(slides)} ({positive.sum()})", str(len(every))),
        *(shown(value) for value in figures),
        f"{np.mean(np.array(reached)[positive]):.2f} / {np.mean(np.array(reached)[~positive]):.2f}",
        " / ".join(f"{value:.2f}" for value in facts[positive, :2].mean(axis=0)),
        *(shown(auc(positive.astype(np.int8), values)) for values in (highest, means, facts[:, 2])),
    ]


def area(table: Floats, column: int) -> float | None:
    """AUC of patches that lesion fills more than half against those without any."""
    clear = (table[:, 0] > 0.5) | (table[:, 0] <= 0)
    return auc((table[clear, 0] > 0).astype(np.int8), table[clear, column])


def shown(value: float | None) -> str:
    """Three digits, or a dash."""
    return "–" if value is None else f"{value:.3f}"


def main() -> None:
    """Fit, score, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("root", type=Path)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--preset", default="quick")
    parser.add_argument("--stages", type=Path, help="folder that keeps finished stages for the next time")
    parser.add_argument("--set", action="append", default=[], dest="settings")
    given = parser.parse_args()
    kind = datasets().load("camelyon16")
    dataset = kind(given.root, kind.Options(tissue_mode="grey-otsu"))
    settings = dict(read_setting(text) for text in given.settings)
    params = resolve(Hybrid, given.preset, {**settings, "rounds": given.rounds})
    assert isinstance(params, HybridParams)
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        method, context = fitted(dataset, params, given.seed, given.stages or Path(folder))
        spent = time.perf_counter() - began
        print("| " + " | ".join(HEAD) + " |")
        print("|" + "---|" * len(HEAD))
        for number, made in enumerate(method.made):
            for split in Split:
                row = described(dataset, split, number, made, params, context, method.state()["side"])
                print("| " + " | ".join(row) + " |", flush=True)
    losses = ", ".join(f"{made.loss:.4f}" for made in method.made)
    print(
        f"\nfitted in {spent:.0f} s; stage-2 training losses {losses}; the paper's rule takes {method.state()['round']}"
    )


if __name__ == "__main__":
    main()
