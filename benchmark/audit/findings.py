"""The findings of an audit, and the one-line summary that a run stores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

NAMED = 5
"""Items listed in a text; the rest are counted."""

PATIENTS = "patients across splits"
SLIDES = "slides across splits"
CONTENTS = "contents across splits"
DUPLICATES = "duplicates within a split"
BOTH_TESTS = "test parts of both sets"
COMPLETENESS = "completeness"
CLASSES = "classes per split"
KIND = "kind of data"
ENCODER = "encoder"


@dataclass(frozen=True)
class AuditFinding:
    """The result of one check.

    `ok`: False for what makes figures doubtful, None for a fact to know. `text`: what, where, how many, the first
    five items. `items`: all of them.
    """

    check: str
    ok: bool | None
    text: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True)
class AuditReport:
    """All findings, in the order of the checks."""

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
            {"check": finding.check, "ok": finding.ok, "text": finding.text, "items": list(finding.items)}
            for finding in self.findings
        ]
        return {"ok": self.ok, "tag": self.tag, "findings": findings}


def list_some(items: Sequence[str]) -> str:
    """The first five, and how many more there are."""
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return ", ".join(items[:NAMED]) + more


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 patient`, `2 patients`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
