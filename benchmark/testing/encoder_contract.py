"""What every encoder of the catalogue must keep."""

from __future__ import annotations

import time

import numpy as np
import pytest

from benchmark.encoder import Encoder
from benchmark.errors import ConfigError, WeightsError
from benchmark.learning.encoders.frozen import FrozenEncoder, entry_encoder
from benchmark.registry import encoders
from benchmark.testing.datasets import Contract

PROMPT = 10.0
"""Seconds within which missing weights are told."""


class EncoderContract(Contract):
    """Subclass it and set `name`, or override the fixture `component`. Features need the weights on this machine."""

    @pytest.fixture(scope="class")
    @classmethod
    def entry(cls, component: str) -> type[Encoder]:
        """The entry of the catalogue."""
        return encoders().load(component)

    @pytest.fixture(scope="class")
    @classmethod
    def encoder(cls, entry: type[Encoder]) -> FrozenEncoder:
        """The frozen encoder; the test is skipped where its weights are not here."""
        absent = entry.absent()
        if absent is not None:
            pytest.skip(f"{entry.name}: {absent}")
        return entry_encoder(entry)

    @pytest.fixture
    def patches(self, entry: type[Encoder]) -> np.ndarray:
        """Five patches of noise, n × side × side × 3."""
        return np.random.default_rng(0).integers(0, 256, (5, entry.side, entry.side, 3), dtype=np.uint8)

    def test_it_says_what_it_is(self, entry: type[Encoder]) -> None:
        card = entry.card
        assert all((card.title, card.seen, card.licence, card.citation, card.homepage))
        assert card.mpp is None or 0.05 < card.mpp < 20
        assert entry.origin()

    def test_its_transform_is_one(self, entry: type[Encoder]) -> None:
        assert entry.side >= 16
        assert entry.width >= 1
        assert len(entry.mean) == len(entry.std) == 3
        assert all(0 <= value <= 1 for value in entry.mean)
        assert all(0 < value <= 1 for value in entry.std)
        assert entry.interpolation in ("bilinear", "bicubic")

    def test_missing_weights_are_told_at_once_with_what_to_do(self, entry: type[Encoder]) -> None:
        if entry.absent() is None:
            return
        began = time.perf_counter()
        with pytest.raises(WeightsError) as refused:
            entry.build(side=entry.side)
        assert time.perf_counter() - began < PROMPT
        assert refused.value.fix

    def test_features_have_the_width_it_says(
        self, encoder: FrozenEncoder, entry: type[Encoder], patches: np.ndarray
    ) -> None:
        features = encoder(patches)
        assert tuple(features.shape) == (5, entry.width)
        assert np.isfinite(features.numpy()).all()
        assert features.numpy().std(axis=0).max() > 0, "all patches have the same features"

    def test_the_same_patches_give_the_same_features(self, encoder: FrozenEncoder, patches: np.ndarray) -> None:
        assert np.array_equal(encoder(patches).numpy(), encoder(patches).numpy())

    def test_a_patch_does_not_depend_on_its_batch(self, encoder: FrozenEncoder, patches: np.ndarray) -> None:
        together, alone = encoder(patches).numpy(), encoder(patches[2:3]).numpy()
        assert np.allclose(together[2:3], alone, rtol=1e-3, atol=1e-4 * np.abs(together).max())

    def test_building_it_again_gives_the_same_digest(self, encoder: FrozenEncoder, entry: type[Encoder]) -> None:
        assert entry_encoder(entry).digest == encoder.digest

    def test_patches_of_another_size_are_refused(self, encoder: FrozenEncoder, patches: np.ndarray) -> None:
        with pytest.raises(ConfigError, match="expected n ×"):
            encoder(patches[:, :-1])
