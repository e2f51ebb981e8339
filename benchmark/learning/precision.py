"""Half precision as a parameter: asked for, never assumed."""

from __future__ import annotations

from typing import Literal

from benchmark.method import Params, param


class PrecisionParams(Params):
    """Where half precision is used."""

    amp: Literal["none", "training", "all"] = param(
        "none",
        "half precision (bfloat16, else float16) on a GPU: nowhere, while training, or also where slides are scored",
        given=True,
    )
