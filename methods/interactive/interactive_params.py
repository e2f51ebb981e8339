"""Parameters of interactive annotation, with the paper's symbols, and presets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import FilePath, model_validator

from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.method import Params, param

from .retrieval import Refinement
from .triplet import Mining, Reduction

PAPER = "paper"
DOCS = "docs/methods/interactive.md"


class InteractiveParams(Params):
    """What is searched, who answers, how often, and how the two nets learn. Defaults: the paper's colorectal tiles."""

    search: Literal["train", "slide"] = param(
        "train",
        "'train': the expert reviews training slides, test slides are held out; 'slide': every test slide by itself",
        source=PAPER,
        given=True,
    )
    sessions: int = param(80, "sessions, each with a query of its own", symbol="N", source=PAPER, ge=1, given=True)
    rounds: int = param(5, "rounds of a session", symbol="r", source=PAPER, ge=1, given=True)
    reviews: int = param(10, "reviews of a round", symbol="K", source=PAPER, ge=1, given=True)
    queries: int = param(10, "queries that the expert looks up, per class", source=PAPER, ge=1, given=True)
    query_slides: int | None = param(
        None,
        "slides that queries come from and that are then not searched (the paper across slides: 1); none: any slide",
        source=DOCS,
        ge=1,
        given=True,
    )
    budget: int | None = param(
        None,
        "most answers of the expert, queries included, per slide with search=slide; none: all sessions",
        source=DOCS,
        ge=1,
        given=True,
    )
    query_class: str | None = param(
        None,
        "class of all queries; by default every class in turn, or the positive one of two",
        source=DOCS,
        given=True,
    )
    feedback: Literal["class", "relevant"] = param(
        "class", "what the expert says: the class, or only whether it is that of the query", source=PAPER, given=True
    )
    share: float | None = param(
        0.5,
        "share of a cell that positive classes must cover; none: the class under its centre",
        source=PAPER,
        gt=0.0,
        le=1.0,
        given=True,
    )
    expert_error: float = param(
        0.0, "probability of a wrong answer of the simulated expert", source=DOCS, ge=0.0, le=1.0, given=True
    )
    expert_fatigue: float = param(
        0.0, "growth of that probability with every 100 answers about a slide", source=DOCS, ge=0.0, le=1.0, given=True
    )
    expert_seconds: float = param(
        0.0, "what an answer of the simulated expert takes", unit="s", source=DOCS, ge=0.0, given=True
    )
    expert_answers: FilePath | None = param(
        None, "file of answers (JSON lines) to replay instead of the truth", source=DOCS, given=True
    )
    cell: int | None = param(
        None, "side of a cell; by default the dataset's evaluation grid, or 32", unit="px", source=DOCS, ge=1
    )
    patch: int | None = param(
        None, "side of the patch around a cell; by default the cell's own", unit="px", source=DOCS, ge=1
    )
    encoder: EncoderName = param("resnet18", "encoder, of the catalogue or of timm", source=PAPER)
    encoder_pretrained: bool = param(True, "start from the encoder's published weights", source=PAPER, given=True)
    encoder_weights: FilePath | None = param(None, "local file with the encoder's weights", source=DOCS, given=True)
    input_side: int = param(
        224, "side of a patch as the encoder sees it", unit="px", source=PAPER, ge=32, multiple_of=32
    )
    trainable_from: str = param(
        "layer4.1", "first trainable block; the maps before it are stored (ablation: layer4.0)", source=PAPER
    )
    normalisation: Literal["search", "encoder"] = param(
        "search", "mean and deviation of the channels: of the searched patches, or the encoder's own", source=DOCS
    )
    epochs: int = param(50, "epochs of a round, both nets", source=PAPER, ge=0)
    max_steps: int | None = param(None, "most optimiser steps of a round and net; none: all epochs", source=DOCS, ge=1)
    lr: float = param(1e-4, "learning rate (Adam)", source=PAPER, gt=0.0)
    batch_size: int = param(64, "most items of a batch", source=DOCS, ge=2)
    per_class: int = param(
        4, "items of a class in a batch of f_ret, once more were reviewed than fit one batch", source=DOCS, ge=2
    )
    margin: float = param(0.2, "margin of the triplet loss", source=PAPER, ge=0.0)
    mining: Mining = param("batch-hard", "which triplets count", source=DOCS)
    squared: bool = param(False, "squared distances in the triplet loss", source=DOCS)
    normalise: bool = param(False, "embeddings of length 1 in the triplet loss", source=DOCS)
    reduction: Reduction = param("mean", "mean over all triplets, or over those with a loss above 0", source=DOCS)
    train_init: Literal["pretrained", "warm"] = param(
        "pretrained", "where a round's training starts: cold, or from the round before", source=DOCS
    )
    session_start: Literal["pretrained", "latest"] = param(
        "pretrained", "encoder behind the first list of a session", source=DOCS
    )
    refinement: Refinement = param(
        "flat",
        "query after a round: mean with the relevant items, mean of query and their mean, or as it was",
        source=DOCS,
    )
    refine_with: Literal["round", "session"] = param(
        "round", "relevant items that refine the query: this round's or the session's", source=DOCS
    )
    evaluate_every: int = param(
        5, "rounds between two points of the effort curve; 0: only the last", source=DOCS, ge=0, given=True
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.query_slides is not None and self.search == "slide":
            raise ValueError("query_slides sets slides apart to search others: it belongs to search=train")
        if self._errs_on_record:
            raise ValueError("expert_answers replays a file: expert_error and expert_fatigue belong to the simulation")
        return self

    @property
    def _errs_on_record(self) -> bool:
        """A recorded expert does not err at random."""
        return self.expert_answers is not None and (self.expert_error > 0 or self.expert_fatigue > 0)


FIELDS = tuple(InteractiveParams.model_fields)

BACH: Mapping[str, Any] = {"search": "slide", "sessions": 10, "reviews": 5}

QUICK: Mapping[str, Any] = {
    "sessions": 10,
    "reviews": 5,
    "encoder": "imagenet-lite0",
    "input_side": 96,
    "trainable_from": "conv_head",
    "epochs": 20,
    "max_steps": 60,
    "lr": 5e-4,
    "evaluate_every": 1,
}

SMOKE: Mapping[str, Any] = {
    "sessions": 2,
    "rounds": 2,
    "reviews": 3,
    "queries": 2,
    "encoder": "test_resnet",
    "encoder_pretrained": False,
    "input_side": 32,
    "trainable_from": "layer4",
    "epochs": 2,
    "max_steps": 3,
    "evaluate_every": 1,
}

PRESETS: Mapping[str, Mapping[str, Any]] = {"paper": {}, "bach": BACH, "quick": QUICK, "smoke": SMOKE}
