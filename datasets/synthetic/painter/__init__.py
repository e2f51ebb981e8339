"""A painter of H&E-like tissue, the source of pixels for miniatures."""

from __future__ import annotations

from .painter import VERSION, Painter
from .stain import Stain

__all__ = ["VERSION", "Painter", "Stain"]
