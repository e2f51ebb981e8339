"""Which code ran: a digest of all that a component imports, and the version or commit of the whole."""

from __future__ import annotations

import ast
import hashlib
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

from benchmark.discovery import spec_of

HARNESS = frozenset(
    f"benchmark.{name}"
    for name in (
        *(
            "annotating",
            "applying",
            "audit",
            "budgets",
            "commands",
            "doctor",
            "reporting",
            "running",
            "scaffold",
            "testing",
            "tracking",
            "tuning",
        ),
        *("cli", "config", "context", "datahome", "dataset", "describe", "digest", "discovery", "errors", "identity"),
        *("method", "provenance", "registry", "resources", "signals", "stages", "storage", "stored", "supervision"),
        *("database_lock", "few_slides", "one_slide", "two_classes", "yaml_lines"),
    )
)
"""Modules and rooms that no component's digest covers, though components import them: see `code_digest`."""

SHOWN = frozenset({"subgroups", "no_probability"})
"""Methods of components that say how results are shown, and decide none: no digest covers them or what they import."""

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)

Find = Callable[[str], Path | None]
"""Full name of a module → its file; None for a module that is not there."""


@cache
def code_digest(component: type) -> str:
    """Digest of the code that decides a component's numbers: the import closure of its class and of its bases.

    Covered is every module that these import, directly or not, inside `benchmark` (methods and datasets are
    `benchmark.methods` and `benchmark.datasets`) or inside the component's own top-level package. Imports are read
    from the syntax: those inside functions count, those under `if TYPE_CHECKING:` do not run and do not count, and an
    import runs the `__init__` of every package on its way. What the syntax does not name (`importlib`, entry points)
    is not seen. Comments, docstrings, other libraries and methods of a class named in `SHOWN` do not count.

    The boundary is `HARNESS`: contracts, bookkeeping and plumbing (labels, context, stages, errors, files, running,
    tracking, reporting …). Every component imports them and they change all the time; were they covered, each edit of
    the harness would make every finished run and kept stage worthless. A change there that changes numbers raises
    the schema of the metrics (`benchmark.metrics.catalogue.SCHEMA`), which is in every run's identity; the feature
    cache, which the context hands out, has a version of its own (`learning.encoders.features.VERSION`). Everything else
    counts: `learning`, `slides`, `annotations`, `metrics`, `seeds`, and any new room, unless it is added to `HARNESS`,
    so that what nobody thought of costs a run too many, never a stale result.

    Taken once per process: what is imported is what runs, whatever happens to the files later.
    """
    return modules_digest(_modules(component))


def _modules(component: type) -> list[str]:
    """The modules of a component's classes: those of its own package or of `benchmark`, and the contract's others.

    A base from another distribution counts when it is a component itself, as a method that another one refines; a
    library's class (`torch.nn.Module`) does not.
    """
    own = {"benchmark", component.__module__.partition(".")[0]}
    contract = next((base for base in component.__mro__ if _is_in(base.__module__, HARNESS)), component)
    return [
        base.__module__
        for base in component.__mro__
        if base.__module__.partition(".")[0] in own or (base is not contract and issubclass(base, contract))
    ]


def modules_digest(modules: Iterable[str], find: Find | None = None) -> str:
    """Digest of the import closure of `modules`; `find` locates a module, by default among what is installed."""
    total = hashlib.sha256()
    for name, path in sorted(closure(modules, find or _find).items()):
        total.update(f"{name}\0{_source(path).syntax}\0".encode())
    return total.hexdigest()[:16]


def closure(modules: Iterable[str], find: Find) -> dict[str, Path]:
    """Every module that `modules` import, directly or not, and themselves, with its file; see `code_digest`."""
    waiting = list(modules)
    packages = frozenset({"benchmark", *(name.partition(".")[0] for name in waiting)})
    files: dict[str, Path] = {}
    seen: set[str] = {"benchmark"}
    while waiting:
        name = waiting.pop()
        if name in seen or name.partition(".")[0] not in packages or _is_in(name, HARNESS):
            continue
        seen.add(name)
        waiting.append(name.rpartition(".")[0])
        path = find(name)
        if path is not None:
            files[name] = path
            waiting += _source(path).imported(name)
    return files


def _is_in(name: str, packages: frozenset[str]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


@dataclass(frozen=True)
class _Source:
    """One file: a digest of its syntax, and its imports as (level of dots, module, name or "")."""

    syntax: str
    imports: tuple[tuple[int, str, str], ...]
    package: bool

    def imported(self, name: str) -> Iterator[str]:
        """The full names that the module `name` imports. A name taken from a module may be a module itself."""
        parts = name.split(".") if self.package else name.split(".")[:-1]
        for level, module, taken in self.imports:
            base = parts[: len(parts) - level + 1] if level else []
            start = ".".join([*base, *filter(None, [module])])
            yield start
            if taken:
                yield f"{start}.{taken}"


def _source(path: Path) -> _Source:
    stat = path.stat()
    return _read(path, stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=2048)
def _read(path: Path, modified: int, size: int) -> _Source:
    content = path.read_bytes()
    package = path.stem == "__init__"
    if path.suffix != ".py":  # compiled: its bytes are all there is
        return _Source(hashlib.sha256(content).hexdigest(), (), package)
    reader = _Reader()
    reader.read(ast.parse(content), runs=True)
    syntax = hashlib.sha256("\0".join(reader.words).encode("utf-8", "surrogatepass")).hexdigest()
    return _Source(syntax, tuple(reader.imports), package)


class _Reader:
    """Walks a syntax tree once, for that takes most of the time: writes it down and collects its imports.

    `ast.dump` would take twice as long, and its text depends on the version of Python: fields that are empty are left
    out here, among them those that a later version adds.
    """

    def __init__(self) -> None:
        self.words: list[str] = []
        self.imports: list[tuple[int, str, str]] = []

    def read(self, node: ast.AST, *, runs: bool) -> None:
        """Take one node and all below it; `runs` is false for what only a type checker reads."""
        self.words.append(type(node).__name__)
        if runs and isinstance(node, ast.Import | ast.ImportFrom):
            self.imports += _imports(node)
        typed = isinstance(node, ast.If) and _for_types(node.test)
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                self.words.append(name)
                self.read(value, runs=runs)
            elif isinstance(value, list):
                skipped = 1 if name == "body" and _documented(node) else 0
                items = _deciding(value) if isinstance(node, ast.ClassDef) and name == "body" else value
                self._read_list(name, items[skipped:], runs and not (typed and name == "body"))
            elif value is not None:
                self.words += (name, repr(value))

    def _read_list(self, name: str, items: list[Any], runs: bool) -> None:
        if not items:
            return
        self.words.append(name)
        for item in items:
            if isinstance(item, ast.AST):
                self.read(item, runs=runs)
            else:
                self.words.append(repr(item))
        self.words.append("]")


def _deciding(body: list[Any]) -> list[Any]:
    """The body of a class without the methods that decide no number."""
    return [item for item in body if not (isinstance(item, ast.FunctionDef) and item.name in SHOWN)]


def _documented(node: ast.AST) -> bool:
    """Whether a module, class or function begins with a docstring."""
    if not isinstance(node, _DOCUMENTED) or not node.body:
        return False
    first = node.body[0]
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[int, str, str]]:
    if isinstance(node, ast.Import):
        yield from ((0, alias.name, "") for alias in node.names)
    else:
        yield from ((node.level, node.module or "", alias.name) for alias in node.names)


def _for_types(test: ast.expr) -> bool:
    """Whether a condition is `TYPE_CHECKING` or `typing.TYPE_CHECKING`."""
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"


def _find(name: str) -> Path | None:
    """The file of a module that is imported already, or can be; imports nothing."""
    module = sys.modules.get(name)
    origin = getattr(module, "__file__", None) if module is not None else getattr(spec_of(name), "origin", None)
    path = Path(origin) if origin else None
    return path if path is not None and path.is_file() else None


@lru_cache(maxsize=1)
def code_version() -> str:
    """The installed version with the git commit: of the checkout (and `+dirty`), or the one it was built from."""
    from importlib.metadata import version

    here = Path(__file__).resolve().parent.parent
    if not (here / ".git").exists():
        built = Path(__file__).with_name("commit.txt")  # written by setup.py
        return f"{version('histobench')}+{built.read_text().strip()}" if built.is_file() else version("histobench")
    described = subprocess.run(
        ["git", "-C", str(here), "describe", "--always", "--dirty=+dirty", "--abbrev=10"],
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    return f"{version('histobench')}+{described}" if described else version("histobench")
