"""What the mark of a miniature says beyond that it is one: the patients its tissue comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from benchmark.dataset import SYNTHETIC_MARK
from benchmark.errors import DataError


def read_mark(root: Path, name: str) -> Mapping[str, str]:
    """Slide id → patient of a miniature; empty for a real set. Raises `DataError` for a mark that cannot be read."""
    mark = root / SYNTHETIC_MARK
    if not mark.is_file():
        return {}
    fix = f"bench data synth {name} --out DIR"
    try:
        content = json.loads(mark.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"{mark} is not the mark of a miniature: {error}", fix=fix) from error
    patients = content.get("patients") if isinstance(content, dict) else None
    if not isinstance(patients, dict) or not all(isinstance(value, str) for value in patients.values()):
        raise DataError(f"{mark} names no patients: it is no miniature of {name}", fix=fix)
    return patients
