"""The identity of a run: a digest of everything that decides its numbers."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from benchmark.digest import content_digest
from benchmark.discovery import find
from benchmark.encoder import EncoderField
from benchmark.provenance import modules_digest


def digest_of(facts: Any) -> str:
    """SHA-256 of canonical JSON, as 32 hexadecimal digits."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def facts_of(model: BaseModel) -> dict[str, Any]:
    """The fields of a model as JSON values.

    A file or folder counts by its content, not by where it lies; an encoder of the catalogue by its name and its code.
    """
    facts: dict[str, Any] = model.model_dump(mode="json")
    fields = type(model).model_fields
    named = [name for name, field in fields.items() if _marked(field, EncoderField)]
    catalogue = {entry.name: entry.target for entry in find("encoder", "bench.encoders")} if named else {}
    for name in named:
        if facts[name] in catalogue:
            module = catalogue[facts[name]].partition(":")[0]
            facts[name] = {"encoder": facts[name], "code": modules_digest([module])}
    for name, value in model:
        if isinstance(value, Path) and value.is_file():
            with value.open("rb") as file:
                facts[name] = f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
        elif isinstance(value, Path) and value.is_dir():
            inside = [path for path in value.rglob("*") if path.is_file()]
            facts[name] = f"content:{content_digest(value, inside, full=True, remember=True)}"
    return facts


def _marked(field: FieldInfo, mark: type) -> bool:
    return any(isinstance(known, mark) for known in field.metadata)
