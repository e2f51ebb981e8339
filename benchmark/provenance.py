"""Which code ran: a digest of a method's own modules, and the version or commit of the whole."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_FLAT_PACKAGES = frozenset({"", "benchmark", "benchmark.methods"})
"""Folders whose modules have nothing to do with each other; every other folder counts as one component."""


@lru_cache(maxsize=64)
def code_digest(component: type, *, learning: bool = True) -> str:
    """Digest of the syntax of a component's modules and, for a method, of `benchmark/learning`.

    A component that lives in a folder with others (a family, the adapters) covers all modules below that folder.
    Comments and docstrings do not count. Taken once per process: what is imported is what runs, whatever happens to
    the files later.
    """
    files: set[Path] = set()
    for cls in component.__mro__:
        module = sys.modules.get(cls.__module__)
        path = getattr(module, "__file__", None)
        if module is None or path is None or cls.__module__.split(".")[0] in sys.stdlib_module_names:
            continue
        package = module.__package__ or ""
        if cls.__module__ in ("benchmark.method", "benchmark.dataset"):
            continue
        files.update(_siblings(Path(path)) if package not in _FLAT_PACKAGES else (Path(path),))
    if learning:
        files.update(_siblings(Path(__file__).parent / "learning" / "__init__.py"))
    total = hashlib.sha256()
    for file in sorted(files, key=lambda file: (file.name, str(file))):
        stat = file.stat()
        total.update(_syntax(file, stat.st_mtime_ns, stat.st_size).encode())
    return total.hexdigest()[:16]


def _siblings(path: Path) -> list[Path]:
    return sorted(path.parent.rglob("*.py"))


@lru_cache(maxsize=512)
def _syntax(path: Path, modified: int, size: int) -> str:
    tree = ast.parse(path.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return hashlib.sha256(ast.dump(tree).encode()).hexdigest()


@lru_cache(maxsize=1)
def code_version() -> str:
    """The installed version, with the git commit (and `+dirty`) when run from a checkout."""
    from importlib.metadata import version

    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        return version("histobench")
    described = subprocess.run(
        ["git", "-C", str(here), "describe", "--always", "--dirty=+dirty", "--abbrev=10"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return f"{version('histobench')}+{described}" if described else version("histobench")
