"""What a dataset gives away: leaks between its splits, missing slides, encoders that have seen it."""

from __future__ import annotations

from .checks import audit
from .encoders import declared_encoders
from .findings import AuditFinding, AuditReport

__all__ = ["AuditFinding", "AuditReport", "audit", "declared_encoders"]
