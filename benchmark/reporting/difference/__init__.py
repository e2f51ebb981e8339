"""The difference of two finished runs: configuration, figures with tests, and the slides they disagree on."""

from __future__ import annotations

from benchmark.reporting.difference.build import compare_runs, require_pair
from benchmark.reporting.difference.model import Difference
from benchmark.reporting.difference.page import write_page

__all__ = ["Difference", "compare_runs", "require_pair", "write_page"]
