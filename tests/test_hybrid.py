"""Hybrid supervision and its pixel-level baseline as methods: bad input, resuming, what a round is made of."""

import re
from dataclasses import replace

import numpy as np
import pytest
from fitting import Reporter, flat, predicted, some, trained
from pydantic import ValidationError

from benchmark.annotations import Polygons
from benchmark.context import Context
from benchmark.dataset import Split
from benchmark.errors import ConfigError, DataError, WeightsError
from benchmark.learning.encoders.timm_nets import encoder_of
from benchmark.learning.mil.cohort import Cohort
from benchmark.learning.mil.lattice import Lattice
from benchmark.methods.hybrid.e_step import pools_above
from benchmark.methods.hybrid.fine_masks import FinePatch, overridden
from benchmark.methods.hybrid.hybrid import Hybrid, Pixel
from benchmark.methods.hybrid.hybrid_params import HybridParams
from benchmark.methods.hybrid.m_step import MixedBatches
from benchmark.registry import datasets
from benchmark.running.evaluate import evaluate
from benchmark.slides import write_pyramid
from benchmark.supervision import Labels, Ledger, Supervision, View
from benchmark.testing.datasets import shared_miniature


@pytest.fixture(scope="module")
def camelyon(tmp_path_factory):
    return shared_miniature(datasets().load("camelyon16"), tmp_path_factory)


@pytest.fixture(scope="module")
def glas(tmp_path_factory):
    return shared_miniature(datasets().load("glas"), tmp_path_factory)


class Source:
    """A dataset with some of its answers changed."""

    def __init__(self, dataset, **changes):
        self._dataset = dataset
        self.__dict__.update(changes)

    def __getattr__(self, name):
        return getattr(self._dataset, name)


@pytest.mark.parametrize(("label", "missing"), [(1, "negative"), (0, "positive")])
def test_slides_of_one_class_only_are_refused(camelyon, tmp_path, label, missing):
    slides = some(camelyon, labels=(label,))
    with pytest.raises(DataError, match=f"none of the 1 training units is {missing}"):
        trained(Hybrid, camelyon, tmp_path, slides=slides)


def test_without_fine_masks_it_says_which_method_needs_none(camelyon, tmp_path):
    empty = Source(camelyon, truth=lambda slide: Polygons([]))
    with pytest.raises(DataError, match="no fine masks: 1 training slides are positive") as caught:
        trained(Pixel, camelyon, tmp_path, source=empty)
    assert "topk-mil" in caught.value.fix
    unknown = Source(camelyon, annotated=lambda slide: False)
    with pytest.raises(DataError, match="0 of them annotated"):
        trained(Pixel, camelyon, tmp_path / "unknown", source=unknown)


def test_a_fine_mask_that_does_not_match_its_patch_is_refused(camelyon, tmp_path):
    class Cut:
        def __init__(self, annotation):
            self._annotation = annotation

        def __getattr__(self, name):
            return getattr(self._annotation, name)

        def labels(self, grid):
            return self._annotation.labels(grid)[:-1]

    source = Source(camelyon, truth=lambda slide: Cut(camelyon.truth(slide)))
    with pytest.raises(DataError, match=r"the fine mask of patch \(\d+, \d+\) of slide .* px, the patch 128 × 128"):
        trained(Pixel, camelyon, tmp_path, source=source)


def test_a_positive_slide_without_any_patch_above_the_threshold_gives_nothing(camelyon, tmp_path):
    reporter = Reporter()
    trained(Hybrid, camelyon, tmp_path, reporter=reporter, removal_threshold=0.999999)
    sizes = {name: value for name, value, _ in reporter.history if name.startswith("e_step/")}
    assert sizes == {"e_step/fine_patches": 4, "e_step/pseudo_patches": 0, "e_step/negative_patches": 0}


def test_fewer_than_k_patches_are_averaged_and_units_without_any_score_0(camelyon, tmp_path):
    method, context, _ = trained(Pixel, camelyon, tmp_path, top_patches=10_000)
    slide = camelyon.slides(Split.TEST)[0]
    found = predicted(method, camelyon, context, slide)
    assert 0 < found.units[0, 0] < 1 and not found.notes
    blank = replace(slide, id="blank", path=tmp_path / "blank.tif")
    write_pyramid(blank.path, [np.full((1536, 1536, 3), 242, np.uint8)], (1536, 1536), mpp=0.62)
    nothing = predicted(method, camelyon, context, blank)
    assert nothing.units.tolist() == [[0.0]] and np.isnan(nothing.scores.values).all()
    assert nothing.notes == ("no tissue patch in 1 of 1 units: scored 0",)


def test_a_blank_test_slide_stays_among_the_results(camelyon, tmp_path):
    import shutil

    shutil.copytree(camelyon.root, tmp_path / "copy")
    dataset = type(camelyon)(tmp_path / "copy", type(camelyon).Options())
    slide = dataset.slides(Split.TEST)[-1]
    write_pyramid(slide.path, [np.full((1536, 1536, 3), 242, np.uint8)], (1536, 1536), mpp=0.62)
    dataset = type(camelyon)(tmp_path / "copy", type(camelyon).Options())
    method, context, ledger = trained(Pixel, dataset, tmp_path / "stages")
    labels = Labels(dataset, [slide], method.supervision, ledger, sealed=True)
    done = evaluate(method, dataset, [slide], labels, context, what="validation")
    assert [(one.slide, one.unit_scores.tolist()) for one in done.evidence] == [(slide.id, [0.0])]
    assert "scored 0" in done.notes[slide.id] and not done.unreadable


def test_a_run_interrupted_anywhere_ends_in_the_same_numbers(camelyon, tmp_path):
    slide = camelyon.slides(Split.TEST)[0]
    whole = Reporter()
    method, context, ledger = trained(Hybrid, camelyon, tmp_path / "whole", reporter=whole)
    expected = predicted(method, camelyon, context, slide)
    logs = len(whole.history)
    for moment in np.random.default_rng(0).choice(np.arange(1, logs), 4, replace=False).tolist():
        folder = tmp_path / str(moment)
        with pytest.raises(KeyboardInterrupt):
            trained(Hybrid, camelyon, folder, reporter=Reporter(moment))
        again, context, counted = trained(Hybrid, camelyon, folder)
        found = predicted(again, camelyon, context, slide)
        np.testing.assert_array_equal(found.scores.values, expected.scores.values)
        np.testing.assert_array_equal(found.units, expected.units)
        assert counted.totals() == ledger.totals()


def test_a_scan_goes_on_with_the_next_slide(camelyon, tmp_path, monkeypatch):
    from benchmark.methods.hybrid import e_step

    monkeypatch.setattr(e_step, "SAVE_SECONDS", -1.0)
    scanned, real = [], e_step.look

    def watched(model, lattice, batch):
        scanned.append(lattice.slide.id)
        if len(scanned) == 2:
            raise KeyboardInterrupt
        yield from real(model, lattice, batch)

    monkeypatch.setattr(e_step, "look", watched)
    with pytest.raises(KeyboardInterrupt):
        trained(Pixel, camelyon, tmp_path)
    trained(Pixel, camelyon, tmp_path)
    assert len(scanned) == 3 and scanned[1] == scanned[2] != scanned[0], "the first slide is not scanned again"


def test_labels_are_counted_and_bounded(camelyon, tmp_path):
    method, _, ledger = trained(Hybrid, camelyon, tmp_path, fine_patches=3)
    assert ledger.count(Supervision.PIXEL) == 3 and ledger.count(Supervision.IMAGE) == 2
    assert method.budgets() == {Supervision.PIXEL: 3}
    positive = {slide for kind, slide, _ in ledger.entries if kind == "pixel"}
    assert all(camelyon.unit_labels(s).any() for s in camelyon.slides(Split.TRAIN) if s.id in positive)


def test_the_expert_chooses_patches_with_lesion(camelyon, tmp_path):
    slide = some(camelyon)[1]
    assert camelyon.unit_labels(slide).any()
    grid = camelyon.patch_grid(slide)
    ledger = Ledger()
    labels = Labels(camelyon, [slide], [Supervision.PIXEL], ledger)
    chosen = labels.chosen(slide, grid, 5, np.random.default_rng(0))
    assert 0 < len(chosen) <= 5 and all(mask.any() for _, _, mask in chosen)
    assert ledger.count(Supervision.PIXEL) == len(chosen)
    without = labels.chosen(slide, grid, 5, np.random.default_rng(0), lesion=False)
    assert without and not any(mask.any() for _, _, mask in without)


def test_rounds_log_their_loss_and_one_of_them_is_chosen(camelyon, tmp_path):
    reporter = Reporter()
    method, context, _ = trained(Hybrid, camelyon, tmp_path, reporter=reporter, rounds=2)
    losses = [value for name, value, _ in reporter.history if name == "stage2/training_loss"]
    chosen = next(value for name, value, _ in reporter.history if name == "stage2/chosen_round")
    assert len(losses) == 3 and chosen == int(np.argmin(losses))
    assert method.state()["round"] == chosen
    names = [record.name for record in context.records]
    assert names == ["fine", *(f"{part}_{n}" for n in range(3) for part in ("theta1", "scan", "theta2"))]
    last, _, _ = trained(Hybrid, camelyon, tmp_path, rounds=2, selection="last")
    assert last.state()["round"] == 2


def test_another_v_reuses_round_0(camelyon, tmp_path):
    trained(Hybrid, camelyon, tmp_path)
    _, context, _ = trained(Hybrid, camelyon, tmp_path, reweight_constant=2.0)
    reused = {record.name for record in context.records if record.reused}
    assert reused == {"fine", "theta1_0", "scan_0", "theta2_0"}


def test_round_0_is_that_of_the_baseline(camelyon, tmp_path):
    alone, _, labels = trained(Hybrid, camelyon, tmp_path / "alone", rounds=1)
    round0 = {"fine", "theta1_0", "scan_0", "theta2_0"}
    for first, then, folder in ((Pixel, Hybrid, "pixel"), (Hybrid, Pixel, "hybrid")):
        trained(first, camelyon, tmp_path / folder)
        method, context, ledger = trained(then, camelyon, tmp_path / folder)
        assert {record.name for record in context.records if record.reused} == round0
        if then is Hybrid:
            assert flat(method.state()) == flat(alone.state()) and ledger.totals() == labels.totals()
    groups = {"composition": "iid"}
    _, context, _ = trained(Hybrid, camelyon, tmp_path / "pixel", **groups)
    assert {record.name for record in context.records if record.reused} == {"fine"}, "its batches are others"

    class Further(Hybrid):
        """A plug-in's."""

    _, context, _ = trained(Further, camelyon, tmp_path / "pixel")
    assert {record.name for record in context.records if record.reused} == {"fine"}, "it may do otherwise"


def test_another_k_reuses_the_patch_model_and_its_scores(camelyon, tmp_path):
    _, first, _ = trained(Pixel, camelyon, tmp_path)
    _, second, _ = trained(Pixel, camelyon, tmp_path, top_patches=3)
    assert {record.name for record in first.records if record.reused} == set()
    assert {record.name for record in second.records if record.reused} == {"fine", "theta1_0", "scan_0"}


def test_options_of_the_release_run(camelyon, tmp_path):
    groups = tmp_path / "groups.csv"
    names = [slide.id for slide in camelyon.slides(Split.TRAIN)]
    groups.write_text("slide,group\n" + "".join(f"{name},{name[:5]}\n" for name in names))
    iid = {"composition": "iid", "slide_groups": groups}
    trained(Hybrid, camelyon, tmp_path, **iid, quantise=True, ensemble=2, scaling="unit", fine_negatives=1)
    trained(Pixel, camelyon, tmp_path, overlap_means="stride", overlap=48, fine_choice="random", tissue="dataset")


def test_the_khened_style_ensemble_runs_as_the_baseline(camelyon, tmp_path, monkeypatch):
    from benchmark.methods.hybrid import hybrid_nets

    real = hybrid_nets.create_khened
    small = {"densenet121": "resnet10t", "inception_resnet_v2": "mobilenetv3_small_050", "xception65": "resnet10t"}
    monkeypatch.setattr(
        hybrid_nets, "create_khened", lambda member, pretrained: real(member, pretrained=False, encoder=small[member])
    )
    few = {"patch": 32, "overlap": 0, "mpp": 8.0}
    method, context, _ = trained(Pixel, camelyon, tmp_path, nets="khened", tissue="khened", turns=True, **few)
    assert len(method.state()["theta1"]) == 3
    found = predicted(method, camelyon, context, camelyon.slides(Split.TEST)[0])
    scored = ~np.isnan(found.scores.values)
    assert scored.any() and np.array_equal(found.mask[scored], found.scores.values[scored] > 0.3)


def test_gland_crops_hold_smaller_patches(glas, tmp_path):
    context = Context(geometry=glas, folder=tmp_path, ledger=Ledger())
    slide = glas.slides(Split.TRAIN)[0]
    lattice = Lattice.of(slide, context, patch=512, overlap=128, mpp=0.5, tissue="grey-otsu", min_tissue=0.0)
    units = glas.unit_grid(slide)
    assert lattice.side == 96 and units.width == 112 and lattice.tissue.all()
    for row, col in np.ndindex(units.shape):
        corners = [lattice.corner(number) for number in lattice.members(row, col)]
        assert len(corners) >= 4
        assert all(units.x[col] <= x and x + 96 <= units.x[col] + 112 for x, _ in corners)
        assert all(units.y[row] <= y and y + 96 <= units.y[row] + 112 for _, y in corners)


def test_patches_read_singly_and_streamed_are_the_same(camelyon, tmp_path):
    context = Context(geometry=camelyon, folder=tmp_path, ledger=Ledger())
    slide = camelyon.slides(Split.TRAIN)[0]
    lattice = Lattice.of(slide, context, patch=128, overlap=32, mpp=1.24, tissue="grey-otsu", min_tissue=0.0)
    assert (lattice.grid.width, lattice.side) == (256, 128)
    assert lattice.grid.x[-1] + 256 == slide.size[0], "the last window ends at the border"
    streamed = {
        int(n): image for numbers, pixels in lattice.stream(7) for n, image in zip(numbers, pixels, strict=True)
    }
    assert list(streamed) == lattice.numbers.tolist() == lattice.members(0, 0).tolist()
    for number in lattice.numbers[::5].tolist():
        np.testing.assert_array_equal(lattice.read(number), streamed[number])
    stricter = Lattice.of(slide, context, patch=128, overlap=32, mpp=1.24, tissue="grey-otsu", min_tissue=0.9)
    assert stricter.tissue.sum() < lattice.tissue.sum()


def cohort_of(dataset, folder, slides):
    ledger = Ledger()
    context = Context(geometry=dataset, folder=folder, ledger=ledger)
    params = HybridParams(**{**Hybrid.presets["smoke"], "theta1_batch": 10})
    labels = Labels(dataset, slides, Hybrid.supervision, ledger)
    return Cohort.of(View(slides, labels), params, context, room=2**20), params


def test_validation_patches_get_the_memory_that_training_patches_leave(camelyon, tmp_path, monkeypatch):
    rooms, of = [], Cohort.of

    def told(*given, room, **more):
        made = of(*given, room=room, **more)
        rooms.append((made, room))
        return made

    def stop(*given):
        raise KeyboardInterrupt

    monkeypatch.setattr(Cohort, "of", told)
    monkeypatch.setattr(Pixel, "_fine", lambda *given: [])
    monkeypatch.setattr(Pixel, "_round", stop)
    for memory in (1.0, 1e-6):
        with pytest.raises(KeyboardInterrupt):
            trained(Pixel, camelyon, tmp_path, validation=some(camelyon, Split.VALIDATION), crop_cache=memory)
    (training, room), (_, left), _, (_, nothing) = rooms
    size = sum(lattice.numbers.size for lattice in training.lattices) * training.lattices[0].side ** 2 * 3
    assert (left, nothing) == (room - size, 0.0) and size > 1e-6 * 2**30


class Teacher:
    """Says the same of every pixel."""

    def __init__(self, probability):
        self._logit = float(np.log(probability / (1 - probability)))

    def logits(self, pixels):
        return np.full((len(pixels), 32, 32), self._logit, np.float32)


def test_batches_hold_exact_shares_with_their_own_labels(camelyon, tmp_path):
    cohort, params = cohort_of(camelyon, tmp_path, some(camelyon))
    place = next(unit.slide for unit in cohort.units if unit.positive)
    number = int(cohort.lattices[place].numbers[0])
    fine = [FinePatch(place, number, np.ones((64, 64), np.float32))]
    scored = {
        lattice.slide.id: {"numbers": lattice.numbers, "highest": np.full(lattice.numbers.size, 5.0, np.float32)}
        for lattice in cohort.lattices
    }
    params = params.model_copy(update={"crop_min": 1.0, "colour": False})
    batches = MixedBatches(fine, cohort, params, teacher=Teacher(0.1), scored=scored)
    images, labels = batches.batch(0, np.random.default_rng(0))
    assert images.shape == (10, 64, 64, 3) and labels.shape == (10, 64, 64)
    assert (labels[:2] == 1).all() and (labels[3:] == 0).all(), "2 fine, 1 pseudo, 7 negatives"
    values = set(np.unique(labels[2]).astype(np.float64).round(5).tolist())
    assert 0.4 in values and values <= {0.4, 1.0}, "V · P, or a fine pixel"
    pseudo, negative = pools_above(cohort, scored, 0.4)
    assert set(pseudo[:, 0]) == {place} and not (set(negative[:, 0]) & {place})


def test_fine_pixels_win_over_pseudo_labels(camelyon, tmp_path):
    cohort, _ = cohort_of(camelyon, tmp_path, some(camelyon))
    lattice = cohort.lattices[0]
    pattern = np.arange(64 * 64, dtype=np.float32).reshape(64, 64) / 4096
    labels = np.full((64, 64), -1, np.float32)
    overridden(labels, 0, 0, [FinePatch(0, 1, pattern)], cohort)
    moved = (lattice.corner(1)[0] - lattice.corner(0)[0]) * lattice.side // lattice.grid.width
    assert 0 < moved < 64
    np.testing.assert_array_equal(labels[:, moved:], pattern[:, : 64 - moved])
    assert (labels[:, :moved] == -1).all()


def test_parameters_are_checked():
    for wrong in ({"overlap": 512}, {"patch": 500}, {"reweight_constant": 1.0}, {"removal_threshold": 1.0}):
        with pytest.raises(ValidationError):
            HybridParams(**wrong)
    with pytest.raises(ValidationError, match="0 : 0 : 0"):
        HybridParams(ratio_fine=0, ratio_pseudo=0, ratio_negative=0)


def test_encoders_that_do_not_fit_are_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigError, match="no backbone is called 'dla43'"):
        encoder_of("dla43", pretrained=False, weights=None, maps=True)
    with pytest.raises(ConfigError, match=re.escape("vit_tiny_patch16_224")):
        encoder_of("vit_tiny_patch16_224", pretrained=False, weights=None, maps=True)
    with pytest.raises(WeightsError, match="could not be loaded") as caught:
        encoder_of("dla34", pretrained=True, weights=None, maps=True)
    assert "encoder_pretrained=false" in caught.value.fix
