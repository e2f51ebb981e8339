"""Hybrid supervision and its pixel-level baseline: fine masks, pseudo-labels, hard negatives; then top-K patches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from benchmark.method import Method, MethodCard, Prediction
from benchmark.supervision import Labels, Supervision, View

from .hybrid_params import (
    PLACE_FIELDS,
    ROUND0_FIELDS,
    ROUND_FIELDS,
    SCORE_FIELDS,
    THETA2_FIELDS,
    HybridParams,
    PixelParams,
)
from .hybrid_presets import HYBRID_QUICK, HYBRID_SMOKE, PIXEL_QUICK, PIXEL_SMOKE

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.slides import Slide

    from .cohort import Cohort, Scored
    from .fine import FinePatch
    from .nets import PatchModel
    from .slide_model import SlideModel

CITATION = (
    "Li, Chen, Huang, Yang, Jiang, Li et al.: Hybrid Supervision Learning for Pathology Whole Slide Image"
    " Classification. MICCAI 2021"
)
PAPER = "https://arxiv.org/abs/2107.00934"
KHENED_THRESHOLD = 0.3

States = list[Mapping[str, Any]]
"""Weights of the patch models of one round."""


@dataclass
class Round:
    """What one round ends in. `loss`: L2, the stage-2 loss over the training units. `scored`: what θ1 saw on them."""

    theta1: States
    theta2: Mapping[str, Any]
    loss: float
    scored: Scored


class Pixel(Method):
    """The pixel-level baseline: the patch model learns from the fine masks alone, then comes stage 2."""

    name = "pixel"
    supervision: ClassVar[frozenset[Supervision]] = frozenset({Supervision.IMAGE, Supervision.PIXEL})
    card = MethodCard(
        title="Pixel-level supervision: fine masks of some patches, then top-K patches",
        citation=CITATION,
        paper=PAPER,
        tables=("Table 2, pixel-level",),
        notes="Round 0 of hybrid supervision. nets=khened is nearer to the code the paper says it modified.",
    )
    Params = PixelParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": PIXEL_QUICK, "smoke": PIXEL_SMOKE}

    def __init__(self, params: Any) -> None:
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
        names = [params.encoder] if params.nets == "dla" else ["densenet121", "inception_resnet_v2", "xception65"]
        return [seen_by(name, pretrained=params.encoder_pretrained, weights=params.encoder_weights) for name in names]

    def fit(self, train: View, validation: View, context: Context) -> None:
        """Rounds 0, 1, … of patch model and slide model; one of them is kept."""
        from .cohort import Cohort

        cohort = Cohort.of(train, self.params, context)
        cohort.require_both(self.name)
        self._side = cohort.side
        fine = self._fine(train, cohort, context)
        held_out = Cohort.of(validation, self.params, context, cohort.side) if len(validation) else None
        rounds = [self._round(0, fine, cohort, held_out, None, context)]
        for number in range(1, self._last_round() + 1):
            rounds.append(self._round(number, fine, cohort, held_out, rounds[-1], context))
        self._choose(rounds, context)

    def _last_round(self) -> int:
        return 0

    def _fine(self, train: View, cohort: Cohort, context: Context) -> list[FinePatch]:
        """The stage "fine": patches with masks, which an expert draws once for all rounds."""
        from .fine import FinePatch, fine_patches

        def draw() -> list[dict[str, Any]]:
            return [vars(patch) for patch in fine_patches(train, cohort, self.params, context)]

        uses = (*PLACE_FIELDS, "fine_patches", "fine_choice", "fine_negatives", "crop_cache")
        return [FinePatch(**patch) for patch in context.stage("fine", draw, uses=uses)]

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
        from .nets import members
        from .patch_model import train_patch_model

        def train(member: int) -> dict[str, Any]:
            batches = self._batches(number, fine, cohort, before, context)
            start = None if before is None else before.theta1[member]
            name = stage_name(number, member)
            return dict(train_patch_model(batches, self.params, context, name=name, start=start, member=member))

        after = ("fine",) if number == 0 else (f"scan_{number - 1}", "fine")
        uses = ROUND0_FIELDS if number == 0 else ROUND_FIELDS
        return [
            context.stage(stage_name(number, member), lambda chosen=member: train(chosen), uses=uses, after=after)  # type: ignore[misc]
            for member in range(members(self.params))
        ]

    def _batches(
        self, number: int, fine: list[FinePatch], cohort: Cohort, before: Round | None, context: Context
    ) -> Any:
        from .patch_model import Batches

        return Batches(fine, cohort, self.params)

    def _scan(self, number: int, theta1: States, cohort: Cohort, context: Context) -> Scored:
        """The stages "scan_r": m(x) of all patches, for stage 2 of this round and the E-step of the next."""
        from .nets import PatchModel
        from .patch_model import scan

        def run() -> dict[str, Any]:
            return scan(PatchModel(self.params, theta1, context.device), cohort, self.params, context)

        after = tuple(stage_name(number, member) for member in range(len(theta1)))
        return context.stage(f"scan_{number}", run, uses=(*SCORE_FIELDS, "crop_cache"), after=after)

    def _theta2(self, number: int, cohort: Cohort, scored: Scored, context: Context) -> tuple[Mapping[str, Any], float]:
        """The stages "theta2_r": the slide model of a round and its loss L2, starting anew every round."""
        from .slide_model import SlideModel, top_patches, train_slide_model, training_loss

        def train() -> dict[str, Any]:
            chosen = top_patches(cohort, scored, self.params.top_patches)
            name = f"theta2_{number}"
            state = train_slide_model(cohort, chosen, self.params, context, name=name)
            scores = SlideModel(self.params, state, context.device).units(cohort, chosen, context)
            return {"state": dict(state), "loss": training_loss(scores, cohort)}

        kept = context.stage(f"theta2_{number}", train, uses=THETA2_FIELDS, after=(f"scan_{number}",))
        return kept["state"], kept["loss"]

    def _watch(
        self, number: int, theta1: States, theta2: Mapping[str, Any], held_out: Cohort, context: Context
    ) -> None:
        """Log how a round does on validation units, which the paper's other stopping rule would ask (D8)."""
        from benchmark.metrics.classification import auc, spec_at_sensitivity

        from .nets import PatchModel
        from .patch_model import scan
        from .slide_model import SlideModel, top_patches

        def score() -> NDArray[np.float32]:
            scored = scan(PatchModel(self.params, theta1, context.device), held_out, self.params, context)
            chosen = top_patches(held_out, scored, self.params.top_patches)
            return SlideModel(self.params, theta2, context.device).units(held_out, chosen, context)

        uses = (*SCORE_FIELDS, *(name for name in THETA2_FIELDS if name not in SCORE_FIELDS))
        scores = context.stage(f"validation_{number}", score, uses=uses, after=(f"theta2_{number}",))
        labels = np.array([unit.positive for unit in held_out.units], np.int8)
        area, point = auc(labels, scores), spec_at_sensitivity(labels, scores)
        if area is not None:
            context.log("stage2/validation_auc", area, number)
        if point is not None and point.specificity is not None:
            context.log("stage2/validation_specificity_at_100", point.specificity, number)

    def _choose(self, rounds: list[Round], context: Context) -> None:
        """The round of lowest L2; of equal ones the earlier."""
        number = int(np.argmin([one.loss for one in rounds]))
        if len(rounds) > 1 and self.params.selection == "last":
            number = len(rounds) - 1
        if len(rounds) > 1:
            losses = ", ".join(f"{one.loss:.4f}" for one in rounds)
            context.reporter.say(
                f"round {number} is used; stage-2 training losses of rounds 0 to {len(rounds) - 1}: {losses}"
            )
        context.log("stage2/chosen_round", number)
        self._take(number, rounds[number], context)

    def _take(self, number: int, chosen: Round, context: Context) -> None:
        from .nets import PatchModel
        from .slide_model import SlideModel

        self._chosen = (number, chosen)
        self._models = (
            PatchModel(self.params, chosen.theta1, context.device),
            SlideModel(self.params, chosen.theta2, context.device),
        )

    def predict(self, slide: Slide, labels: Labels, context: Context) -> Prediction:
        """θ1 over the slide, θ2 on the top K patches of each unit; the map is the mean of θ1's pixels per cell."""
        from .scoring import score_slide

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


class Hybrid(Pixel):
    """Hybrid supervision: rounds of E-step and M-step around the patch model of the baseline."""

    name = "hybrid"
    card = MethodCard(
        title="Hybrid supervision: image labels, a few fine masks, pseudo-labels and hard negatives",
        citation=CITATION,
        paper=PAPER,
        tables=("Table 2, hybrid",),
        notes="The paper's gastric slides are not public. Pseudo-labels are made when a patch is drawn, not stored.",
    )
    Params = HybridParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": HYBRID_QUICK, "smoke": HYBRID_SMOKE}

    def _last_round(self) -> int:
        return int(self.params.rounds)

    def _batches(
        self, number: int, fine: list[FinePatch], cohort: Cohort, before: Round | None, context: Context
    ) -> Any:
        """E-step: what the last round's patch model found on the training slides becomes labels."""
        from .nets import PatchModel
        from .patch_model import Batches

        if before is None:
            return super()._batches(number, fine, cohort, before, context)
        teacher = PatchModel(self.params, before.theta1, context.device)
        batches = Batches(fine, cohort, self.params, teacher=teacher, scored=before.scored)
        for pool, size in zip(("fine", "pseudo", "negative"), batches.sizes, strict=True):
            context.log(f"e_step/{pool}_patches", size, number)
        return batches


def stage_name(number: int, member: int) -> str:
    """The stage that trains a patch model of a round."""
    return f"theta1_{number}" if member == 0 else f"theta1_{number}_member_{member}"
