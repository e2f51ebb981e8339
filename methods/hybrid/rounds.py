"""Rounds of a patch model θ1 and a slide model θ2: what hybrid supervision and its pixel-level baseline share.

A round: E-step and M-step (`e_step.py`, `m_step.py`) train θ1, which scans the training slides; stage 2
(`slide_model.py`) trains θ2 on the top patches of every unit. One round is kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from benchmark.learning.mil.place_params import PLACE_FIELDS
from benchmark.method import Method, Prediction
from benchmark.supervision import Labels, Supervision, View

from .hybrid_params import ROUND0_FIELDS, ROUND_FIELDS, SCORE_FIELDS, THETA2_FIELDS, PixelParams

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.mil.cohort import Cohort, Scored
    from benchmark.slides import Slide

    from .fine_masks import FinePatch
    from .hybrid_nets import PatchModel
    from .m_step import Batches
    from .slide_model import SlideModel

KHENED_THRESHOLD = 0.3
KHENED_ENCODERS = ("densenet121", "inception_resnet_v2", "xception65")
Q = TypeVar("Q", bound=PixelParams, covariant=True)

States = list[Mapping[str, Any]]
"""Weights of the patch models of one round."""


@dataclass
class Round:
    """The result of a round. `loss`: L2, the stage-2 loss over the training units. `scored`: θ1's scan of them."""

    theta1: States
    theta2: Mapping[str, Any]
    loss: float
    scored: Scored


class Rounds(Method[Q]):
    """Rounds of θ1 and θ2, of which one is kept."""

    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.IMAGE, Supervision.PIXEL})

    def __init__(self, params: Q) -> None:
        super().__init__(params)
        self._side = 0
        self._chosen: tuple[int, Round] | None = None
        self._models: tuple[PatchModel, SlideModel] | None = None

    def budgets(self) -> Mapping[Supervision, int]:
        """No more fine masks than the parameters say."""
        return {Supervision.PIXEL: self.params.fine_patches + self.params.fine_negatives}

    def encoders(self) -> Sequence[str]:
        """The encoder of both stages."""
        from benchmark.learning.encoders.frozen import seen_by

        params = self.params
        names = [params.encoder] if params.nets == "dla" else KHENED_ENCODERS
        return [seen_by(name, pretrained=params.encoder_pretrained, weights=params.encoder_weights) for name in names]

    def starts_from(self) -> Sequence[str] | None:
        """With nets=khened the encoders of the three nets, which no parameter names; θ2 has its own."""
        params = self.params
        if params.nets == "dla" or not params.encoder_pretrained:
            return None
        return [*KHENED_ENCODERS, *([] if params.encoder_weights else [params.encoder])]

    def fit(self, train: View, validation: View, context: Context) -> None:
        """Rounds 0, 1, … of patch model and slide model; one of them is kept."""
        from benchmark.learning.mil.cohort import Cohort

        room = self.params.crop_cache * 2**30
        cohort = Cohort.of(train, self.params, context, room=room)
        cohort.require_both(self.name)
        self._side = cohort.side
        fine = self._fine(train, cohort, context)
        held_out = None
        if len(validation):
            held_out = Cohort.of(validation, self.params, context, room=cohort.room_left, side=cohort.side)
        rounds = [self._round(0, fine, cohort, held_out, None, context)]
        for number in range(1, self._last_round() + 1):
            rounds.append(self._round(number, fine, cohort, held_out, rounds[-1], context))
        self._choose(rounds, context)

    def _last_round(self) -> int:
        """Rounds are numbered from 0."""
        return 0

    def _code(self, number: int) -> type:
        """The class whose code decides the stages of a round."""
        return type(self)

    def _fine(self, train: View, cohort: Cohort, context: Context) -> list[FinePatch]:
        """The stage "fine": patches with masks, which an expert draws once for all rounds."""
        from .fine_masks import FinePatch, fine_patches

        def draw() -> list[dict[str, Any]]:
            return [vars(patch) for patch in fine_patches(train, cohort, self.params, context)]

        uses = (*PLACE_FIELDS, "fine_patches", "fine_choice", "fine_negatives", "crop_cache")
        return [FinePatch(**patch) for patch in context.stage("fine", draw, uses=uses, code=Rounds)]

    def _round(
        self,
        number: int,
        fine: list[FinePatch],
        cohort: Cohort,
        held_out: Cohort | None,
        before: Round | None,
        context: Context,
    ) -> Round:
        """E-step and M-step, one pass over the training slides, stage 2."""
        theta1 = self._theta1(number, fine, cohort, before, context)
        scored = self._scan(number, theta1, cohort, context)
        theta2, loss = self._theta2(number, cohort, scored, context)
        context.log("stage2/training_loss", loss, number)
        if held_out is not None:
            self._watch(number, theta1, theta2, held_out, context)
        return Round(theta1, theta2, loss, scored)

    def _theta1(
        self, number: int, fine: list[FinePatch], cohort: Cohort, before: Round | None, context: Context
    ) -> States:
        """The stages "theta1_r": the patch models of a round, each a warm start from the round before."""
        from .hybrid_nets import members
        from .m_step import train_patch_model

        def train(member: int) -> dict[str, Any]:
            batches = self._batches(number, fine, cohort, before, context)
            start = None if before is None else before.theta1[member]
            name = stage_name(number, member)
            return dict(train_patch_model(batches, self.params, context, name=name, start=start, member=member))

        after = ("fine",) if number == 0 else (f"scan_{number - 1}", "fine")
        uses, code = self._round0_fields() if number == 0 else ROUND_FIELDS, self._code(number)
        return [
            context.stage(stage_name(number, member), partial(train, member), uses=uses, after=after, code=code)
            for member in range(members(self.params))
        ]

    def _round0_fields(self) -> tuple[str, ...]:
        """The parameters behind the patch models of round 0."""
        return ROUND0_FIELDS

    def _batches(
        self, number: int, fine: list[FinePatch], cohort: Cohort, before: Round | None, context: Context
    ) -> Batches:
        """What θ1 learns from in a round."""
        from .m_step import Batches

        return Batches(fine, cohort, self.params)

    def _scan(self, number: int, theta1: States, cohort: Cohort, context: Context) -> Scored:
        """The stages "scan_r": m(x) of all patches, for stage 2 of this round and the E-step of the next."""
        from .e_step import scan
        from .hybrid_nets import PatchModel

        def run() -> dict[str, Any]:
            return scan(PatchModel(self.params, theta1, context.device), cohort, self.params, context)

        after = tuple(stage_name(number, member) for member in range(len(theta1)))
        uses = (*SCORE_FIELDS, "crop_cache")
        return context.stage(f"scan_{number}", run, uses=uses, after=after, code=self._code(number))

    def _theta2(self, number: int, cohort: Cohort, scored: Scored, context: Context) -> tuple[Mapping[str, Any], float]:
        """The stages "theta2_r": the slide model of a round and its loss L2, starting anew every round."""
        from .slide_model import SlideModel, top_patches, train_slide_model, training_loss

        def train() -> dict[str, Any]:
            chosen = top_patches(cohort, scored, self.params.top_patches)
            name = f"theta2_{number}"
            state = train_slide_model(cohort, chosen, self.params, context, name=name)
            scores = SlideModel(self.params, state, context.device).units(cohort, chosen, context)
            return {"state": dict(state), "loss": training_loss(scores, cohort)}

        after = (f"scan_{number}",)
        kept = context.stage(f"theta2_{number}", train, uses=THETA2_FIELDS, after=after, code=self._code(number))
        return kept["state"], kept["loss"]

    def _watch(
        self, number: int, theta1: States, theta2: Mapping[str, Any], held_out: Cohort, context: Context
    ) -> None:
        """Log how a round does on validation units, by which the paper might stop as well (docs/methods/hybrid.md)."""
        from benchmark.metrics.classification import auc, spec_at_sensitivity

        from .e_step import scan
        from .hybrid_nets import PatchModel
        from .slide_model import SlideModel, top_patches

        def score() -> NDArray[np.float32]:
            model = PatchModel(self.params, theta1, context.device)
            scored = scan(model, held_out, self.params, context, part="validation")
            chosen = top_patches(held_out, scored, self.params.top_patches)
            return SlideModel(self.params, theta2, context.device).units(held_out, chosen, context)

        uses = (*SCORE_FIELDS, *(name for name in THETA2_FIELDS if name not in SCORE_FIELDS))
        after = (f"theta2_{number}",)
        scores = context.stage(f"validation_{number}", score, uses=uses, after=after, code=self._code(number))
        labels = np.array([unit.positive for unit in held_out.units], np.int8)
        area, point = auc(labels, scores), spec_at_sensitivity(labels, scores)
        if area is not None:
            context.log("stage2/validation_auc", area, number)
        if point is not None and point.specificity is not None:
            context.log("stage2/validation_specificity_at_100", point.specificity, number)

    def _best(self, rounds: list[Round]) -> int:
        """The round of lowest L2; of equal ones the earlier."""
        return int(np.argmin([done.loss for done in rounds]))

    def _choose(self, rounds: list[Round], context: Context) -> None:
        number = self._best(rounds)
        if len(rounds) > 1:
            losses = ", ".join(f"{done.loss:.4f}" for done in rounds)
            context.reporter.say(
                f"round {number} is used; stage-2 training losses of rounds 0 to {len(rounds) - 1}: {losses}"
            )
        context.log("stage2/chosen_round", number)
        self._take(number, rounds[number], context)

    def _take(self, number: int, chosen: Round, context: Context) -> None:
        from .hybrid_nets import PatchModel
        from .slide_model import SlideModel

        self._chosen = (number, chosen)
        self._models = (
            PatchModel(self.params, chosen.theta1, context.device),
            SlideModel(self.params, chosen.theta2, context.device),
        )

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """θ1 over the slide, θ2 on the top K patches of each unit; the map is the mean of θ1's pixels per cell."""
        from .hybrid_scoring import score_slide

        assert self._models is not None, "fit comes before predict"
        threshold = self.params.mask_threshold
        if threshold is None and self.params.nets == "khened":
            threshold = KHENED_THRESHOLD
        return score_slide(*self._models, slide, self.params, context, side=self._side, threshold=threshold)

    def state(self) -> dict[str, Any]:
        """Both models of the chosen round."""
        assert self._chosen is not None, "fit comes first"
        number, chosen = self._chosen
        return {
            "round": number,
            "side": self._side,
            "loss": chosen.loss,
            "theta1": [dict(state) for state in chosen.theta1],
            "theta2": dict(chosen.theta2),
        }

    def restore(self, state: Mapping[str, Any], context: Context) -> None:
        """Build both models around these weights."""
        self._side = int(state["side"])
        chosen = Round(list(state["theta1"]), state["theta2"], float(state["loss"]), {})
        self._take(int(state["round"]), chosen, context)


def stage_name(number: int, member: int) -> str:
    """The stage that trains a patch model of a round."""
    return f"theta1_{number}" if member == 0 else f"theta1_{number}_member_{member}"
