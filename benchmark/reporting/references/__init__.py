"""Published numbers: one YAML file per paper, every row of its tables of results with the protocol behind it."""

from __future__ import annotations

from benchmark.reporting.references.load import references
from benchmark.reporting.references.reference import Reference

__all__ = ["Reference", "references"]
