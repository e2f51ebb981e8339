"""Which folders are packages: found, so that a new folder needs no edit; `methods/` becomes `benchmark.methods`."""

from __future__ import annotations

from setuptools import find_packages, setup

OUTER = ("methods", "datasets", "sweeps")
"""Folders that are installed inside `benchmark`, so that nothing of theirs is at the top of site-packages."""

outer = find_packages(include=[pattern for name in OUTER for pattern in (name, f"{name}.*")])
setup(
    packages=[*find_packages(include=["benchmark", "benchmark.*"]), *(f"benchmark.{name}" for name in outer)],
    package_dir={f"benchmark.{name}": name for name in OUTER},
)
