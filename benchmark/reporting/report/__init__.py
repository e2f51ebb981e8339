"""`bench report`: a leaderboard as one page that needs nothing else."""

from __future__ import annotations

from benchmark.reporting.report.files import Files, StoreFiles
from benchmark.reporting.report.write import render, write_report

__all__ = ["Files", "StoreFiles", "render", "write_report"]
