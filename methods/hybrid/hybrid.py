"""Hybrid supervision (Li et al., MICCAI 2021) and its pixel-level baseline, which is round 0 alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from benchmark.method import MethodCard

from .hybrid_params import (
    HYBRID_QUICK,
    HYBRID_SMOKE,
    PIXEL_QUICK,
    PIXEL_SMOKE,
    RELEASED_ROUND0_FIELDS,
    HybridParams,
    PixelParams,
)
from .rounds import Round, Rounds

if TYPE_CHECKING:
    from benchmark.context import Context
    from benchmark.learning.mil.cohort import Cohort

    from .fine_masks import FinePatch
    from .m_step import Batches

CITATION = (
    "Li, Chen, Huang, Yang, Jiang, Li et al.: Hybrid Supervision Learning for Pathology Whole Slide Image"
    " Classification. MICCAI 2021"
)
PAPER = "https://arxiv.org/abs/2107.00934"


class Pixel(Rounds[PixelParams]):
    """The pixel-level baseline: the patch model learns from the fine masks alone, then comes stage 2."""

    name = "pixel"
    card = MethodCard(
        title="Pixel-level supervision: fine masks of some patches, then top-K patches",
        citation=CITATION,
        paper=PAPER,
        tables=("Table 2, pixel-level",),
        notes="Round 0 of hybrid supervision. nets=khened is nearer to the code the paper says it modified.",
    )
    Params = PixelParams
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "quick": PIXEL_QUICK, "smoke": PIXEL_SMOKE}

    def _code(self, number: int) -> type:
        return Rounds if type(self) is Pixel else type(self)


class Hybrid(Rounds[HybridParams]):
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

    def __init__(self, params: HybridParams) -> None:
        super().__init__(params)
        self._released = params.composition == "iid"

    def _round0_fields(self) -> tuple[str, ...]:
        return RELEASED_ROUND0_FIELDS if self._released else super()._round0_fields()

    def _code(self, number: int) -> type:
        """Round 0 is that of `pixel`, so that one finds it done by the other; with composition=iid it is its own."""
        shared = type(self) is Hybrid and number == 0 and not self._released
        return Rounds if shared else type(self)

    def _last_round(self) -> int:
        return self.params.rounds

    def _best(self, rounds: list[Round]) -> int:
        """As the parameter `selection` says."""
        return len(rounds) - 1 if self.params.selection == "last" else super()._best(rounds)

    def _batches(
        self, number: int, fine: list[FinePatch], cohort: Cohort, before: Round | None, context: Context
    ) -> Batches:
        """E-step: what the last round's patch model found on the training slides becomes labels."""
        from .hybrid_nets import PatchModel
        from .index_files import read_groups
        from .m_step import Batches, MixedBatches

        if before is None and not self._released:
            return super()._batches(number, fine, cohort, before, context)
        groups = None
        if self._released:
            slides = [lattice.slide.id for lattice in cohort.lattices]
            groups = read_groups(self.params.slide_groups, slides)
        if before is None:
            return Batches(fine, cohort, self.params, groups=groups)
        teacher = PatchModel(self.params, before.theta1, context.device)
        batches = MixedBatches(fine, cohort, self.params, teacher=teacher, scored=before.scored, groups=groups)
        for pool, size in zip(("fine", "pseudo", "negative"), batches.sizes, strict=True):
            context.log(f"e_step/{pool}_patches", size, number)
        return batches
