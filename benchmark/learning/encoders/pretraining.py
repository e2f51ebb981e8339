"""An encoder trained without labels on the training slides' own tissue, as a method's parameters ask for it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmark.errors import DataError
from benchmark.learning.encoders.patch_file import PatchFile
from benchmark.learning.encoders.selfsupervised import pretrain

if TYPE_CHECKING:
    from torch import Tensor

    from benchmark.context import Context


class PretrainingParams(Protocol):
    """The parameters behind such an encoder."""

    @property
    def encoder(self) -> str: ...  # noqa: D102
    @property
    def encoder_pretrained(self) -> bool: ...  # noqa: D102
    @property
    def encoder_weights(self) -> Path | None: ...  # noqa: D102
    @property
    def input_side(self) -> int: ...  # noqa: D102
    @property
    def encoder_steps(self) -> int: ...  # noqa: D102
    @property
    def encoder_batch(self) -> int: ...  # noqa: D102
    @property
    def encoder_lr(self) -> float: ...  # noqa: D102
    @property
    def encoder_patches(self) -> int: ...  # noqa: D102


def patches_of_slide(
    slide_id: str, numbers: NDArray[np.int64], slides: int, params: PretrainingParams, context: Context
) -> NDArray[np.int64]:
    """One slide's part of `encoder_patches`, drawn evenly from `slides` slides: some of its `numbers`, in any order."""
    share = max(1, params.encoder_patches // max(1, slides))
    return context.generator("encoder patches", slide_id).permutation(numbers)[:share]


def pretrained_on(
    batches: Iterable[NDArray[np.uint8]], side: int, params: PretrainingParams, context: Context
) -> dict[str, Tensor]:
    """The weights after training on patches of `side` px, n × side × side × 3 a batch; call it inside a stage.

    The patches lie on disk meanwhile. Raises `DataError` where there are none.
    """
    place = context.checkpoint.scratch("patches.raw")
    try:
        patches = PatchFile.write(place, side, batches)
        if not len(patches):
            raise DataError("there is no training tissue to train an encoder on", fix="--set encoder_training=none")
        return pretrain(
            patches,
            context,
            architecture=params.encoder,
            side=params.input_side,
            steps=params.encoder_steps,
            batch=params.encoder_batch,
            lr=params.encoder_lr,
            name="encoder",
            pretrained=params.encoder_pretrained,
            weights=params.encoder_weights,
        )
    finally:
        place.unlink(missing_ok=True)
