"""What an audit says: findings, and the one line that a run carries of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NAMED = 5
"""Items named in a text; the rest are counted."""

PATIENTS = "patients across splits"
SLIDES = "slides across splits"
CONTENTS = "contents across splits"
DUPLICATES = "duplicates within a split"
COMPLETENESS = "completeness"
CLASSES = "classes per split"
KIND = "kind of data"
ENCODER = "encoder"


@dataclass(frozen=True)
class AuditFinding:
    """One thing that was looked at.

    `ok`: False for what makes figures doubtful, None for a fact to know. `text`: what, where, how many, the first
    five by name. `items`: all of them.
    """

    check: str
    ok: bool | None
    text: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditReport:
    """Everything an audit found, in the order of its checks."""

    findings: tuple[AuditFinding, ...]

    @property
    def ok(self) -> bool:
        """True when nothing makes figures doubtful."""
        return not self.warnings

    @property
    def warnings(self) -> tuple[AuditFinding, ...]:
        """The findings that make figures doubtful."""
        return tuple(finding for finding in self.findings if finding.ok is False)

    @property
    def tag(self) -> str:
        """`clean`, or `warnings: ` and the checks that warn, each once."""
        checks = dict.fromkeys(finding.check for finding in self.warnings)
        return f"warnings: {', '.join(checks)}" if checks else "clean"

    def facts(self) -> dict[str, Any]:
        """Everything as JSON values, for `audit.json`."""
        findings = [
            {"check": one.check, "ok": one.ok, "text": one.text, "items": list(one.items)} for one in self.findings
        ]
        return {"ok": self.ok, "tag": self.tag, "findings": findings}


def named(items: Sequence[str]) -> str:
    """The first five, and how many more there are."""
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(items[:NAMED]) + more


def counted(number: int, what: str) -> str:
    """A number with its noun and verb: `1 patient is`, `2 patients are`."""
    return f"{number} {what} is" if number == 1 else f"{number} {what}s are"
