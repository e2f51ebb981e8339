"""Which folders are packages: found, so that a new folder needs no edit; `methods/` becomes `benchmark.methods`.

A build from a checkout also notes the commit, for `bench --version`.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

OUTER = ("methods", "datasets", "sweeps")
"""Folders that are installed inside `benchmark`, so that nothing of theirs is at the top of site-packages."""


class BuildWithCommit(build_py):
    """Writes `benchmark/commit.txt` beside what is built; not into an editable installation, which asks git itself."""

    def run(self) -> None:
        """Build, then note the commit where git knows it."""
        super().run()
        if self.editable_mode:
            return
        words = [
            "git",
            "-C",
            str(Path(__file__).resolve().parent),
            "describe",
            "--always",
            "--dirty=+dirty",
            "--abbrev=10",
        ]
        try:
            commit = subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()
        except (OSError, subprocess.CalledProcessError):
            return
        (Path(self.build_lib) / "benchmark" / "commit.txt").write_text(f"{commit}\n", encoding="utf-8")


outer = find_packages(include=[pattern for name in OUTER for pattern in (name, f"{name}.*")])
setup(
    packages=[*find_packages(include=["benchmark", "benchmark.*"]), *(f"benchmark.{name}" for name in outer)],
    package_dir={f"benchmark.{name}": name for name in OUTER},
    cmdclass={"build_py": BuildWithCommit},
)
