"""A run on one slide of a dataset: which slides it sees, what its file repeats, and who may have one."""

import pytest

from benchmark.config import RunRequest
from benchmark.dataset import Split
from benchmark.errors import ConfigError, DataError
from benchmark.one_slide import one_slide
from benchmark.registry import datasets
from benchmark.running.applicable import not_applicable
from benchmark.running.job import open_job, reopen_job
from benchmark.running.plan import plan


@pytest.fixture(scope="module")
def dataset(miniatures):
    kind = datasets().load("camelyon16")
    return kind(miniatures["camelyon16"], kind.Options())


def test_one_slide_is_left_and_all_else_stays(dataset):
    train = dataset.slides(Split.TRAIN)[0]
    only = one_slide(dataset, train.id)
    assert [[slide.id for slide in only.slides(split)] for split in Split] == [[], [], [train.id]]
    assert only.missing(Split.TEST) == only.subsets() == {}
    assert (only.name, only.classes, only.card) == (dataset.name, dataset.classes, dataset.card)
    assert (only.truth(train).labels(only.evaluation_grid(train)) >= 0).all()
    assert len(dataset.slides(Split.TRAIN)) > 1, "the dataset itself is as it was"
    with pytest.raises(DataError, match="no slide 'test_99'.*test_0"):
        one_slide(dataset, "test_99")


def test_a_folder_of_one_slide_will_do(miniatures, tmp_path):
    kind, root = datasets().load("slides"), tmp_path / "mine"
    root.mkdir()
    image = next((miniatures["slides"] / "images").glob("*.tif"))
    (root / image.name).symlink_to(image)
    (root / "manifest.csv").write_text(f"slide,patient,label\n{image.name},a,tumor\n")
    dataset = kind(root, kind.Options())
    only = one_slide(dataset, image.stem)
    (slide,) = only.slides(Split.TEST)
    assert only.excluded == {} and not only.annotated(slide)
    assert [each.id for each in dataset.slides(Split.TEST)] == [image.stem] and not dataset.slides(Split.TRAIN)


def test_the_slide_is_part_of_the_run(miniatures, tmp_path):
    def spec_of(**more):
        given = {"method": "cnfp", "dataset": "camelyon16", "preset": "smoke", "settings": ("search=slide",)}
        return plan(RunRequest(**{**given, "data": str(miniatures["camelyon16"]), **more}))[0]

    whole, single = spec_of(), spec_of(slide="test_001")
    jobs = [open_job(spec, tmp_path) for spec in (whole, single, spec_of(slide="test_016"))]
    assert len({job.identity for job in jobs}) == len({job.data_identity for job in jobs}) == 3
    assert "slide=test_001" in single.title
    again = reopen_job(single, tmp_path, jobs[1].known)
    assert [slide.id for slide in again.dataset.slides(Split.TEST)] == ["test_001"]
    file = tmp_path / "config.yaml"
    file.write_text(single.as_file({}))
    assert plan(RunRequest(config=file))[0] == single
    with pytest.raises(ConfigError, match="learns from training slides"):
        spec_of(slide="test_001", settings=())


def test_answers_on_record_need_no_truth(miniatures, tmp_path, monkeypatch):
    (tmp_path / "answers.jsonl").write_text("")
    recorded = f"expert_answers={tmp_path / 'answers.jsonl'}"
    given = {"method": "cnfp", "dataset": "camelyon16", "preset": "smoke", "slide": "test_016"}
    given["data"] = str(miniatures["camelyon16"])
    for settings, reason in ((("search=slide",), "annotated"), (("search=slide", recorded), None)):
        job = open_job(plan(RunRequest(settings=settings, **given))[0], tmp_path)
        monkeypatch.setattr(job.dataset, "annotated", lambda slide: False, raising=False)
        told = not_applicable(job.method, job.dataset)
        assert told is None if reason is None else reason in told
