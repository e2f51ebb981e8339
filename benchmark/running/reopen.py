"""The data of an earlier run, from its `config.yaml`."""

from __future__ import annotations

from pathlib import Path

from benchmark.config import SYNTHETIC, SYNTHETIC_SLIDES, read_file, validated
from benchmark.datahome import find_root
from benchmark.dataset import Dataset
from benchmark.digest import content_digest
from benchmark.errors import ConfigError, DataError
from benchmark.identity import digest_of
from benchmark.registry import datasets
from benchmark.running.plan import SYNTHETIC_SEED, TARGET_SEED
from benchmark.running.synthetic import synthetic_root
from benchmark.two_sets import AS_IS, elsewhere


def reopen(config: Path, digest: str, cache: Path, data: str | None = None) -> Dataset:
    """Open the dataset of a run with the options it had, where the run found it or at `data`.

    Args:
        config: the run's `config.yaml`.
        digest: of the content the run saw; other content is refused, its slides would be others.
        cache: the folder of miniatures, for a run on `--data synthetic`.
        data: folder, instead of the one in the file.

    Raises:
        BenchError: the file is unusable, the dataset is not registered, its data are gone or have changed.
    """
    file = read_file(config)
    if file.dataset is None:
        raise ConfigError(f"{config} names no dataset")
    dataset_class = datasets().load(file.dataset)
    options = validated(dataset_class.Options, file.options, file.dataset)
    wanted = data or file.data
    if wanted == SYNTHETIC:
        slides = file.synthetic_slides or SYNTHETIC_SLIDES
        root = synthetic_root(dataset_class, cache, slides=slides, seed=SYNTHETIC_SEED)
    else:
        root = find_root(file.dataset, wanted)
    dataset = dataset_class(root, options)
    found = content_digest(dataset.root, dataset.files(), remember=True)
    if file.test is not None:
        target = file.test
        kind = datasets().load(target.dataset)
        slides = file.synthetic_slides or SYNTHETIC_SLIDES
        made = target.data == SYNTHETIC
        root = (
            synthetic_root(kind, cache, slides=slides, seed=TARGET_SEED) if made else find_root(kind.name, target.data)
        )
        other = kind(root, validated(kind.Options, target.options, target.dataset))
        found = digest_of([found, content_digest(other.root, other.files(), remember=True)])
        dataset = elsewhere(dataset, other, target.classes, as_is=target.scale == AS_IS)
    if found != digest:
        msg = f"the data at {dataset.root} are not those of the run: digest {found[:16]}, expected {digest[:16]}"
        raise DataError(msg, fix="--data FOLDER   # where those data are")
    return dataset
