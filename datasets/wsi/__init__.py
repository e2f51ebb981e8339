"""What whole-slide sets are made of: their files, options, coarse annotations. Knows no other part of the datasets."""

from __future__ import annotations
