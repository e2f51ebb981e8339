"""From stain densities to colours: Beer-Lambert, with the stain vectors of one laboratory day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .fields import Field, cloud

HAEMATOXYLIN = (0.47, 0.82, 0.33)
EOSIN = (0.15, 0.96, 0.25)
BLOOD = (0.11, 0.89, 0.44)
"""Optical density per unit of stain in red, green and blue, of unit length. The first two are near the means over
GlaS (principal plane of the optical densities, extreme 1 % angles: Macenko et al., ISBI 2009)."""

GLASS = (0.99, 0.955, 0.98)
"""Colour of an empty place under the microscope."""


Layer = NDArray[np.floating[Any]] | float
"""Densities or cover of one layer, per pixel or the same everywhere."""


@dataclass
class Canvas:
    """Stain densities of one image while it is being painted, height × width each."""

    haematoxylin: Field
    eosin: Field
    blood: Field

    @classmethod
    def blank(cls, shape: tuple[int, int]) -> Canvas:
        """An empty place."""
        return cls(*(np.zeros(shape, np.float32) for _ in range(3)))

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width)."""
        height, width = self.eosin.shape
        return height, width

    @property
    def stains(self) -> tuple[Field, Field, Field]:
        """The three fields, in the order of the stain vectors."""
        return self.haematoxylin, self.eosin, self.blood

    def lay(self, cover: Layer, haematoxylin: Layer, eosin: Layer, blood: Layer = 0.0) -> None:
        """Put a layer over what is there; `cover` in [0, 1] says where it hides the layer below."""
        for field, density in zip(self.stains, (haematoxylin, eosin, blood), strict=True):
            field += cover * (density - field)


@dataclass(frozen=True)
class Stain:
    """How strongly and in which hue one patient's sections came out of the bath."""

    vectors: NDArray[np.float32]
    """3 × 3: haematoxylin, eosin and blood by red, green and blue."""
    strength: NDArray[np.float32]
    """One factor per stain."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Stain:
        """Jitter both stain vectors and their strengths about as far as GlaS patients differ."""
        vectors = np.array([HAEMATOXYLIN, EOSIN, BLOOD], np.float32)
        vectors[:2] += rng.normal(0, 1, (2, 3)) * [0.04, 0.03, 0.06]
        vectors = np.clip(vectors, 0.02, None)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        strength = np.exp(np.clip(rng.normal(-0.14, [0.26, 0.28, 0.1]), -0.65, 0.3))
        return cls(vectors.astype(np.float32), strength.astype(np.float32))

    def develop(self, rng: np.random.Generator, canvas: Canvas) -> NDArray[np.uint8]:
        """The photograph: light through the stains, lens blur (one in eight out of focus), uneven light, noise."""
        strength = self.strength * np.exp(rng.normal(0, 0.05, 3)).astype(np.float32)
        density = np.zeros((*canvas.shape, 3), np.float32)
        for field, factor, vector in zip(canvas.stains, strength, self.vectors, strict=True):
            density += np.maximum(field, 0)[..., None] * (factor * vector)
        image = np.exp(-density) * np.array(GLASS, np.float32)
        sigma = rng.uniform(1.1, 1.5) if rng.random() < 0.12 else rng.uniform(0.55, 0.85)
        image = ndimage.gaussian_filter(image, (sigma, sigma, 0))
        image *= 1 + 0.012 * cloud(rng, canvas.shape, 60)[..., None]
        grain = rng.standard_normal(image.shape, dtype=np.float32)
        image += 0.012 * ndimage.gaussian_filter(grain, (0.5, 0.5, 0))
        pixels: NDArray[np.uint8] = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
        return pixels
