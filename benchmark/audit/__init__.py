"""What a dataset gives away: leaks between its splits, missing slides, encoders that have seen it."""

from __future__ import annotations

from benchmark.audit.checks import audit
from benchmark.audit.encoders import declared_encoders
from benchmark.audit.findings import AuditFinding, AuditReport

__all__ = ["AuditFinding", "AuditReport", "audit", "declared_encoders"]
