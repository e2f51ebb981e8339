"""Which encoder a name stands for: an entry of the catalogue, or a model of timm. Checked without loading either."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import re
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from benchmark.discovery import Entry, find, locate
from benchmark.encoder import Encoder, EncoderField
from benchmark.errors import RegistryError
from benchmark.near_names import did_you_mean, near_names

OWN = ("resnet38",)
"""Networks of `learning/nets` that go by a name of their own."""


@cache
def timm_names() -> frozenset[str]:
    """The names of timm's models, with and without the tag of their weights; read from its files, without timm."""
    spec = importlib.util.find_spec("timm")
    names: set[str] = set()
    if spec is None or spec.origin is None:
        return frozenset()
    for file in (Path(spec.origin).parent / "models").glob("*.py"):
        text = file.read_text(encoding="utf-8")
        names.update(re.findall(r"@register_model\s*\ndef (\w+)\(", text))
        names.update(re.findall(r"^\s+['\"](\w+\.\w+)['\"]\s*:", text, re.MULTILINE))
    return frozenset(names)


@cache
def catalogue() -> dict[str, Entry]:
    """The encoders of the installed distributions by name, none of them imported.

    Raises `ValueError` when two distributions register one name.
    """
    by_name: dict[str, Entry] = {}
    for entry in find("encoder", "bench.encoders"):
        if entry.name in by_name:
            both = f"{by_name[entry.name].origin} and {entry.origin}"
            raise ValueError(f"two encoders are named {entry.name!r}: {both}; uninstall one of them")
        by_name[entry.name] = entry
    return by_name


def catalogue_entry(name: str) -> type[Encoder] | None:
    """The catalogue's encoder of that name; None when it has none.

    Raises `RegistryError` when its class cannot be imported or breaks the contract. The registry would load it too, but
    it knows methods, whose context imports this module.
    """
    if name not in catalogue():
        return None
    entry = catalogue()[name]
    module, _, attribute = entry.target.partition(":")
    whose, fix = (
        f"the encoder {name!r} ({entry.origin})",
        f"pip install --upgrade {entry.distribution}, or uninstall it",
    )
    try:
        component = getattr(importlib.import_module(module), attribute)
    except Exception as error:  # a plug-in's module may fail in any way
        raise RegistryError(f"{whose} cannot be imported: {type(error).__name__}: {error}", fix=fix) from error
    if not (isinstance(component, type) and issubclass(component, Encoder)):
        raise RegistryError(f"{whose} is no benchmark.encoder.Encoder", fix=fix)
    lacking = [key for key in ("card", "side", "mean", "std", "width") if not hasattr(component, key)]
    if lacking or inspect.isabstract(component):
        lacking += sorted(getattr(component, "__abstractmethods__", ()))
        raise RegistryError(f"{whose} breaks the contract of encoders: it lacks {', '.join(lacking)}", fix=fix)
    component.name = name
    return component


def check_encoder(name: str) -> str:
    """The name, if there is such an encoder; raises `ValueError` with the nearest names otherwise.

    A name of the hub such as `hf-hub:MahmoodLab/UNI` is answered with the catalogue's entry for it. Takes a fraction
    of a second and no network.
    """
    if name in OWN or name in catalogue() or name in timm_names() or name.partition(".")[0] in timm_names():
        return name
    repository = re.sub(r"^hf[-_]hub:", "", name)
    if repository != name or "/" in name:
        entry = _entry_of(repository)
        hint = f"its name here is {entry!r}" if entry else "the catalogue has no entry for it: bench list encoders"
        raise ValueError(f"{name!r} is a repository of a hub; {hint}")
    known = [*OWN, *catalogue(), *timm_names()]
    hint = did_you_mean(near_names(name, known, cutoff=0.6)) or "bench list encoders"
    raise ValueError(f"there is no encoder {name!r}, neither in the catalogue nor in timm; {hint}")


def _entry_of(repository: str) -> str | None:
    """The entry whose source is that repository, told from the files of the catalogue without loading them."""
    for entry in catalogue().values():
        module, _, attribute = entry.target.partition(":")
        path = locate(module)
        text = path.read_text(encoding="utf-8") if path else ""
        body = re.split(r"^class ", text[text.find(f"class {attribute}(") + 1 :], maxsplit=1, flags=re.MULTILINE)[0]
        source = re.search(r"Repository\(\s*['\"]([^'\"]+)", body)
        if source and source[1].lower() == repository.lower():
            return entry.name
    return None


EncoderName = Annotated[str, AfterValidator(check_encoder), EncoderField()]
"""A parameter that names an encoder: checked while a run is planned."""
