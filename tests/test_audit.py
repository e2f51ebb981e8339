"""The audit: leaks planted in miniatures are found, and nothing else is."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmark.audit import AuditFinding, AuditReport, audit, contents, declared_encoders
from benchmark.audit.checks import _patients
from benchmark.audit.contents import compare
from benchmark.audit.encoders import check_encoders, cohort_words
from benchmark.dataset import Split
from benchmark.registry import datasets, encoders
from benchmark.slides import Slide


def copy_of(miniatures, tmp_path, name):
    return Path(shutil.copytree(miniatures[name], tmp_path / name))


def opened(name, root, **options):
    kind = datasets().load(name)
    return kind(root, kind.Options(**options))


def found(report, check, ok):
    return [finding for finding in report.findings if finding.check == check and finding.ok is ok]


def only(report, check, ok=False):
    [finding] = found(report, check, ok)
    return finding


@pytest.fixture
def glas(miniatures, tmp_path):
    """A copy of the miniature, all of whose slides have patients of their own, and one slide of either part."""
    root = copy_of(miniatures, tmp_path, "glas")
    rewrite_patients(root, lambda name, patient: f"of {name}")
    data = opened("glas", root)
    return root, data.slides(Split.TRAIN)[0], data.slides(Split.TEST)[0]


def rewrite_patients(root, of):
    header, *rows = (root / "Grade.csv").read_text().splitlines()
    fields = [row.split(",") for row in rows if row.strip()]
    lines = [",".join([field[0], of(field[0], field[1]), *field[2:]]) for field in fields]
    (root / "Grade.csv").write_text("\n".join([header, *lines]) + "\n")


def plant(root, source, target):
    """Make the image and the label image of `target` those of `source`, byte by byte."""
    for ending in ("", "_anno"):
        shutil.copyfile(root / f"{source}{ending}.bmp", root / f"{target}{ending}.bmp")


@pytest.mark.parametrize("name", datasets().names())
@pytest.mark.parametrize("full", [False, True])
def test_every_miniature_is_clean(miniatures, tmp_path, name, full):
    report = audit(opened(name, miniatures[name]), full=full, cache=tmp_path / "cache")
    assert [finding.text for finding in report.warnings if finding.check != "patients across splits"] == []
    assert only(report, "kind of data", None).text.startswith("synthetic")
    assert len(found(report, "contents across splits", True)) == 1
    assert json.loads(json.dumps(report.facts())) == report.facts()


def test_slides_of_their_own_patients_are_clean(glas, tmp_path):
    root, *_ = glas
    report = audit(opened("glas", root), cache=tmp_path / "cache")
    assert (report.ok, report.tag) == (True, "clean")


def test_patient_in_both_parts(glas):
    root, train, test = glas
    rewrite_patients(root, lambda name, patient: "shared" if name in (train.id, test.id) else patient)
    report = audit(opened("glas", root, validation=0))
    finding = only(report, "patients across splits")
    tests = len(opened("glas", root).slides(Split.TEST))
    assert finding.items == ("shared",)
    assert "1 patient of " in finding.text and "in more than one split" in finding.text
    assert "train + test: 1" in finding.text
    assert f"1 of {tests} test slides" in finding.text
    assert report.tag == "warnings: patients across splits"


def test_same_bytes_under_another_name(glas):
    root, train, test = glas
    plant(root, train.id, test.id)
    report = audit(opened("glas", root))
    finding = only(report, "contents across splits")
    assert finding.items == (f"{train.id} (train) = {test.id} (test), the same bytes",)
    assert report.tag == "warnings: contents across splits"


def test_same_pixels_re_encoded(glas, tmp_path):
    root, train, test = glas
    plant(root, train.id, test.id)
    with Image.open(root / f"{test.id}.bmp") as image:
        image.save(root / f"{test.id}.png")
    (root / f"{test.id}.bmp").unlink()
    unseen = only(audit(opened("glas", root)), "contents across splits", True)
    assert "the pixels of tiles were not (--full)" in unseen.text
    expected = (f"{train.id} (train) = {test.id} (test), the same pixels in different files",)
    for given_ in ({"full": True}, {"cache": tmp_path / "cache"}, {"cache": tmp_path / "cache"}):
        assert only(audit(opened("glas", root), **given_), "contents across splits").items == expected


def test_kept_digests_follow_the_files(glas, tmp_path):
    root, train, test = glas
    cache = tmp_path / "cache"
    assert audit(opened("glas", root), cache=cache).ok
    plant(root, train.id, test.id)
    assert not audit(opened("glas", root), cache=cache).ok
    [kept] = (cache / "audit").iterdir()
    kept.write_text("{")
    assert not audit(opened("glas", root), cache=cache).ok


def test_kept_digests_spare_decoding(glas, tmp_path, monkeypatch):
    root, *_ = glas
    cache = tmp_path / "cache"
    before = audit(opened("glas", root), cache=cache)
    monkeypatch.setattr("benchmark.audit.pixels._digest", lambda slide: pytest.fail(f"decodes {slide.id}"))
    assert audit(opened("glas", root), cache=cache) == before


def test_twins_of_one_split_are_a_fact(glas):
    root, train, _ = glas
    other = opened("glas", root).slides(Split.TRAIN)[1]
    plant(root, train.id, other.id)
    report = audit(opened("glas", root))
    assert only(report, "duplicates within a split", None).items == (
        f"{train.id} (train) = {other.id} (train), the same bytes",
    )
    assert report.ok


def test_a_whole_slide_under_another_name(miniatures, tmp_path):
    root = copy_of(miniatures, tmp_path, "camelyon16")
    data = opened("camelyon16", root)
    train, test = (
        next(slide for slide in data.slides(split) if not data.cases[slide.id].lesion)
        for split in (Split.TRAIN, Split.TEST)
    )
    shutil.copyfile(train.path, test.path)
    finding = only(audit(opened("camelyon16", root)), "contents across splits")
    assert finding.items == (f"{train.id} (train) = {test.id} (test), the same bytes",)
    assert f"1 of {len(data.slides(Split.TEST))} test slides" in finding.text


def test_missing_slide_is_named_with_its_reason(miniatures, tmp_path):
    root = copy_of(miniatures, tmp_path, "camelyon16")
    victim, *others = opened("camelyon16", root).slides(Split.TEST)
    victim.path.unlink()
    report = audit(opened("camelyon16", root))
    finding = only(report, "completeness")
    assert finding.text.startswith(f"test: {len(others)} of {len(others) + 1} slides are usable; {victim.id}: ")
    assert len(found(report, "completeness", True)) == 2


def test_undecodable_tile_is_named(glas, tmp_path):
    root, _, test = glas
    test.path.write_bytes(b"no image")
    finding = only(audit(opened("glas", root), cache=tmp_path / "cache"), "completeness")
    assert finding.items[0].startswith(f"{test.id}: ")


def test_file_that_went_away_is_named(glas):
    root, _, test = glas
    data = opened("glas", root)
    test.path.unlink()
    assert only(audit(data), "completeness").items[0].startswith(f"{test.id}: ")


def test_one_class_and_empty_splits_are_facts(glas):
    root, *_ = glas
    lines = (root / "Grade.csv").read_text().replace("malignant", "benign")
    (root / "Grade.csv").write_text(lines)
    report = audit(opened("glas", root, target="malignant", validation=0))
    texts = {finding.text for finding in found(report, "classes per split", None)}
    assert texts == {"train: every unit is negative", "test: every unit is negative", "validation is empty"}
    assert report.ok


@pytest.mark.parametrize(
    ("name", "encoder", "ok"),
    [
        ("camelyon16", "vit_x: CAMELYON16 and TCGA", False),
        ("camelyon16", "vit_x: the CAMELYON data", False),
        ("camelyon16", "vgg16: unknown: the local file camelyon16_ssl.pth", False),
        ("camelyon16", "vit_x: CAMELYON17", True),
        ("glas", "vgg16: GlaS, train part", False),
        ("glas", "vgg16: ImageNet-1k", True),
        ("glas", "vgg16: stained glass, gland segmentation", True),
        ("glas", "vgg16: nothing: random weights", True),
        ("glas", "vgg16: unknown: the local file vgg16.pth", None),
        ("glas", "unknown", None),
        ("glas", "", None),
        ("camelyon16", "vit_x: hospitals; no TCGA or CAMELYON named", True),
        ("camelyon16", "vit_x: without labels on CAMELYON16", False),
    ],
)
def test_encoders(miniatures, name, encoder, ok):
    report = audit(opened(name, miniatures[name]), encoders=[encoder])
    assert only(report, "encoder", ok).items == (encoder,)
    assert ("encoder" in report.tag) == (ok is False)


def test_cohort_words():
    assert cohort_words("tcga-luad", "TCGA-LUAD – lung adenocarcinoma") == {"tcga", "luad"}
    assert cohort_words("crc", "NCT-CRC-HE-100K and CRC-VAL-HE-7K – tissues") == {"nct", "crc"}
    assert cohort_words("paip2019", "PAIP2019 – liver cancer") == {"paip2019", "paip"}
    assert cohort_words("glas", "GlaS – gland segmentation in colon histology (Warwick-QU)") == {"glas"}


def test_the_encoders_of_the_catalogue_are_accused_of_what_they_have_seen_alone():
    cards = {entry.name: encoders().load(entry.name).card.seen for entry in encoders().entries()}
    accused = set()
    for entry in datasets().entries():
        dataset = SimpleNamespace(name=entry.name, card=datasets().load(entry.name).card)
        for name, seen in cards.items():
            accused |= {
                (entry.name, name) for found in check_encoders(dataset, [f"{name}: {seen}"]) if found.ok is False
            }
    assert accused == {
        ("camelyon16", "simclr-resnet18"),
        *((paip, "ctranspath") for paip in ("paip2019", "paip2020")),
        *(("tcga-luad", name) for name in ("ctranspath", "lunit-dino-s16", "phikon-v2", "simclr-resnet18")),
    }


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ({}, ("m: unknown, the method does not say",)),
        ({"encoders": lambda self: None}, ("m: unknown, the method does not say",)),
        ({"encoders": lambda self: ()}, ("m: nothing, it starts from no weights",)),
        ({"encoders": lambda self: ["vgg16: ImageNet-1k"]}, ("vgg16: ImageNet-1k",)),
    ],
)
def test_declared_encoders(hook, said):
    assert declared_encoders(type("M", (), {"name": "m", **hook})()) == said


def test_tag_names_each_check_once():
    findings = tuple(
        AuditFinding(check, ok, "") for check, ok in [("a", False), ("b", None), ("c", False), ("a", False)]
    )
    report = AuditReport(findings)
    assert report.tag == "warnings: a, c"
    assert not report.ok


people = st.lists(st.sampled_from("abcdef"), max_size=6)


@given(people, people, people)
def test_patients_are_shared_just_when_two_splits_name_them(train, validation, test):
    parts = dict(zip(Split, (train, validation, test), strict=True))
    slides = {
        split: [Slide(f"{split}{number}", Path("x"), patient) for number, patient in enumerate(part)]
        for split, part in parts.items()
    }
    pools = [set(part) for part in parts.values()]
    shared = {patient for patient in set().union(*pools) if sum(patient in pool for pool in pools) > 1}
    finding = _patients(slides)[0]
    assert set(finding.items) == shared
    assert finding.ok is (not shared)


@pytest.mark.parametrize("reading", ["_sampled", "_whole"])
def test_a_file_that_may_not_be_read_is_named_and_not_compared(tmp_path, monkeypatch, reading):
    slides = [Slide(f"s{number}", tmp_path / f"{number}.tif", "p") for number in range(3)]
    for slide in slides:
        slide.path.write_bytes(b"the same")
    real = getattr(contents, reading)

    def forbidden(path, *more):
        if path == slides[0].path:
            raise PermissionError(13, "Permission denied")
        return real(path, *more)

    monkeypatch.setattr(contents, reading, forbidden)
    found = compare(slides, tmp_path, full=False, cache=None)
    assert found.unread == {"s0": f"{slides[0].path} cannot be read: Permission denied"}
    assert [twins.paths for twins in found.twins] == [(slides[1].path, slides[2].path)]


@pytest.mark.parametrize("full", [False, True])
def test_large_files_that_differ_between_the_samples(tmp_path, monkeypatch, full):
    monkeypatch.setattr("benchmark.audit.contents.CONFIRMED", 100_000)
    monkeypatch.setattr("benchmark.audit.pixels.HEAVIEST", 100_000)
    slides = []
    for number in range(2):
        content = bytearray(200_000)
        content[10_000] = number
        slides.append(Slide(f"s{number}", tmp_path / f"{number}.tif", "p"))
        slides[-1].path.write_bytes(content)
    twins = compare(slides, tmp_path, full=full, cache=None).twins
    assert [pair.how for pair in twins] == ([] if full else ["the same size and sampled bytes"])


@pytest.mark.realdata
def test_official_split_of_glas(shared_data, tmp_path):
    if not (shared_data / "glas").is_dir():
        pytest.skip("no glas among the real data")
    report = audit(opened("glas", shared_data / "glas"), cache=tmp_path / "cache")
    assert "79 of 80 test slides" in only(report, "patients across splits").text
    assert report.tag == "warnings: patients across splits"
    assert audit(opened("glas", shared_data / "glas", protocol="patient")).tag == "clean"


@pytest.fixture
def bench(capsys):
    """The command alone, as `bench audit`: exit code and output."""
    import typer

    from benchmark.commands.audit import EXAMPLES
    from benchmark.commands.audit import audit as command

    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command(epilog=EXAMPLES)(command)

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            app(words)
        return ended.value.code or 0, capsys.readouterr().out

    return call


def test_command_prints_warnings_and_strict_counts_them(bench, glas):
    root, train, test = glas
    assert bench("glas", "--data", str(root), "--strict")[0] == 0
    plant(root, train.id, test.id)
    code, out = bench("glas", "--data", str(root))
    assert code == 0
    assert "WARN contents across splits" in out
    assert out.rstrip().endswith("warnings: contents across splits")
    assert bench("glas", "--data", str(root), "--strict")[0] == 2


def test_command_prints_json_of_a_method(bench, glas):
    root, *_ = glas
    words = ("--method", "constant", "--set", "value=0.5", "--set", "target=malignant", "--format", "json")
    code, out = bench("glas", "--data", str(root), *words)
    facts = json.loads(out)
    assert (code, facts["tag"], facts["dataset"], facts["synthetic"]) == (0, "clean", "glas", True)
    assert "encoder" in {finding["check"] for finding in facts["findings"]}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("nope",), "there is no dataset 'nope'"),
        (("glas",), "the data of 'glas' was not found"),
        (("glas", "--method", "nope"), "there is no method 'nope'"),
        (("glas", "--set", "tarjet=gland"), "the nearest is 'target' of glas"),
        (("glas", "--set", "value=1"), "--set value"),
        (("glas", "--preset", "quick"), "a preset belongs to a method"),
    ],
)
def test_command_refuses(words, said, capsys):
    import typer

    from benchmark.commands.audit import audit as command
    from benchmark.errors import BenchError

    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)
    app.command()(command)
    with pytest.raises(BenchError, match=said):
        app(words, standalone_mode=False)


def test_command_makes_a_miniature(bench, monkeypatch):
    monkeypatch.setattr("benchmark.config.SYNTHETIC_SLIDES", 5)
    code, out = bench("glas", "--data", "synthetic")
    assert code == 0
    assert "(synthetic)" in out
