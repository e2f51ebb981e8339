"""Names and values as the tracking store takes them.

MLflow admits letters, digits, `_ - . / :` and spaces in the names of metrics, parameters and tags (no colon on
Windows). `stored_name` writes the rest readably: `P@10` → `P_at_10`, `40%` → `40_pct`, any other character → `_`.
A value longer than the store takes is cut and says so; the whole configuration is in the artifact `config.yaml`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

MAX_NAME, MAX_PARAM, MAX_TAG, MAX_DIGEST = 250, 6000, 5000, 36
_CUT = " … (cut, see config.yaml)"


def stored_name(name: str) -> str:
    """`name` with every character that MLflow refuses replaced, and no empty or dotted part between slashes."""
    text = re.sub(r"[^\w./\- ]", "_", name.replace("@", "_at_").replace("%", "_pct"))
    return "/".join(part for part in text.split("/") if part.strip("."))[:MAX_NAME] or "_"


def stored_params(values: Mapping[str, object]) -> dict[str, str]:
    """Parameters as text: strings as they are, everything else as JSON (`true`, `null`, `[1, 2]`)."""
    texts = {key: value if isinstance(value, str) else json.dumps(value, default=str) for key, value in values.items()}
    return {stored_name(key): _cut(text, MAX_PARAM) for key, text in texts.items()}


def stored_tags(values: Mapping[str, str]) -> dict[str, str]:
    """Tags as text."""
    return {stored_name(key): _cut(str(value), MAX_TAG) for key, value in values.items()}


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - len(_CUT)] + _CUT
