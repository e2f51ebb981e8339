"""Which published weights a method starts from, and whether they are on this machine: nothing is loaded or fetched."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from benchmark.learning.encoders.encoder_names import OWN, catalogue_entry, timm_names
from benchmark.learning.encoders.sources import Repository, Source, local_fix

if TYPE_CHECKING:
    from pydantic import BaseModel


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


def random_starts(params: BaseModel) -> dict[str, str]:
    """Field → encoder, for all that the parameters name without taking published weights or a file of weights."""
    values = dict(params)
    starts = {}
    for field, wanted in values.items():
        owner = field.removesuffix("_pretrained")
        holder = next((name for name in (owner, f"{owner}_backbone") if isinstance(values.get(name), str)), None)
        if owner != field and wanted is False and holder is not None and values.get(f"{owner}_weights") is None:
            starts[holder] = values[holder]
    return starts


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
    source: Source | None = getattr(entry, "source", None)
    return local_fix(name) if source is None else source.fix(name)


def timm_facts(name: str) -> dict[str, dict[str, str]] | None:
    """What `bench info` shows of a network of timm, which has no entry in the catalogue; None for any other name."""
    if name not in timm_names() and name.partition(".")[0] not in timm_names():
        return None
    reason = absent(name)
    return {
        "card": {
            "title": "a network of timm: any parameter that names an encoder takes it",
            "homepage": f"https://huggingface.co/timm/{_tagged(name)}",
            "notes": "Its licence and what it has seen stand there; `bench audit` does not know them.",
        },
        "network": {
            "weights": f"hub timm/{_tagged(name)}",
            "on this machine": "yes" if reason is None else f"no: {reason}",
            "to get them": "" if reason is None else remedy(name),
        },
    }


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
