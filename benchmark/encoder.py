"""The Encoder contract: a network with weights that turns patches into features, as an entry of the catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor, nn

    from benchmark.slides.strips import Interpolation


@dataclass(frozen=True)
class EncoderCard:
    """What an encoder is and where it comes from, as `bench info` shows it.

    `seen`: the data its weights were trained on, in words; the audit looks for the names of cohorts in it.
    `mpp`: microns per pixel of the patches it was trained on, None where it knows no microns.
    """

    title: str
    seen: str
    licence: str
    citation: str
    homepage: str
    mpp: float | None = None
    notes: str = ""


class EncoderField:
    """Marks a parameter that names an encoder; an entry of the catalogue counts in identities with its code."""


class Encoder(ABC):
    """Base of all catalogue entries. An entry is a class that is never instantiated; its values are constants.

    `side`: height and width of its input in px. `mean`, `std`: per channel, of pixels in [0, 1]. `width`: numbers per
    patch. `interpolation`: how a patch of another size is brought to `side`.
    """

    name: ClassVar[str]
    card: ClassVar[EncoderCard]
    side: ClassVar[int]
    mean: ClassVar[tuple[float, float, float]]
    std: ClassVar[tuple[float, float, float]]
    width: ClassVar[int]
    interpolation: ClassVar[Interpolation] = "bicubic"

    @classmethod
    @abstractmethod
    def build(cls, *, side: int, weights: Path | None = None) -> nn.Module:
        """The network with its weights, in evaluation mode: normalised images n × 3 × side × side → n × `width`.

        `weights`: a local file instead of the entry's own source. Raises `WeightsError` when weights cannot be loaded
        or do not fit, `ConfigError` for a side that the network does not take.
        """

    @classmethod
    def timm_model(cls) -> tuple[str, Mapping[str, Any]] | None:
        """The name and options of timm's model that `state` fits, for methods that train it; None without."""
        return None

    @classmethod
    def state(cls, weights: Path | None = None) -> Mapping[str, Tensor]:
        """The tensors of its weights under timm's names, without classifier. Raises as `build` does."""
        raise NotImplementedError

    @classmethod
    def absent(cls) -> str | None:
        """Why `build` would fail for want of weights on this machine, in words; None when they are here.

        Asks the file system only: no download, no network.
        """
        return None

    @classmethod
    def way(cls) -> str:
        """What absent weights need to get here, in words that several entries share, such as `a download`."""
        return "its own way"

    @classmethod
    def origin(cls) -> str:
        """Where the weights come from, in a few words: `wheel …`, `hub …`, `file …`."""
        return "unknown"
