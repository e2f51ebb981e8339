"""The difference of two finished runs: configuration, figures with tests, and the slides they disagree on."""

from __future__ import annotations

from benchmark.reporting.comparison.build_comparison import compare_runs, require_pair
from benchmark.reporting.comparison.comparison_facts import Difference
from benchmark.reporting.comparison.comparison_page import write_page

__all__ = ["Difference", "compare_runs", "require_pair", "write_page"]
