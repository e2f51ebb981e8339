"""The HTML pages: one Jinja environment over the files of `templates/`.

Every page extends `base.html` and is one self-contained file: style, script and pictures are inside it, and its
content security policy forbids a browser to load anything else. Whatever comes from data is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""What a page without a script may load: pictures and style from itself."""


def render(name: str, **values: object) -> str:
    """The page `templates/NAME.html` with `values`; a name that the template uses and nobody gave is an error."""
    return _environment().get_template(f"{name}.html").render(values)


@cache
def _environment() -> Environment:
    """Built once in a process; one forked from it starts with the templates compiled."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("benchmark.reporting", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(number=number, interval=interval)
    environment.globals.update(source=source, script_policy=script_policy, POLICY=POLICY)
    return environment


@cache
def source(name: str) -> Markup:
    """A file of `templates/` as it is, neither escaped nor read as a template: `<style>` and `<script>` need it so."""
    from markupsafe import Markup

    environment = _environment()
    assert environment.loader is not None
    return Markup(environment.loader.get_source(environment, name)[0])


def script_policy(name: str) -> str:
    """The policy of a page whose only script is that file of `templates/`."""
    digest = base64.b64encode(hashlib.sha256(source(name).encode()).digest()).decode()
    return f"{POLICY}; script-src 'sha256-{digest}'"


def number(value: object) -> str:
    """A value as text: four digits for fractions, powers of ten for tiny ones, separators for counts, else a dash."""
    if value is None:
        return "–"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int) or (value.is_integer() and abs(value) > 1):
        return _signed(f"{int(value):,}".replace(",", "\u202f"))
    if 0 < abs(value) < 1e-4:
        return _signed(f"{value:.1e}")
    return _signed(f"{value:.4f}" if abs(value) < 2 else f"{value:.1f}")


def interval(ends: tuple[float, float]) -> str:
    """`0.713 to 0.774`."""
    return " to ".join(_signed(f"{end:.3f}" if abs(end) < 2 else f"{end:.0f}") for end in ends)


def _signed(text: str) -> str:
    """A number with a minus sign in place of the hyphen; that of an exponent stays."""
    return f"−{text[1:]}" if text.startswith("-") else text
