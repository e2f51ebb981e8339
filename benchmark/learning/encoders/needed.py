"""Which published weights a method starts from, and whether they are on this machine: nothing is loaded or fetched."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.config import resolve
from benchmark.learning.encoders.encoder_names import OWN, catalogue_entry
from benchmark.learning.encoders.sources import Repository, local_fix

if TYPE_CHECKING:
    from pydantic import BaseModel

    from benchmark.method import Method


def weights_needed(kind: type[Method], preset: str) -> dict[str, str | None]:
    """Encoder → why its weights are not here (None: they are), for all that a preset of a method starts from."""
    params = resolve(kind, preset)
    names = kind(params).starts_from()
    return {name: absent(name) for name in (encoders_of(params) if names is None else names)}


def encoders_of(params: BaseModel) -> list[str]:
    """The encoders whose published weights the parameters ask for.

    A parameter `x_pretrained` that is true asks for those of the encoder that `x` or `x_backbone` names, unless
    `x_weights` names a local file.
    """
    values = dict(params)
    names = []
    for field, wanted in values.items():
        owner = field.removesuffix("_pretrained")
        name = values.get(owner, values.get(f"{owner}_backbone"))
        if owner != field and wanted is True and values.get(f"{owner}_weights") is None and isinstance(name, str):
            names.append(name)
    return list(dict.fromkeys(names))


def absent(name: str) -> str | None:
    """Why the weights of an encoder are not on this machine, in words; None when they are."""
    if name in OWN:
        return "res38d.pth is fetched by hand"
    entry = catalogue_entry(name)
    if entry is not None:
        return entry.absent()
    return Repository(f"timm/{_tagged(name)}").absent(name)


def remedy(name: str) -> str:
    """How weights that are absent come here."""
    if name in OWN:
        return "--set cls_weights=res38d.pth --set seg_weights=res38d.pth"
    entry = catalogue_entry(name)
    if entry is None:
        return "the first run downloads them, or name a file: --set encoder_weights=FILE"
    return str(getattr(getattr(entry, "source", None), "fix", local_fix(name)))


def _tagged(name: str) -> str:
    """A timm model with the tag of its weights; without one, that of the first weights timm lists."""
    return name if "." in name else _first_weights().get(name, name)


@cache
def _first_weights() -> dict[str, str]:
    """Model → `MODEL.TAG` that timm takes when no tag is given; read from its files, without timm."""
    spec = importlib.util.find_spec("timm")
    first: dict[str, str] = {}
    if spec is not None and spec.origin is not None:
        for file in (Path(spec.origin).parent / "models").glob("*.py"):
            text = file.read_text(encoding="utf-8")
            for name in re.findall(r"^\s+['\"](\w+\.\w+)['\"]\s*:", text, re.MULTILINE):
                first.setdefault(name.partition(".")[0], name)
    return first
