"""Seeds as a pure function of named axes, so every part of a run can be repeated alone."""

from __future__ import annotations

import hashlib

import numpy as np

from benchmark.errors import ConfigError

MOST_SEED = 2**63 - 1
"""The largest seed, wherever one is given; the smallest is 0."""


def require_seed(seed: int, option: str = "--seed") -> int:
    """The seed that `option` gave. Raises `ConfigError` unless it is in 0 … `MOST_SEED`."""
    if not 0 <= seed <= MOST_SEED:
        told = f"seed {seed} is negative" if seed < 0 else "the seed is above 2^63 - 1"
        raise ConfigError(f"{told}; seeds are whole numbers from 0", fix=f"{option} 0")
    return seed


def seed_of(*axes: str | int) -> int:
    """A 63-bit seed that depends on every axis and on nothing else (SHA-256, no running stream)."""
    text = "\x1f".join(f"{type(axis).__name__}:{axis}" for axis in axes)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(*axes: str | int) -> np.random.Generator:
    """A NumPy generator seeded by `seed_of` the axes."""
    return np.random.default_rng(seed_of(*axes))
