"""Leaks between the splits of a dataset, missing slides, and encoders that have seen it."""

from __future__ import annotations

from benchmark.audit.checks import audit
from benchmark.audit.encoders import declared_encoders
from benchmark.audit.findings import AuditFinding, AuditReport

__all__ = ["AuditFinding", "AuditReport", "audit", "declared_encoders"]
