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
from benchmark.errors import DataError
from benchmark.learning.encoders.encoder_names import catalogue_entry
from benchmark.learning.encoders.sources import Wheel, kept_file
from benchmark.provenance import modules_digest


def digest_of(facts: Any) -> str:
    """SHA-256 of canonical JSON, as 32 hexadecimal digits."""
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def facts_of(model: BaseModel) -> dict[str, Any]:
    """The fields of a model as JSON values.

    A file or folder counts by its content, not by where it lies; an encoder of the catalogue by its name, its code and
    the weight file that was put into the cache's folder `weights` for it. Raises `DataError` for an unreadable file.
    """
    facts: dict[str, Any] = model.model_dump(mode="json")
    fields = type(model).model_fields
    named = [name for name, field in fields.items() if _marked(field, EncoderField)]
    catalogue = {entry.name: entry.target for entry in find("encoder", "bench.encoders")} if named else {}
    for name in named:
        if facts[name] in catalogue:
            module = catalogue[facts[name]].partition(":")[0]
            weights = _kept_weights(model, name)
            facts[name] = {"encoder": facts[name], "code": modules_digest([module]), **weights}
    for name, value in model:
        if isinstance(value, Path) and value.is_file():
            facts[name] = f"sha256:{_file_digest(value)}"
        elif isinstance(value, Path) and value.is_dir():
            inside = [path for path in value.rglob("*") if path.is_file()]
            facts[name] = f"content:{content_digest(value, inside, full=True, remember=True)}"
    return facts


def _file_digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise DataError(f"cannot read {path}: {reason}", fix=f"ls -l {path}") from error


def _kept_weights(model: BaseModel, field: str) -> dict[str, str]:
    """The digest of the file in the folder of weights that the encoder of a field starts from; empty without one.

    A download is not covered: planning would know it only once it is there, and a first run would never count as done.
    """
    values = dict(model)
    path, owner = kept_file(values[field]), field.removesuffix("_backbone")
    unused = values.get(f"{owner}_pretrained") is False or values.get(f"{owner}_weights") is not None
    if path is None or unused or isinstance(getattr(catalogue_entry(values[field]), "source", None), Wheel):
        return {}
    return {"weights": f"content:{content_digest(path.parent, [path], full=True, remember=True)}"}


def _marked(field: FieldInfo, mark: type) -> bool:
    return any(isinstance(known, mark) for known in field.metadata)
