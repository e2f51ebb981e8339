"""Features made elsewhere: files of TRIDENT, CLAM and PyTorch; what does not fit is named; ours go out and back."""

import json
import os
import shutil

import h5py
import numpy as np
import pytest
import shapely
import torch
from PIL import Image
from test_cleaning_methods import LEARNS, World, context_of, labels_of
from typed import typed

from benchmark.commands.run import features_setting
from benchmark.config import RunRequest, resolve
from benchmark.errors import ConfigError, FeaturesError
from benchmark.identity import facts_of
from benchmark.learning.encoders.elsewhere import FeatureFolder
from benchmark.learning.encoders.exported import export
from benchmark.learning.encoders.features import CELLS, FACTS, VALUES, FeatureCache
from benchmark.learning.encoders.kept import entries
from benchmark.methods.cleaning.dknn import Dknn
from benchmark.methods.cleaning.lcmil import Lcmil
from benchmark.running.plan import plan
from benchmark.slides import Grid, Slide
from benchmark.supervision import View
from benchmark.tuning.request import SweepRequest, resolve_sweep

SIDE, DIM = 32, 5
WIDTH, HEIGHT = 320, 256


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("slides")
    made = []
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"s{number}.png")
        made.append(Slide(f"s{number}", folder / f"s{number}.png", f"p{number}", mpp=0.25))
    return made


@pytest.fixture
def grid(slides):
    return Grid.regular(slides[0].size, SIDE)


def corners_of(grid):
    return np.array([(x, y) for x in grid.x for y in grid.y])  # column by column, as TRIDENT goes


def values_of(corners, dim=DIM):
    """Features that tell where they belong."""
    values = np.tile(corners.sum(axis=1, keepdims=True), (1, dim)) / 7
    return values.astype(np.float32)


TRIDENT = {
    "patch_size": SIDE // 2,
    "patch_size_level0": SIDE,
    "level0_magnification": 40,
    "target_magnification": 20,
    "overlap": 0,
    "name": "s0",
    "savetodir": "/somewhere",
    "level0_width": WIDTH,
    "level0_height": HEIGHT,
}


def write(path, corners, values=None, attributes=TRIDENT, feature_attributes=None):
    """As TRIDENT's `save_h5` does: rows that can grow, one a chunk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = values_of(corners) if values is None else values
    with h5py.File(path, "w") as file:
        for name, array in (("features", values), ("coords", corners)):
            shape = (None, *array.shape[1:])
            file.create_dataset(name, data=array, maxshape=shape, chunks=(1, *array.shape[1:]))
        file["coords"].attrs.update(attributes or {})
        file["features"].attrs.update(feature_attributes or {})
    return path


@pytest.fixture
def folder(tmp_path, slides, grid):
    """TRIDENT's files of both slides."""
    for slide in slides:
        write(tmp_path / "features_uni_v1" / f"{slide.id}.h5", corners_of(grid))
    return tmp_path / "features_uni_v1"


def read(folder, slide, grid, where=None, cache=None, **options):
    options = {"setting": lambda side, step: f"--set method.patch={side} --set method.cell={step}", **options}
    cache = FeatureCache(cache or folder.parent / "cache")
    return cache.of(slide, grid, where, FeatureFolder(folder, **options))


def expected(grid, where=None):
    where = np.ones(grid.shape, bool) if where is None else where
    return values_of(np.array([(grid.x[col], grid.y[row]) for row, col in np.argwhere(where)]))


def as_clam(folder, corners):
    write(folder / "h5_files" / "s0.h5", corners.astype(np.int32), attributes=None)
    with h5py.File(folder / "patches.h5", "w") as file:
        file["coords"] = corners
        attributes = {"patch_size": SIDE // 4, "patch_level": 1, "downsample": (4.0, 4.0), "level_dim": (80, 64)}
        file["coords"].attrs.update(attributes)
    (folder / "patches").mkdir()
    (folder / "patches.h5").rename(folder / "patches" / "s0.h5")
    (folder / "pt_files").mkdir()
    torch.save(
        torch.zeros(len(corners), DIM), folder / "pt_files" / "s0.pt"
    )  # without coordinates: not the first choice


def as_tensor(folder, corners):
    folder.mkdir()
    torch.save(torch.from_numpy(values_of(corners)), folder / "s0.pt")
    lines = [f"{x},{y},{SIDE}" for x, y in corners.tolist()]
    (folder / "s0.csv").write_text("\n".join(["x,y,patch_size_level0", *lines]) + "\n")


def as_trident(folder, corners):
    write(folder / "s0.h5", corners)


@pytest.mark.parametrize("written", [as_trident, as_clam, as_tensor])
def test_rows_are_matched_by_the_corners_of_their_patches(tmp_path, slides, grid, written):
    order = np.random.default_rng(0).permutation(grid.rows * grid.cols)
    written(tmp_path / "made", corners_of(grid)[order])
    where = np.random.default_rng(1).random(grid.shape) < 0.6
    features = read(tmp_path / "made", slides[0], grid, where)
    assert np.array_equal(features.values, expected(grid, where)) and features.values.dtype == np.float32
    assert np.argwhere(where).tolist() == np.stack([features.rows, features.cols], 1).tolist()


def test_a_patch_may_lie_a_pixel_off_and_no_more(tmp_path, slides, grid):
    as_trident(tmp_path / "near", corners_of(grid) + 1)
    np.testing.assert_allclose(read(tmp_path / "near", slides[0], grid).values, expected(grid) + 2 / 7, rtol=1e-5)
    as_trident(tmp_path / "far", corners_of(grid) + 2)
    with pytest.raises(FeaturesError, match=r"patches lie between those .* one every 32 px from \(2, 2\)") as refused:
        read(tmp_path / "far", slides[0], grid)
    assert refused.value.fix.startswith("no option asks for patches there")


def test_half_precision_stays_as_it_is(tmp_path, slides, grid):
    corners = corners_of(grid)
    write(tmp_path / "made" / "s0.h5", corners, values_of(corners).astype(np.float16))
    assert read(tmp_path / "made", slides[0], grid).values.dtype == np.float16


def broken(change):
    """A file of the first slide with something wrong."""

    def make(folder, grid):
        corners = corners_of(grid)
        values = values_of(corners)
        attributes = dict(TRIDENT)
        path = folder / "s0.h5"
        if change == "no coordinates":
            write(path, corners)
            with h5py.File(path, "a") as file:
                del file["coords"]
            return
        if change == "magnification":
            attributes |= {"level0_magnification": 20, "target_magnification": 10}
        if change == "contradiction":
            attributes["target_magnification"] = 10
        if change == "patches":
            attributes |= {"patch_size": SIDE, "patch_size_level0": 2 * SIDE}
            corners = np.array([(x, y) for x in range(0, WIDTH, 64) for y in range(0, HEIGHT, 64)])
            values = values_of(corners)
        if change == "lattice":
            corners = np.array([(x, y) for x in range(0, WIDTH, 48) for y in range(0, HEIGHT, 48)])
            values = values_of(corners)
        if change == "rows":
            corners, values = corners[3:], values[3:]
        if change == "NaN":
            values[7, 2] = np.nan
        if change == "dimension":
            values = values_of(corners, DIM + 1)
        if change == "twice":
            corners[5] = corners[4]
        if change == "beyond":
            corners[5] = (WIDTH, 0)
        if change == "another size":
            attributes["level0_width"] = WIDTH + 1
        if change == "no size":
            attributes = {"overlap": 0}
        if change == "fewer":
            values = values[1:]
        if change == "integers":
            values = values.astype(np.int32)
        if change == "damaged":
            path.write_bytes(b"\x89HDF\r\n\x1a\n" + b"\0" * 100)
            return
        write(path, corners, values, attributes)

    return make


@pytest.mark.parametrize(
    ("change", "said", "fix"),
    [
        ("no coordinates", r"s0\.h5 has no dataset coords; it has: features", "coords"),
        ("magnification", r"says 20 × at level 0, the slide has 0\.25 µm per px, which is 40 ×", "this file"),
        ("contradiction", r"patch_size_level0 = 32, but 64 from its magnifications", "again"),
        (
            "patches",
            r"patches of 64 px at level 0, the method asks for 32 px",
            "--set method.patch=64 --set method.cell=64",
        ),
        ("lattice", r"between those the method asks for: one every 48 px from \(0, 0\)", "no option"),
        ("rows", r"slide 's0'.* lack 3 of 80 tissue cells, the first at \(0, 0\)", "features_missing=drop"),
        ("NaN", r"s0\.h5: row 7, the patch at \(0, 224\), holds NaN", "again"),
        ("dimension", r"s1\.h5 has 5 features per patch, s0\.h5 6", "a folder of its own"),
        ("twice", r"hold the patch at \(0, 128\) twice", "again"),
        ("beyond", r"a patch at \(320, 224\) lies beyond the slide of 320 × 256 px", "level-0 px"),
        ("another size", r"made from 321 × 256 px, the slide has 320 × 256", "this file"),
        ("no size", r"does not say how large its patches are", "--set features_patch=N"),
        ("fewer", "79 rows of features and 80 of coordinates", "again"),
        ("integers", "features are int32", "again"),
        ("damaged", r"s0\.h5 cannot be read as HDF5", "again"),
    ],
)
def test_what_does_not_fit_is_named(folder, slides, grid, change, said, fix):
    broken(change)(folder, grid)
    with pytest.raises(FeaturesError, match=said) as refused:
        for slide in slides:
            read(folder, slide, grid)
    assert fix in refused.value.fix
    assert not list(folder.parent.glob("cache/??/*.part"))


def test_the_patches_of_a_file_that_does_not_say_their_size(folder, slides, grid):
    broken("no size")(folder, grid)
    assert np.array_equal(read(folder, slides[0], grid, patch=SIDE).values, expected(grid))
    with pytest.raises(FeaturesError, match="64 px at level 0, the method asks for 32"):
        read(folder, slides[0], grid, patch=64)
    with pytest.raises(FeaturesError, match="features_patch says 64"):
        read(folder, slides[1], grid, patch=64)


def test_the_proposed_setting_fits(folder, slides, grid):
    broken("patches")(folder, grid)
    assert np.array_equal(
        read(folder, slides[0], Grid.regular(slides[0].size, 64)).values, expected(Grid.regular(slides[0].size, 64))
    )


def test_missing_rows_may_be_dropped_but_not_all_of_them(folder, slides, grid):
    broken("rows")(folder, grid)
    wanted = np.ones(grid.shape, bool)
    covered = FeatureFolder(folder, drop=True).covered(slides[0], grid, wanted)
    assert (~covered).sum() == 3 and not covered[:3, 0].any()
    with pytest.raises(FeaturesError, match="lack 1 of 1 tissue cells"):
        only = np.zeros(grid.shape, bool)
        only[0, 0] = True
        FeatureFolder(folder, drop=True).covered(slides[0], grid, only)


def test_dropped_cells_get_no_score_and_are_counted_in_the_note(folder, slides, grid, tmp_path):
    broken("rows")(folder, grid)
    world = World({"s0": shapely.box(0, 0, 160, HEIGHT)})
    settings = {**LEARNS["dknn"], "features": folder}
    method = Dknn(Dknn.Params(**settings, features_missing="drop"))
    context, labels = context_of(method, world, tmp_path / "kept"), labels_of(world, slides)
    method.prepare([], slides[:1], context)
    method.fit(View([], labels), View([], labels), context)
    prediction = method.predict(slides[0], labels, context)
    assert prediction.notes == ("3 of 80 tissue cells have no features made elsewhere and no score",)
    assert np.isnan(prediction.scores.values).sum() == 3
    strict = Dknn(Dknn.Params(**settings))
    with pytest.raises(FeaturesError, match="lack 3 of 80 tissue cells"):
        strict.prepare([], slides, context_of(strict, world, tmp_path / "kept"))
    with pytest.raises(FeaturesError, match="no features of 1 slide"):
        strict.check_slides([], [*slides, Slide("other", slides[0].path.with_name("other.png"), "p")])


def test_a_sweep_fixes_the_folder(folder):
    run = RunRequest(dataset="glas", settings=features_setting(folder))
    assert resolve_sweep(SweepRequest("lcmil", run)).spec.params.features == folder
    with pytest.raises(ConfigError, match="does not work on frozen features"):
        resolve_sweep(SweepRequest("oeem", run))


def test_tensor_files_say_what_they_lack(tmp_path, slides, grid):
    made = tmp_path / "made"
    as_tensor(made, corners_of(grid))
    table = (made / "s0.csv").read_text()
    for text, said in (
        (table.replace("x,y", "left,top"), "expected x and y"),
        (table.replace("0,32,", "0,nothing,"), "no number"),
        (table.replace("0,32,32", "0,32,64"), "patches of 2 sizes"),
        (None, "has no coordinates: there is no s0.csv"),
    ):
        (made / "s0.csv").unlink()
        if text is not None:
            (made / "s0.csv").write_text(text)
        with pytest.raises(FeaturesError, match=said):
            read(made, slides[0], grid)
        (made / "s0.csv").write_text(table)
    torch.save({"features": slides[0]}, made / "s0.pt")
    with pytest.raises(FeaturesError, match="cannot be read as a tensor"):
        read(made, slides[0], grid)


def test_slides_without_a_file_and_files_without_a_slide(folder, slides):
    (folder / "s1.h5").rename(folder / "other.h5")
    known = FeatureFolder(folder)
    with pytest.raises(FeaturesError, match=r"no features of 1 slide: 's1'; its 2 files are named 'other', 's0'"):
        known.require(slides)
    assert known.unused(slides) == ["other"]
    with pytest.raises(FeaturesError, match="holds no features") as refused:
        FeatureFolder(folder.parent).require(slides)
    assert refused.value.fix == f"--features {folder}"


def test_an_edit_that_keeps_the_size_is_another_folder(folder):
    """A NaN written over one row: the runs of the sound folder must not count for it."""
    before, file = FeatureFolder(folder).digest, folder / "s0.h5"
    with h5py.File(file, "r+") as edited:
        edited["features"][1, 2] = np.nan
    assert FeatureFolder(folder).digest != before


def test_the_source_is_told_to_the_audit(folder, grid):
    """TRIDENT names the encoder in the folder's name only; ours in an attribute."""
    seen = FeatureFolder(folder).seen()
    assert seen.startswith("uni_v1: Mass-100K") and str(folder) in seen and FeatureFolder(folder).digest in seen
    write(folder / "s0.h5", corners_of(grid), feature_attributes={"encoder": "nobodys-net"})
    assert FeatureFolder(folder).seen().startswith("nobodys-net: unknown")
    method = Dknn(Dknn.Params(features=folder))
    assert method.encoders() == (FeatureFolder(folder).seen(),)


def test_the_source_counts_in_the_identity_by_its_contents(folder, grid, tmp_path):
    before = facts_of(Lcmil.Params(features=folder))["features"]
    shutil.copytree(folder, tmp_path / "copy")
    assert facts_of(Lcmil.Params(features=tmp_path / "copy"))["features"] == before
    write(folder / "s0.h5", corners_of(grid)[::-1].copy())
    assert facts_of(Lcmil.Params(features=folder))["features"] != before


def test_what_goes_with_features_made_elsewhere_and_what_does_not(folder, monkeypatch):
    with pytest.raises(ConfigError, match="leave no encoder to train"):
        resolve(Lcmil, "paper", {"features": folder, "encoder_training": "self-supervised"})
    with pytest.raises(ConfigError, match="of one place per cell"):
        resolve(Dknn, "paper", {"features": folder, "patch_shift": True})
    with pytest.raises(ConfigError, match="features: there is no folder .*nowhere"):
        resolve(Dknn, "paper", {"features": folder / "nowhere"})
    asked = RunRequest(dataset="glas", settings=features_setting(folder))
    for method in ("oeem", "coarse", "dknn,oeem"):
        with pytest.raises(ConfigError, match="does not work on frozen features") as refused:
            plan(RunRequest(**{**vars(asked), "method": method}))
        assert "dknn, dsmil, lcmil" in refused.value.fix
    with pytest.raises(ConfigError, match="^coarse, oeem do not work on frozen features") as refused:
        plan(RunRequest(**{**vars(asked), "method": "coarse,dknn,oeem"}))
    assert refused.value.fix.startswith("--method dknn (")
    with pytest.raises(ConfigError, match="encoder=uni has no effect") as refused:
        plan(RunRequest(method="abmil", dataset="glas", settings=(*asked.settings, "encoder=uni")))
    assert refused.value.fix == "drop --set encoder=…, or --features"
    (again := folder.parent / "run.yaml").write_text(
        plan(RunRequest(**{**vars(asked), "method": "abmil"}))[0].as_file({})
    )
    assert plan(RunRequest(config=again))[0].params.features == folder, "what a run writes repeats it"
    monkeypatch.chdir(folder.parent)
    relative = RunRequest(method="dknn", dataset="glas", settings=("method.features=features_uni_v1",))
    assert f"features: {folder}" in plan(relative)[0].as_file({})


def test_what_the_cache_exports_gives_the_same_metrics_bit_for_bit(tmp_path, miniatures):
    from mlflow import MlflowClient

    data = ["--dataset", "paip2019", "--data", str(miniatures["paip2019"]), "--preset", "smoke", "--jobs", "0"]
    first = typed("run", "--method", "dknn", *data)
    assert first.returncode == 0, first.stderr + first.stdout
    exported = typed("cache", "export", "--out", "out")
    assert "test_resnet:pooled, patches of 64 px every 128 px: " in exported.stdout, exported.stderr
    second = typed("run", "--method", "dknn", *data, "--features", "out")
    assert second.returncode == 0, second.stderr + second.stdout
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    kept = [{n: v for n, v in run.data.metrics.items() if n.partition("/")[0] in ("pixel", "slide")} for run in runs]
    assert len(kept) == 2 and len(kept[0]) > 5 and kept[0] == kept[1]
    assert {run.data.params["features"] for run in runs} == {"None", str(tmp_path / "out")}
    files = sorted((tmp_path / "out").glob("*.h5"))
    with h5py.File(files[0], "r") as file:
        assert file["coords"].attrs["patch_size_level0"] == 64 and file["coords"].attrs["level0_magnification"] == 20
        assert file["features"].attrs["encoder"] == "test_resnet:pooled"
    again = export(entries(tmp_path / "cache" / "features"), tmp_path / "again")
    assert again.left_out == {"made elsewhere": len(files)} and len(again.written[0].slides) == len(files)
    files[0].unlink()
    refused = typed("run", "--method", "dknn", *data, "--features", "out")
    assert refused.returncode == 2 and "has no features of 1 slide" in refused.stdout + refused.stderr


def test_bags_are_made_of_features_made_elsewhere(tmp_path):
    from mlflow import MlflowClient

    words = [
        "--method",
        "mean-mil",
        "--dataset",
        "pcam-bags",
        "--data",
        "synthetic",
        "--preset",
        "smoke",
        "--jobs",
        "0",
    ]
    for more in ([], ["--features", "out"]):
        done = typed("run", *words, *more)
        assert done.returncode == 0, done.stderr + done.stdout
        if not more:
            typed("cache", "export", "--out", "out")
    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    files = [tmp_path / "mlartifacts" / run.info.run_id / "artifacts" / "metrics.json" for run in runs]
    numbers = [json.loads(file.read_text())["numbers"] for file in files]
    kept = [{n: v for n, v in own.items() if n.partition("/")[0] in ("image", "instance")} for own in numbers]
    assert len(kept) == 2 and len(kept[0]) > 5 and kept[0] == kept[1]


def keep(cache, number, slide, *, encoder="net", side=32, step=32, content="c", file="/data/s.png"):
    """An entry as the cache writes it, of two patches."""
    home = cache / f"{number:02x}" / f"{number:032x}"
    home.mkdir(parents=True)
    np.save(home / VALUES, np.full((2, 3), number, np.float32))
    np.save(home / CELLS, np.array([[0, 0], [0, 1]]))
    facts = {"slide": slide, "encoder_name": encoder, "encoder": f"digest of {encoder}", "patches": 2, "seconds": 1.0}
    facts |= {"patch": [side, side], "content": content, "file": file, "mpp": None, "size": [64, 32]}
    (home / FACTS).write_text(json.dumps({**facts, "x": [0, step], "y": [0]}))
    os.utime(home / FACTS, (number, number))


def test_what_is_exported_where(tmp_path):
    cache = tmp_path / "features"
    keep(cache, 1, "a")
    keep(cache, 2, "a")
    keep(cache, 3, "b")
    done = export(entries(cache), tmp_path / "one")
    assert done.left_out == {"older entry of the same slide": 1} and done.written[0].slides == ("a", "b")
    with h5py.File(tmp_path / "one" / "a.h5", "r") as file:
        assert (file["features"][()] == 2).all() and file["coords"][()].tolist() == [[0, 0], [32, 0]]
        assert "level0_magnification" not in file["coords"].attrs
    keep(cache, 4, "a", encoder="other:pooled", side=64)
    done = export(entries(cache), tmp_path / "two")
    assert [part.folder.name for part in done.written] == [
        "features_net_32px_every_32px",
        "features_other-pooled_64px_every_32px",
    ]
    assert export(entries(cache), tmp_path / "three", encoder="other").written[0].folder == tmp_path / "three"
    with pytest.raises(ConfigError, match="is not an empty folder"):
        export(entries(cache), tmp_path / "two")
    with pytest.raises(ConfigError, match="no features to export: 4 of slides elsewhere"):
        export(entries(cache), tmp_path / "four", data=tmp_path)
    keep(cache, 5, "a", content="another", file="/other/s.png")
    with pytest.raises(ConfigError, match="two slides are called 'a'") as refused:
        export(entries(cache), tmp_path / "five")
    assert refused.value.fix == "--data /data"
