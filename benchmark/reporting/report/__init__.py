"""`bench report`: a leaderboard as one page that needs nothing else."""

from __future__ import annotations

from benchmark.reporting.report.write_report import render, write_report

__all__ = ["render", "write_report"]
