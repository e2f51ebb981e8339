"""LC-MIL, DkNN and the coarse annotation on a slide whose two halves differ in colour."""

import numpy as np
import pytest
import shapely
from PIL import Image

from benchmark.annotations import Polygons, Region
from benchmark.config import resolve
from benchmark.context import Context
from benchmark.errors import ConfigError, DataError
from benchmark.methods.cleaning.coarse import Coarse
from benchmark.methods.cleaning.dknn import Dknn
from benchmark.methods.cleaning.lcmil import Lcmil
from benchmark.slides import Grid, Slide
from benchmark.supervision import Labels, Ledger, Supervision, View

SIDE, CELL = 512, 32
TRUTH = shapely.box(0, 0, 256, SIDE)
EASY = {"encoder_pretrained": False, "encoder": "test_resnet", "patch": 32, "input_side": 32, "fc_width": 32}
LEARNS = {
    "lcmil": {**EASY, "embedding": 16, "attention": 8, "bags": 200, "lr": 3e-3, "min_object": 4, "min_hole": 4},
    "dknn": {**EASY, "batch": 16, "epochs": 5, "lr": 3e-3, "min_object": 4, "min_hole": 4},
}
METHODS = {"lcmil": Lcmil, "dknn": Dknn, "coarse": Coarse}


class World:
    """A dataset of painted squares: dark left halves are lesions; `drawn` says what was annotated."""

    classes = ("normal", "tumor")

    def __init__(self, drawn=None, tissue=None, cell=CELL, ignored=()):
        self.drawn, self.found, self.cell, self.ignored = drawn or {}, tissue, cell, ignored

    def evaluation_grid(self, slide):
        return Grid.regular(slide.size, self.cell)

    def tissue(self, slide, grid):
        return self.found

    def coarse(self, slide):
        shape = self.drawn.get(slide.id, shapely.box(0, 0, 352, SIDE))
        return Polygons([] if shape is None else [Region(shape, 1)], ignored=self.ignored)


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    made = []
    for number in range(3):
        rng = np.random.default_rng(number)
        pixels = np.empty((SIDE, SIDE, 3), np.uint8)
        pixels[:, :256] = rng.normal((110, 60, 140), 12, (SIDE, 256, 3)).clip(0, 255)
        pixels[:, 256:] = rng.normal((225, 160, 205), 12, (SIDE, 256, 3)).clip(0, 255)
        path = folder / f"s{number}.png"
        Image.fromarray(pixels).save(path)
        made.append(Slide(f"s{number}", path, f"p{number}"))
    return made


def context_of(method, world, folder, seed=0):
    return Context(geometry=world, folder=folder, ledger=Ledger(), seed=seed, data_digest="w").bind(method)


def labels_of(world, slides, ledger=None):
    return Labels(world, slides, {Supervision.COARSE}, ledger or Ledger(), sealed=True)


def cleaned(name, world, slides, folder, *, seed=0, **changes):
    method = METHODS[name](METHODS[name].Params(**LEARNS[name], **changes))
    context = context_of(method, world, folder, seed)
    labels = labels_of(world, slides)
    method.fit(View(slides[1:], labels), View([], labels), context)
    return method.predict(slides[0], labels, context), context


def agreement(mask, cell=CELL):
    truth = np.zeros(mask.shape, bool)
    truth[:, : 256 // cell] = True
    return float((mask == truth).mean())


@pytest.mark.parametrize("name", ["lcmil", "dknn"])
@pytest.mark.parametrize("scope", ["slide", "cohort"])
def test_a_wrong_boundary_is_mended(slides, tmp_path, name, scope):
    world = World()
    prediction, _ = cleaned(name, world, slides, tmp_path, scope=scope)
    before = agreement(world.coarse(slides[0]).labels(world.evaluation_grid(slides[0])) > 0)
    assert before == pytest.approx(13 / 16)
    assert agreement(prediction.mask) > 0.9
    assert prediction.notes == ()
    assert prediction.scores.values.shape == (16, 16)


def test_lcmil_scores_separate_what_the_annotation_mixes(slides, tmp_path):
    scores = cleaned("lcmil", World(), slides, tmp_path)[0].scores.values
    assert scores[:, :8].min() > scores[:, 8:].max()


@pytest.mark.parametrize("name", ["lcmil", "dknn"])
@pytest.mark.parametrize(
    ("drawn", "why"),
    [
        (None, "no tissue cell lies inside"),
        (shapely.box(0, 0, SIDE, SIDE), "every tissue cell lies inside"),
    ],
)
def test_one_class_is_returned_unchanged(slides, tmp_path, name, drawn, why):
    prediction, context = cleaned(name, World({"s0": drawn}), slides, tmp_path)
    assert len(prediction.notes) == 1 and prediction.notes[0].startswith("returned unchanged: ")
    assert why in prediction.notes[0]
    assert (prediction.mask == (drawn is not None)).all()
    assert context.records == []


@pytest.mark.parametrize(("name", "more"), [("lcmil", {}), ("dknn", {}), ("dknn", {"include_self": False})])
@pytest.mark.parametrize("scope", ["slide", "cohort"])
def test_areas_to_ignore_teach_nothing_and_are_scored(slides, tmp_path, name, more, scope):
    """What is drawn there, or not, changes no score; without them it does."""

    def scores(world, folder):
        found = cleaned(name, world, slides, tmp_path / folder, scope=scope, **more)[0].scores.values
        assert not np.isnan(found).any()
        return found

    area = shapely.box(0, 0, 128, 256)
    undrawn = {slide.id: shapely.box(0, 0, 352, SIDE).difference(area) for slide in slides}
    left_out = scores(World(ignored=[area]), "drawn")
    assert np.array_equal(left_out, scores(World(undrawn, ignored=[area]), "undrawn"))
    assert not np.array_equal(left_out, scores(World(undrawn), "learnt"))


def test_a_slide_of_which_all_is_to_be_ignored_is_returned(slides, tmp_path):
    world = World(ignored=[shapely.box(0, 0, SIDE, SIDE)])
    assert cleaned("lcmil", world, slides, tmp_path)[0].notes == (
        "returned unchanged: every tissue cell lies in an area to ignore",
    )
    with pytest.raises(DataError, match="outside of areas to ignore"):
        cleaned("dknn", world, slides, tmp_path, scope="cohort")


@pytest.mark.parametrize("scope", ["slide", "cohort"])
def test_without_tissue_the_annotation_is_returned(slides, tmp_path, scope):
    method = Lcmil(Lcmil.Params(**LEARNS["lcmil"], scope=scope))
    world = World(tissue=np.zeros((16, 16), bool))
    prediction = method.predict(slides[0], labels_of(world, slides), context_of(method, world, tmp_path))
    assert prediction.notes == ("returned unchanged: there is no tissue",)
    assert prediction.mask.mean() == pytest.approx(11 / 16)


def test_an_unchanged_annotation_keeps_the_datasets_cells(slides, tmp_path):
    world = World({"s0": shapely.box(0, 0, SIDE, SIDE)}, cell=1)
    prediction, _ = cleaned("lcmil", world, slides, tmp_path)
    assert prediction.mask.shape == (SIDE, SIDE)


def test_fewer_cells_than_neighbours_are_returned_unchanged(slides, tmp_path):
    tissue = np.zeros((16, 16), bool)
    tissue[0, [0, 1, 14, 15]] = True
    prediction, _ = cleaned("dknn", World(tissue=tissue), slides, tmp_path)
    assert "4 cells to choose 5 neighbours from" in prediction.notes[0]


@pytest.mark.parametrize("name", ["lcmil", "dknn"])
def test_cells_without_tissue_do_not_exist(slides, tmp_path, name):
    tissue = np.ones((16, 16), bool)
    tissue[4:9, 6:12] = False
    scores = cleaned(name, World(tissue=tissue), slides, tmp_path)[0].scores.values
    np.testing.assert_array_equal(np.isnan(scores), ~tissue)


@pytest.mark.parametrize("name", ["lcmil", "dknn"])
def test_fine_evaluation_grids_get_cells_of_their_own(slides, tmp_path, name):
    prediction, _ = cleaned(name, World(cell=1), slides, tmp_path)
    assert prediction.scores.grid.shape == (16, 16) and prediction.scores.grid.width == 32
    coarser, _ = cleaned(name, World(cell=1), slides, tmp_path, cell=64)
    assert coarser.mask.shape == (8, 8)


def test_stages_of_slides_do_not_meet_and_keep_scores_alone(slides, tmp_path):
    world, method = World(), Lcmil(Lcmil.Params(**LEARNS["lcmil"]))
    context, labels = context_of(method, world, tmp_path), labels_of(world, slides)
    found = [method.predict(slide, labels, context).scores.values for slide in slides]
    assert len({record.digest for record in context.records}) == 3
    assert not np.array_equal(found[0], found[1])
    again = method.predict(slides[1], labels, context).scores.values
    assert context.records[-1].reused
    np.testing.assert_array_equal(again, found[1])
    kept = [path.stat().st_size for path in tmp_path.rglob("result.pt")]
    assert max(kept) < 8192, "256 scores, no weights"
    assert method.state() == {"encoder": None, "model": None}


def test_post_processing_asks_for_no_new_training(slides, tmp_path):
    cleaned("lcmil", World(), slides, tmp_path)
    _, context = cleaned("lcmil", World(), slides, tmp_path, threshold=0.5, blur_kernel=3, blur_border="normalised")
    assert [record.reused for record in context.records] == [True]
    _, context = cleaned("lcmil", World(), slides, tmp_path, gamma=2.0)
    assert [record.reused for record in context.records] == [False]


def test_dropout_in_scoring_is_drawn_by_the_seed(slides, tmp_path):
    first, same = (cleaned("lcmil", World(), slides, tmp_path / at, mc_dropout=1)[0].scores.values for at in "ab")
    clean = cleaned("lcmil", World(), slides, tmp_path / "c")[0].scores.values
    mean = cleaned("lcmil", World(), slides, tmp_path / "d", mc_dropout=200)[0].scores.values
    np.testing.assert_array_equal(first, same)
    assert not np.array_equal(first, clean)
    assert np.abs(mean - clean).mean() < 0.5 * np.abs(first - clean).mean()


def test_dknn_as_released_sees_other_features(slides, tmp_path):
    honest = cleaned("dknn", World(), slides, tmp_path)[0].scores.values
    for changes in ({"feature_dropout": True}, {"patch_shift": True}, {"include_self": False}, {"normalise": False}):
        quirk = cleaned("dknn", World(), slides, tmp_path, **changes)[0].scores.values
        assert not np.array_equal(honest, quirk), changes
    assert set(np.unique(honest)) <= {np.float32(votes / 5) for votes in range(6)}


def test_a_self_supervised_encoder_is_learnt_once_and_travels(slides, tmp_path):
    changes = {"encoder_training": "self-supervised", "encoder_steps": 2, "encoder_batch": 8, "encoder_patches": 20}
    params = {**LEARNS["lcmil"], **changes}
    method, world = Lcmil(Lcmil.Params(**params)), World()
    context, labels = context_of(method, world, tmp_path / "a"), labels_of(world, slides)
    ledger = Ledger()
    method.fit(View(slides[1:], labels_of(world, slides, ledger)), View([], labels), context)
    assert [record.name for record in context.records] == ["encoder"]
    assert not ledger.entries, "no labels were asked for"
    twin = Lcmil(Lcmil.Params(**params))
    elsewhere = context_of(twin, world, tmp_path / "b")
    twin.restore(method.state(), elsewhere)
    found = [
        cleaner.predict(slides[0], labels, home).scores.values
        for cleaner, home in ((method, context), (twin, elsewhere))
    ]
    np.testing.assert_array_equal(*found)


def test_a_loss_that_explodes_is_said(slides, tmp_path):
    broken = {**LEARNS["lcmil"], "lr": 1e30}
    method, world = Lcmil(Lcmil.Params(**broken)), World()
    with pytest.raises(ConfigError, match="loss became"):
        method.predict(slides[0], labels_of(world, slides), context_of(method, world, tmp_path))


def test_the_coarse_annotation_is_scored_as_it_is(slides, tmp_path):
    method, world = Coarse(resolve(Coarse, "paper")), World()
    prediction = method.predict(slides[0], labels_of(world, slides), context_of(method, world, tmp_path))
    assert prediction.scores.values.mean() == pytest.approx(11 / 16)
    assert set(np.unique(prediction.scores.values)) == {0.0, 1.0}


@pytest.mark.parametrize("kind", METHODS.values())
@pytest.mark.parametrize("preset", ["paper", "released", "quick", "smoke"])
def test_presets(kind, preset):
    resolve(kind, preset)
