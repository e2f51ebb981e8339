"""One page on refined annotations: before and after, area changed, the cells doubted most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmark.applying.refine_plan import RefinePlan
from benchmark.applying.refined_slide import Doubt, Refined
from benchmark.file_names import file_name
from benchmark.reporting import templating
from benchmark.reporting.summary_page import embedded, jpeg_address
from benchmark.slides import Slide
from benchmark.storage import whole_file

WIDE, CROP = 1400, 160
"""Width of a slide's picture on the page, side of a doubted cell's, px."""


def write_page(path: Path, plan: RefinePlan, slides: Sequence[Refined], failed: Mapping[str, str]) -> None:
    """Write the page; pictures are inside it."""
    page = templating.render(
        "refined",
        title=f"Refined annotations of {len(slides)} slide{'s' if len(slides) != 1 else ''}",
        method=plan.method.card.title,
        paper=plan.method.card.paper,
        preset=plan.request.preset,
        params=plan.params.model_dump(mode="json", exclude_defaults=True),
        slides=[_facts(one, path.parent) for one in slides],
        failed=failed,
    )
    with whole_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _facts(one: Refined, folder: Path) -> dict[str, Any]:
    return {
        "id": one.id,
        "path": str(one.path),
        "annotation": str(one.annotation),
        "files": {
            "refined annotation": one.file.name,
            "score map (grey 1 to 255 is the score 0 to 1, 0 is not scored)": file_name(one.id, ".scores.tif"),
            "picture": file_name(one.id, ".overlay.jpg"),
        },
        "unit": one.unit,
        "figures": one.figures,
        "changed": f"{one.figures['changed']:.1%}",
        "warnings": one.warnings,
        "notes": one.notes,
        "picture": embedded(folder / file_name(one.id, ".overlay.jpg"), WIDE),
        "doubts": [(doubt, _crop(one.slide, doubt, one.grid.width)) for doubt in one.doubts],
    }


def _crop(slide: Slide, doubt: Doubt, side: int) -> str:
    """The surroundings of a cell: three cells across."""
    across = max(3 * side, 32)
    pixels = slide.read(
        doubt.x - across // 2, doubt.y - across // 2, across, across, downsample=max(1.0, across / CROP)
    )
    return jpeg_address(Image.fromarray(np.ascontiguousarray(pixels)))
