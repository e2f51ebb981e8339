"""Python, packages, plug-ins and shell completion."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from benchmark.doctor.check import Check
from benchmark.errors import RegistryError
from benchmark.registry import datasets, methods

DISTRIBUTION = "histobench"

MODULES = {
    "openslide-bin": "openslide_bin",
    "openslide-python": "openslide",
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
}
"""Import names that differ from the name of the distribution."""


def python() -> Check:
    """The interpreter against what the project supports."""
    version = ".".join(map(str, sys.version_info[:3]))
    wanted = metadata.metadata(DISTRIBUTION)["Requires-Python"] or ""
    ok = SpecifierSet(wanted).contains(version, prereleases=True)
    return Check("python", ok, f"{version} ({sys.executable})", "" if ok else f"use a Python {wanted}")


def packages() -> Iterator[Check]:
    """Every required distribution: installed, of a version in range, and importable. One line when all are well."""
    wanted = [Requirement(line) for line in metadata.requires(DISTRIBUTION) or []]
    wanted = [requirement for requirement in wanted if requirement.marker is None or requirement.marker.evaluate()]
    wrong = [check for check in map(package, wanted) if check.ok is not True]
    yield from wrong
    own = metadata.version(DISTRIBUTION)
    well = ", ".join(f"{r.name} {metadata.version(r.name)}" for r in wanted if r.name in ("torch", "timm", "mlflow"))
    if not wrong:
        yield Check("packages", True, f"{DISTRIBUTION} {own} and its {len(wanted)} requirements, among them {well}")


def package(requirement: Requirement) -> Check:
    """One required distribution; importing it is the only proof that its compiled parts fit this machine."""
    what, install = f"package {requirement.name}", f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return Check(what, False, "not installed", install)
    if not requirement.specifier.contains(version, prereleases=True):
        return Check(what, False, f"{version}, but {requirement.specifier} is needed", install)
    module = MODULES.get(requirement.name.lower(), requirement.name.replace("-", "_"))
    try:
        importlib.import_module(module)
    except Exception as error:  # whatever a broken installation raises belongs on this line
        return Check(what, False, f"{version} cannot be imported: {error}", f"{install} --force-reinstall")
    return Check(what, True, version)


def plugins() -> Iterator[Check]:
    """Every registered method and dataset, loaded and checked against its contract."""
    for registry in (methods(), datasets()):
        try:
            entries = registry.entries()
        except RegistryError as error:
            yield Check(f"{registry.kind}s", False, error.what, error.fix or "")
            continue
        well = []
        for entry in entries:
            try:
                registry.load(entry.name)
                well.append(entry.name)
            except RegistryError as error:
                yield Check(f"{registry.kind} {entry.name}", False, error.what, error.fix or "")
        if well or not entries:
            yield Check(f"{registry.kind}s", True if well else None, ", ".join(well) or "none", "bench list")


def completion() -> Check:
    """Whether the login shell completes `bench`."""
    shell = Path(os.environ.get("SHELL", "")).name
    home = Path.home()
    scripts = {
        "bash": home / ".bash_completions" / "bench.sh",
        "zsh": home / ".zfunc" / "_bench",
        "fish": home / ".config" / "fish" / "completions" / "bench.fish",
    }
    if shell not in scripts:
        return Check("completion", None, f"not known for the shell {shell or '(none)'}", "bench --show-completion")
    if scripts[shell].is_file():
        return Check("completion", True, f"{shell}: {scripts[shell]}")
    return Check("completion", None, f"{shell}: not installed", "bench --install-completion")
