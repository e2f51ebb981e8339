"""The examples of docs/own-slides.md run as they stand."""

from __future__ import annotations

import re
from pathlib import Path

import mlflow
import pandas
from own_slide_files import write_outline, write_slide

from benchmark.config import RunRequest
from benchmark.running.matrix import run_all


def test_the_examples_run(repository: Path, store: str, tmp_path: Path, monkeypatch) -> None:
    for name in ("a", "b"):
        write_slide(tmp_path / "slides" / f"{name}.tif", mpp=0.62)
        write_outline(tmp_path / "rough" / f"{name}.geojson")
    request = RunRequest(method="constant", dataset="camelyon16", data="synthetic", synthetic_slides=6, jobs=0)
    assert run_all(request) == 0
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    mlflow.set_tracking_uri(store)
    mlflow.set_registry_uri(store)
    text = (repository / "docs" / "own-slides.md").read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(examples) == 2
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "own-slides.md", "exec"), names)
    assert len(names["done"].slides) == 2 and len(names["predictions"].rows) == 2
    scores = {row["slide"]: row["score"] for row in names["predictions"].rows}
    assert names["table"].set_index("slide")["score"].to_dict() == {"a": scores["a"]}
    again = names["champion"].predict(pandas.DataFrame({"slide": ["slides/b.tif"]}))
    assert again["score"].tolist() == [scores["b"]]
