"""`--slides N`: which slides are drawn, that the draw is part of the run, and that it is ranked apart."""

import shlex

import pytest

from benchmark.config import RunRequest
from benchmark.dataset import Split
from benchmark.errors import ConfigError
from benchmark.few_slides import few_slides
from benchmark.registry import datasets
from benchmark.reporting.command import run_command
from benchmark.running.job import open_job, reopen_job
from benchmark.running.plan import plan


@pytest.fixture(scope="module")
def dataset(miniatures):
    kind = datasets().load("camelyon16")
    return kind(miniatures["camelyon16"], kind.Options())


def drawn(dataset, number):
    few = few_slides(dataset, number)
    return few, {split: [slide.id for slide in few.slides(split)] for split in Split}


def test_a_draw_has_both_kinds_and_a_larger_one_contains_it(dataset):
    whole = {split: [slide.id for slide in dataset.slides(split)] for split in Split}
    few, two = drawn(dataset, 2)
    _, three = drawn(dataset, 3)
    for split in Split:
        assert len(two[split]) == min(2, len(whole[split])) and set(two[split]) <= set(three[split])
        assert two[split] == [name for name in whole[split] if name in two[split]], "in the dataset's order"
    kinds = [bool(few.unit_labels(slide).any()) for slide in few.slides(Split.TRAIN)]
    assert sorted(kinds) == [False, True]
    assert drawn(dataset, 1000)[1] == whole and dataset.slides(Split.TRAIN)[0].id in whole[Split.TRAIN]


def test_the_draw_is_part_of_the_run(miniatures, tmp_path):
    def spec_of(**more):
        given = {"method": "constant", "dataset": "camelyon16", "data": str(miniatures["camelyon16"])}
        return plan(RunRequest(**{**given, **more}))[0]

    specs = spec_of(), spec_of(slides=1), spec_of(slides=2)
    jobs = [open_job(spec, tmp_path) for spec in specs]
    assert len({job.identity for job in jobs}) == len({job.tags("cpu")["bench.board"] for job in jobs}) == 3
    assert [job.tags("cpu").get("bench.slides_drawn") for job in jobs] == [None, "1", "2"]
    again = reopen_job(specs[1], tmp_path, jobs[1].known)
    assert [len(again.dataset.slides(split)) for split in Split] == [1, 1, 1]
    (tmp_path / "config.yaml").write_text(specs[2].as_file({}))
    assert plan(RunRequest(config=tmp_path / "config.yaml"))[0] == specs[2]
    with pytest.raises(ConfigError, match="both --slide test_001 and --slides 2"):
        spec_of(method="coarse", slide="test_001", slides=2)


def test_the_command_that_repeats_it_draws_as_many(miniatures):
    settings = plan(RunRequest(method="coarse", dataset="camelyon16", slides=2))[0].settings
    command = run_command(method="coarse", dataset="camelyon16", preset="quick", seeds=[0], settings=settings)
    assert shlex.split(command)[-2:] == ["--slides", "2"] and "--set" not in command
    single = plan(RunRequest(method="coarse", dataset="camelyon16", slide="test_001"))[0].settings
    assert "--slide test_001" in run_command(method="a", dataset="b", preset="quick", seeds=[0], settings=single)
