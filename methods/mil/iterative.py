"""Encoder and multiple-instance network in turns: what ItS2CLR and HNM share.

Round 0 trains the network on features of the encoder as it starts. Every later round fine-tunes the encoder under the
instance scores in force (`finetuning.py`, with the pools of `pools.py`), computes all features anew, trains the network
from scratch, and takes over its scores where it does at least as well on validation slides as the best so far.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.method import Method, Prediction
from benchmark.slides import ScoreMap
from benchmark.supervision import Labels, Supervision, View

from .finetuning_params import FINETUNING_FIELDS, MIL_FIELDS, START_FIELDS, FinetuningParams
from .pools import Pools, Shares, accepted, averaged, places, pools_of, pseudo_labels, share_at

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.encoders.frozen import FrozenEncoder
    from benchmark.learning.mil.cohort import Cohort
    from benchmark.learning.mil.dsmil_pooling import DsmilPooling
    from benchmark.learning.mil.mil_training import MilSettings
    from benchmark.slides import Slide

    from .finetuning import Epoch
    from .instances import Instances

Q = TypeVar("Q", bound=FinetuningParams, covariant=True)
Weights = Mapping[str, Any]
MANY = 2.0
"""A pool this many times as large as its share says is told about."""


@dataclass(eq=False)
class Scores:
    """The instance scores in force and the rounds so far.

    `values` (n): of all instances. `best`: the highest validation figure; None where there is none. `chosen`: the round
    that predicts. `encoder`, `network`: its weights. `updated`: whether any update was accepted.
    """

    values: NDArray[np.floating]
    best: float | None
    encoder: Weights
    network: Weights
    chosen: int = 0
    updated: bool = False
    notes: dict[str, str] = field(default_factory=dict)

    def note(self, key: str, text: str) -> None:
        """Keep what a reader should know; of notes with one key the first."""
        self.notes.setdefault(key, text)


class IterativeMil(Method[Q]):
    """Rounds of encoder and network, of which the last accepted one predicts."""

    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.IMAGE})
    mil_fields: ClassVar[tuple[str, ...]] = MIL_FIELDS
    pool_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(self, params: Q) -> None:
        super().__init__(params)
        self._learnt: dict[str, Any] | None = None
        self._models: tuple[FrozenEncoder, DsmilPooling] | None = None

    @abstractmethod
    def mil_settings(self, number: int) -> MilSettings:
        """How the network of a round is trained."""

    def network_settings(self, number: int) -> MilSettings:
        """What both papers have in common."""
        from benchmark.learning.mil.mil_training import MilSettings

        params = self.params
        return MilSettings(
            name=f"mil_{number}",
            epochs=params.mil_epochs,
            lr=params.mil_lr,
            weight_decay=params.mil_weight_decay,
            schedule="halving",
            period=params.mil_period,
            bag_weight=params.bag_weight,
            max_weight=params.instance_weight,
            balance=params.class_weights,
            select=params.select,
            extract=(params.extract_epoch,),
            log=False,
        )

    @abstractmethod
    def negative_share(self) -> float:
        """The share ρ of the instances of negative slides that is contrasted."""

    def encoders(self) -> Sequence[str]:
        """The encoder, before it saw a slide of this study."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        return [seen_by(params.encoder, pretrained=params.encoder_pretrained, weights=params.encoder_weights)]

    def fit(self, train: View, validation: View, context: Context) -> None:
        """The stages "encoder_0", "mil_0", then "encoder_k" and "mil_k" of every round.

        Raises `DataError` for units of one class only, for negatives that do not fill a batch, and where no instance of
        a positive slide scores above the threshold after round 0; `ConfigError` for an encoder without such stages.
        """
        from benchmark.learning.mil.cohort import Cohort

        from .round_encoder import trainable

        trainable(self.params)  # what is wrong with it is said before features are computed
        cohort = Cohort.of(train, self.params, context, room=0.0)
        cohort.require_both(self.name)
        held_out = Cohort.of(validation, self.params, context, room=0.0, side=cohort.side) if len(validation) else None
        seen = [cohort, held_out] if held_out and self.params.encoder_slides == "train+validation" else [cohort]
        instances = self._instances(seen, context)
        start = context.stage("encoder_0", lambda: self._start(instances, context), uses=START_FIELDS)
        first = self._retrained(0, start, cohort, held_out, instances, context)
        force = Scores(first["scores"], first["figure"], start["encoder"], first["network"])
        begin, learnt = 0, start
        for number, last in enumerate(self._last_epochs(), 1):
            learnt = self._finetuned(number, range(begin, last + 1), learnt, force, instances, context)
            result = self._retrained(number, learnt, cohort, held_out, instances, context)
            self._judge(number, learnt, result, force, instances, context)
            begin = last + 1
        notes = [*self._notes(force, held_out), *force.notes.values()]
        for note in notes:
            context.reporter.say(note)
        context.log("rounds/chosen", force.chosen)
        self._take(
            {
                "side": cohort.side,
                "round": force.chosen,
                "encoder": dict(force.encoder),
                "network": dict(force.network),
                "notes": notes,
            },
            context,
        )

    def _last_epochs(self) -> list[int]:
        """The epochs, from 0, that a retraining follows: divisible by `retrain_every`, not the first, and the last."""
        epochs, every = self.params.epochs, self.params.retrain_every
        return sorted({*range(every, epochs, every), epochs - 1})

    def _instances(self, cohorts: Sequence[Cohort], context: Context) -> Instances:
        """The instances that the encoder is fine-tuned on, and what their bags are."""
        from .instances import Instances, SlidePatches
        from .round_encoder import interpolation_of

        parts = []
        for cohort in cohorts:
            for lattice, negative in zip(cohort.lattices, cohort.negative_patches, strict=True):
                positive = ~negative[lattice.numbers]
                parts.append(SlidePatches(lattice.slide, lattice.grid, lattice.tissue, positive))
        params = self.params
        instances = Instances(
            parts,
            params.input_side,
            room=params.crop_cache * 2**30,
            interpolation=interpolation_of(params.encoder),
        )
        positives = int(instances.positive.sum())
        context.reporter.say(f"{len(instances)} instances, {positives} of positive slides")
        return instances

    def _start(self, instances: Instances, context: Context) -> dict[str, Any]:
        """The encoder's weights as fine-tuning finds them."""
        from .round_encoder import started

        return {"encoder": started(instances, self.params, context), "head": None}

    def _retrained(
        self,
        number: int,
        learnt: Weights,
        cohort: Cohort,
        held_out: Cohort | None,
        instances: Instances,
        context: Context,
    ) -> dict[str, Any]:
        """The stage "mil_k": features of all slides, then the network from scratch.

        `network`: weights of the epoch that predicts, `epoch`: its number. `figure`: the best validation F1 of all
        epochs, None without one. `scores` (n): those of `extract_epoch` for all instances.
        """

        def train() -> dict[str, Any]:
            from .round_network import train_network

            encoder = self._encoder(number, learnt, context)
            settings = self.mil_settings(number)
            both = self.params.encoder_slides == "train+validation"
            batch = self.params.encode_batch
            return train_network(number, encoder, cohort, held_out, instances, settings, batch, context, both=both)

        result = context.stage(f"mil_{number}", train, uses=self.mil_fields, after=(f"encoder_{number}",))
        if result["figure"] is not None:
            context.log("rounds/validation_f1", result["figure"], number)
        return result

    def _encoder(self, number: int, learnt: Weights, context: Context) -> FrozenEncoder:
        from .round_encoder import frozen_round

        return frozen_round(number, learnt["encoder"], self.params, context.device)

    def _finetuned(
        self, number: int, epochs: range, before: Weights, force: Scores, instances: Instances, context: Context
    ) -> dict[str, Any]:
        """The stage "encoder_k": the encoder through the epochs up to the next retraining."""

        def train() -> dict[str, Any]:
            from .finetuning import finetune
            from .round_encoder import contrastive_net

            def plan(epoch: int) -> Epoch:
                return self._epoch(epoch, force, instances, context)

            net = contrastive_net(before, self.params, context)
            return finetune(net, epochs, plan, instances, self.params, context)

        self._look(number, epochs.start, force, instances)
        uses = (*FINETUNING_FIELDS, *self.pool_fields)
        after = (f"encoder_{number - 1}", f"mil_{number - 1}")
        return context.stage(f"encoder_{number}", train, uses=uses, after=after)

    def _look(self, number: int, epoch: int, force: Scores, instances: Instances) -> None:
        """Note where ties or small pools make a round's batches others than its parameters say."""
        params = self.params
        pools = self.pools(epoch, force.values, instances.positive, updated=force.updated)
        negatives = int((~instances.positive).sum())
        if pools.hard > MANY * self.negative_share() * negatives:
            force.note(
                "ties",
                f"round {number}: ties select {pools.hard} of {negatives} negatives where the share is"
                f" {self.negative_share():g}; ties=cap takes no more",
            )
        for pool, size, name in (
            (pools.positive, places(params.batch, params.positive_share), "pseudo-positive instances"),
            (pools.surest, places(params.batch, params.query_share), "surest pseudo-positive instances"),
            (pools.augmented, places(params.batch, 1 - params.query_share), "negatives of step B"),
        ):
            if 0 < pool.size < size:
                force.note(name, f"round {number}: {pool.size} {name} fill {size} places of a batch by repetition")

    def _epoch(self, epoch: int, force: Scores, instances: Instances, context: Context) -> Epoch:
        """The batches of an epoch, from the pools that the scores in force give at its shares."""
        from .finetuning import Epoch, Mix

        params = self.params
        return Epoch.of(
            self.pools(epoch, force.values, instances.positive, updated=force.updated),
            Mix.of(params.batch, params.positive_share),
            Mix.of(params.batch, params.query_share),
            context.generator("finetuning", "order", epoch),
            both=epoch >= params.warmup,
        )

    def pools(
        self, epoch: int, scores: NDArray[np.floating], positive: NDArray[np.bool_], *, updated: bool = False
    ) -> Pools:
        """The pools of an epoch (from 0). `updated`: whether scores were ever accepted after round 0."""
        params = self.params
        positives, uncertain = (
            # of the epoch before: shares are set when an epoch ends
            share_at(epoch - 1, first=first, last=params.last_share, warmup=params.warmup, epochs=params.epochs)
            for first in (params.first_share, params.first_uncertain)
        )
        shares = Shares(positives, self.negative_share(), uncertain, params.ties)
        return pools_of(
            scores,
            positive,
            threshold=params.threshold,
            shares=shares,
            uncertain_in_negative=not params.mask_uncertain,
            uncertain_in_augmented=updated or not params.mask_uncertain,
        )

    def _judge(
        self,
        number: int,
        learnt: Weights,
        result: Weights,
        force: Scores,
        instances: Instances,
        context: Context,
    ) -> None:
        """The gate: a round that does at least as well as the best so far predicts, and its scores are taken over."""
        taken = accepted(result["figure"], force.best)
        context.log("rounds/accepted", float(taken), number)
        if not taken:
            return
        force.best, force.chosen = result["figure"], number
        force.encoder, force.network = learnt["encoder"], result["network"]
        if not self.params.update_labels:
            return
        scores = averaged(force.values, result["scores"]) if self.params.ema else result["scores"]
        if not pseudo_labels(scores, instances.positive, self.params.threshold).any():
            force.note(
                "threshold",
                f"round {number}: no instance of a positive slide scores above the threshold"
                f" {self.params.threshold:g}, so the scores before stay in force",
            )
            return
        force.values, force.updated = scores, True

    def _notes(self, force: Scores, held_out: Cohort | None) -> list[str]:
        """What a reader of the figures should know."""
        notes = []
        params = self.params
        if force.best is None:
            why = "there are no validation slides" if held_out is None else "validation slides are of one class"
            notes.append(f"{why}: every round was accepted, and the last one predicts")
        elif force.chosen == 0:
            number = len(self._last_epochs())
            notes.append(f"none of {number} rounds reached the validation F1 of the encoder's start, which predicts")
        if params.encoder_slides == "train+validation" and held_out is not None:
            notes.append("the encoder was fine-tuned on validation slides: figures and thresholds there are too good")
        return notes

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """Every tissue patch with the probability of its instance logit; a unit has that of its bag.

        A unit without any tissue patch scores 0, and the slide's note says so.
        """
        from benchmark.learning.mil.bags import bags_of_slide
        from benchmark.learning.mil.mil_training import score_bag

        assert self._models is not None and self._learnt is not None, "fit comes before predict"
        encoder, network = self._models
        bags = bags_of_slide(slide, self.params, context, encoder, side=self._learnt["side"])
        lattice = bags[0].lattice
        values = np.full(lattice.tissue.size, np.nan, np.float32)
        units = np.zeros(lattice.units.shape, np.float32)
        for bag in bags:
            if len(bag):
                scored = score_bag(network, bag, context.device)
                values[bag.numbers], units[bag.row, bag.col] = scored.instances, scored.probability
        empty = sum(not len(bag) for bag in bags)
        notes = [f"no tissue patch in {empty} of {len(bags)} units: scored 0"] if empty else []
        return Prediction(
            ScoreMap(lattice.grid, values.reshape(lattice.grid.shape)),
            units,
            notes=(*notes, *self._learnt["notes"]),
        )

    def state(self) -> dict[str, Any]:
        """Encoder and network of the round that predicts."""
        assert self._learnt is not None, "fit comes first"
        return dict(self._learnt)

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Build both around these weights."""
        self._take(dict(state), context)

    def _take(self, learnt: dict[str, Any], context: Context) -> None:
        from benchmark.learning.mil.dsmil_pooling import DsmilPooling

        encoder = self._encoder(learnt["round"], learnt, context)
        network = DsmilPooling(encoder.dim)
        network.load_state_dict(dict(learnt["network"]))
        self._learnt, self._models = learnt, (encoder, network.to(context.device).eval())
