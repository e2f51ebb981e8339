"""`bench report`: a leaderboard as one page that needs nothing else."""

from __future__ import annotations

from benchmark.reporting.report.run_figures import Files, StoreFiles
from benchmark.reporting.report.write_report import render, write_report

__all__ = ["Files", "StoreFiles", "render", "write_report"]
