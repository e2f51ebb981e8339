"""Which score of an instance finds the lesion in ABMIL: attention, the classifier on it alone, what it adds to the bag.

    python measurements/mil_instance_scores.py PCAM [--cache DIR] [--seed 0]

Trains `abmil` with its preset quick on the slides of `pcam-bags` and scores validation slides; their truth is read for
this comparison alone. Features are taken from the cache and kept there.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from benchmark.config import resolve
from benchmark.context import Context
from benchmark.dataset import Dataset, Split
from benchmark.learning.mil.bags import Bag, bags_of_slide
from benchmark.learning.mil.mil_training import Feed
from benchmark.metrics.classification import auc
from benchmark.registry import datasets, methods
from benchmark.running.device import prepare
from benchmark.supervision import Labels, Ledger, View

Scores = dict[str, NDArray[np.float64]]


def scored(pooling: torch.nn.Module, bag: Bag) -> tuple[float, Scores]:
    """The slide's probability, and per name the scores of its instances."""
    features, numbers = Feed("cpu", 0)(bag)
    with torch.inference_mode():
        pooled = pooling(features, numbers)
        alone = pooling.classifier(pooling.embedding(features)).squeeze(1)  # type: ignore[operator, union-attr]
    attention = pooled.attention.double().numpy()
    probability = float(torch.sigmoid(pooled.logit))
    rescaled = (attention - attention.min()) / max(1e-12, attention.max() - attention.min())
    return probability, {
        "attention": attention * len(attention),
        "probability of the slide × rescaled attention": probability * rescaled,
        "classifier on the instance alone": alone.double().numpy(),
        "what it adds to the bag": pooled.instance_logits.double().numpy(),
    }


def compare(dataset: Dataset, cache: Path, seed: int) -> None:
    train, validation = (dataset.slides(split) for split in (Split.TRAIN, Split.VALIDATION))
    kind = methods().load("abmil")
    method, ledger = kind(resolve(kind, "quick")), Ledger()
    with tempfile.TemporaryDirectory() as folder:
        context = Context(geometry=dataset, folder=Path(folder), ledger=ledger, seed=seed, features=cache).bind(method)
        labels = Labels(dataset, [*train, *validation], method.supervision, ledger)
        method.fit(View(train, labels), View(validation, labels), context)
        pooling, encoder = method._pooling(context), method.encoder(context)  # type: ignore[attr-defined]
        side = method.state()["side"]
        slides, truths, probabilities, rows = [], [], [], []
        for slide in validation:
            (bag,) = bags_of_slide(slide, method.params, context, encoder, side=side)
            probability, scores = scored(pooling, bag)
            truths.append(dataset.truth(slide).labels(bag.lattice.grid).ravel()[bag.numbers] > 0)
            slides.append(truths[-1].any())
            probabilities.append(probability)
            rows.append(scores)
    print(f"slide AUC {auc(np.array(slides, int), np.array(probabilities)):.3f}\n")
    print("| score of an instance | AUC, all slides pooled | mean AUC within positive slides |\n|---|---|---|")
    for name in rows[0]:
        pooled = auc(np.concatenate(truths).astype(int), np.concatenate([row[name] for row in rows]))
        within = [auc(truth.astype(int), row[name]) for truth, row in zip(truths, rows, strict=True) if truth.any()]
        print(f"| {name} | {pooled:.3f} | {np.mean(within):.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of PCam tiles with labels.csv")
    parser.add_argument("--cache", type=Path, default=Path("features"), help="feature cache: features/ of BENCH_CACHE")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    prepare("cpu", options.seed)
    kind = datasets().load("pcam-bags")
    compare(kind(options.root, kind.Options()), options.cache, options.seed)


if __name__ == "__main__":
    main()
