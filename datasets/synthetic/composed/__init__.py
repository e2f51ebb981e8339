"""Whole-slide-like images composed of real or painted tissue."""

from __future__ import annotations

from .compose import ComposedSlide, compose_slide

__all__ = ["ComposedSlide", "compose_slide"]
