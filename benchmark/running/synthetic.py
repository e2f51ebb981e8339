"""`--data synthetic`: a miniature of the dataset, written once into the cache."""

from __future__ import annotations

import shutil
from pathlib import Path

from filelock import FileLock

from benchmark.dataset import Dataset
from benchmark.provenance import code_digest


def synthetic_root(dataset: type[Dataset], cache: Path, *, slides: int, seed: int) -> Path:
    """The folder of a miniature of `dataset` with that many slides, made when it is not there yet.

    Its name holds a digest of the dataset's code: another painter makes another miniature.
    """
    root = cache / "synthetic" / f"{dataset.name}-{slides}-{seed}-{code_digest(dataset)[:8]}"
    root.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(root.with_suffix(".lock")):
        if not root.is_dir():
            unfinished = root.with_suffix(".part")
            shutil.rmtree(unfinished, ignore_errors=True)
            dataset.synthesize(unfinished, slides=slides, seed=seed)
            unfinished.rename(root)
    return root
