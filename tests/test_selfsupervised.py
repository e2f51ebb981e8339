"""Self-supervision: what the loss is, what the views keep, what is learnt, and the same bits after a kill."""

import tracemalloc

import numpy as np
import pytest
import torch

from benchmark.context import Context
from benchmark.encoder import Encoder
from benchmark.errors import ConfigError, DataError
from benchmark.learning.encoders import encoder_names, selfsupervised
from benchmark.learning.encoders.catalogue.imagenet import ImagenetLite0
from benchmark.learning.encoders.frozen import create_encoder
from benchmark.learning.encoders.patch_file import PatchFile
from benchmark.learning.encoders.selfsupervised import augmented, frozen, nt_xent, pretrain
from benchmark.method import Method, MethodCard, Params
from benchmark.supervision import Ledger

NET, SIDE = "test_resnet", 24


class Learner(Method):
    """A method that only needs to exist for its stage."""

    name = "learner"
    supervision = frozenset()
    card = MethodCard("t", "c", "p")
    Params = Params
    presets = {"paper": {}}

    def fit(self, train, validation, context):
        raise NotImplementedError

    def predict(self, slide, labels, context):
        raise NotImplementedError

    def state(self):
        return {}

    def restore(self, state, context):
        pass


def textures(number, seed, side=28):
    """Stripes and crossed stripes of one colour and contrast, in any width, direction and place."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(2, size=number)
    y, x = np.mgrid[:side, :side]
    found = np.empty((number, side, side, 3), np.uint8)
    for index, crossed in enumerate(kind):
        angle, first, second = rng.uniform(0, 2 * np.pi, 3)
        turn = 2 * np.pi / rng.uniform(5, 9)
        wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) * turn + first)
        if crossed:
            wave = (wave + np.sin((y * np.cos(angle) - x * np.sin(angle)) * turn + second)) / np.sqrt(2)
        noise = rng.normal(0, 10, (side, side, 3))
        found[index] = np.clip(rng.uniform(123, 133, 3) + 30 * wave[..., None] + noise, 0, 255)
    return found, kind


def learnt(folder, patches, steps, **options):
    context = Context(geometry=None, folder=folder, ledger=Ledger()).bind(Learner(Params()))
    patches = PatchFile.write(folder / "patches.raw", patches.shape[1], [patches])
    options = {"architecture": NET, "side": SIDE, "steps": steps, "batch": 32, "name": "encoder", **options}
    return context.stage("encoder", lambda: pretrain(patches, context, **options)), context


def probe(encoder, fit, test):
    """Accuracy of a linear model on frozen features."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    crop = slice(2, 2 + SIDE)
    rows = [encoder(np.ascontiguousarray(patches[:, crop, crop])).numpy() for patches, _ in (fit, test)]
    return model.fit(rows[0], fit[1]).score(rows[1], test[1])


def test_loss_is_simclrs_equation_1():
    first, second = torch.randn(2, 3, 5, generator=torch.manual_seed(0))
    both = torch.cat([first, second])
    total = 0.0
    for i in range(6):
        likeness = [torch.cosine_similarity(both[i], both[j], dim=0) / 0.3 for j in range(6)]
        others = torch.stack([likeness[j] for j in range(6) if j != i])
        total += float(torch.logsumexp(others, 0) - likeness[(i + 3) % 6])
    assert float(nt_xent(both, 0.3)) == pytest.approx(total / 6, abs=1e-6)


def test_views_are_images_that_depend_on_the_generator_alone():
    images = torch.from_numpy(textures(6, 0)[0]).permute(0, 3, 1, 2).float() / 255
    one, same = (augmented(images.clone(), SIDE, np.random.default_rng(1)) for _ in range(2))
    other = augmented(images, SIDE, np.random.default_rng(2))
    assert one.shape == (6, 3, SIDE, SIDE) and float(one.min()) >= 0 and float(one.max()) <= 1
    assert torch.equal(one, same) and not torch.equal(one, other)


def test_a_view_without_crop_blur_and_colour_is_one_of_eight_orientations(monkeypatch):
    monkeypatch.setattr(selfsupervised, "ZOOM", (1.0, 1.0))
    monkeypatch.setattr(selfsupervised, "JITTER", 0.0)
    monkeypatch.setattr(selfsupervised, "BLUR", 0.1)
    images = torch.rand(40, 3, 8, 8, generator=torch.manual_seed(0))
    views = augmented(images, 8, np.random.default_rng(0))
    seen = set()
    for image, view in zip(images, views, strict=True):
        turned = [turn for mirror in (image, image.flip(2)) for turn in (mirror.rot90(k, (1, 2)) for k in range(4))]
        matches = [number for number, option in enumerate(turned) if torch.allclose(option, view, atol=1e-5)]
        assert len(matches) == 1
        seen.update(matches)
    assert seen == set(range(8))


def test_blur_keeps_the_mean_and_takes_the_finest_detail_of_about_half():
    images = torch.rand(200, 3, 32, 32, generator=torch.manual_seed(0))
    views = selfsupervised._blurred(images.clone(), np.random.default_rng(0))
    assert float((views.mean() - images.mean()).abs()) < 1e-3
    untouched = (views == images).flatten(1).all(1)
    assert 70 < int(untouched.sum()) < 130
    assert (views.flatten(1).std(1) <= images.flatten(1).std(1) + 1e-6).all()


def test_the_loss_falls_and_two_textures_become_linearly_separable(tmp_path):
    state, context = learnt(tmp_path, textures(300, 1)[0], 150, lr=3e-3)
    losses = [value for name, value, _ in context.reporter.history if name == "encoder/loss"]
    assert np.mean(losses[-3:]) < 0.8 * losses[0]
    fit, test = textures(40, 2), textures(300, 3)
    torch.manual_seed(0)
    untrained = frozen(NET, selfsupervised.build(NET, side=SIDE).module.state_dict(), side=SIDE, device="cpu")
    before, after = probe(untrained, fit, test), probe(frozen(NET, state, side=SIDE, device="cpu"), fit, test)
    assert after > 0.85 and after > before + 0.05


class Killed(Exception):
    """Stands for `kill -9`: nothing of the process survives but its files."""


def test_a_killed_training_ends_with_the_same_bits(tmp_path, monkeypatch):
    patches, _ = textures(40, 4)
    straight, whole = learnt(tmp_path / "straight", patches, 10, batch=8)
    calls = []

    def dies(images, side, rng):
        calls.append(1)
        if len(calls) == 2 * 6 + 1:
            raise Killed
        return augmented(images, side, rng)

    monkeypatch.setattr(selfsupervised, "augmented", dies)
    with pytest.raises(Killed):
        learnt(tmp_path / "killed", patches, 10, batch=8)
    resumed, context = learnt(tmp_path / "killed", patches, 10, batch=8)
    assert len(calls) == 2 * 6 + 1 + 2 * 4
    assert straight.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())
    assert context.reporter.history == whole.reporter.history


def test_the_trained_weights_are_those_of_the_frozen_encoder(tmp_path):
    patches, _ = textures(20, 5)
    state, _ = learnt(tmp_path, patches, 2, batch=64)
    one, same = (frozen(NET, state, side=SIDE, device="cpu") for _ in range(2))
    pixels = patches[:3, :SIDE, :SIDE]
    assert one.digest == same.digest and one.name == f"{NET}:self-supervised"
    assert torch.equal(one(pixels), same(pixels)) and one(pixels).shape == (3, one.dim)


def test_bad_input_is_named(tmp_path):
    patches, _ = textures(4, 6)
    with pytest.raises(ConfigError, match="at least 2 patches, got 1"):
        learnt(tmp_path, patches[:1], 2)
    with pytest.raises(ConfigError, match="28 px.*at least 64"):
        learnt(tmp_path, patches, 2, side=64)
    with pytest.raises(ConfigError, match="resnet99"):
        learnt(tmp_path, patches, 2, architecture="resnet99")


def test_patches_come_from_disk_a_batch_at_a_time(tmp_path):
    """64 MB of patches are written and read with less than 2 MB at once; any number of threads gives the same."""
    number, side, batch = 5000, 66, 48
    blocks = (np.full((100, side, side, 3), block, np.uint8) for block in range(number // 100))
    tracemalloc.start()
    patches = PatchFile.write(tmp_path / "patches.raw", side, blocks)
    numbers = np.random.default_rng(0).choice(number, batch, replace=False)
    taken = [patches.take(numbers, readers=readers) for readers in (1, 3)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(patches) == number and peak < 3 * batch * side * side * 3 + 2_000_000 < number * side * side
    assert np.array_equal(*taken) and np.array_equal(taken[0][:, 0, 0, 0], numbers // 100)


def test_a_file_of_patches_that_was_cut_short_is_named(tmp_path):
    patches = PatchFile.write(tmp_path / "patches.raw", 8, [np.zeros((4, 8, 8, 3), np.uint8)])
    patches.path.write_bytes(b"x" * 300)
    with pytest.raises(DataError, match=r"patches\.raw ends before patch 3"):
        patches.take(np.array([0, 3]))
    (tmp_path / "folder").mkdir()
    with pytest.raises(DataError, match="cannot keep patches"):
        PatchFile.write(tmp_path / "folder", 8, [])


def test_any_number_of_reader_threads_trains_the_same_weights(tmp_path):
    patches, _ = textures(100, 7)
    one, other = (learnt(tmp_path / str(n), patches, 3, batch=64, readers=n)[0] for n in (1, 4))
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def test_training_starts_from_the_weights_of_the_catalogue(tmp_path):
    """With a rate of next to nothing the trained encoder is the entry itself, up to its running means."""
    patches, _ = textures(8, 8, side=40)
    state, _ = learnt(tmp_path, patches, 1, architecture="imagenet-lite0", side=32, lr=1e-12, pretrained=True, batch=8)
    entry = ImagenetLite0.build(side=32).state_dict()
    weights = [name for name in entry if name.endswith(("weight", "bias"))]
    assert all(torch.allclose(state[name], entry[name], atol=1e-6) for name in weights)
    trained = frozen("imagenet-lite0", state, side=32, device="cpu")
    assert trained.dim == create_encoder("imagenet-lite0", pretrained=True, weights=None, side=32).dim == 1280


def test_training_starts_from_an_encoder_of_a_plug_in(tmp_path, monkeypatch):
    class Own(Encoder):
        name, side, width = "own", SIDE, 4
        mean = std = (0.5, 0.5, 0.5)

        @classmethod
        def build(cls, *, side, weights=None):
            torch.manual_seed(3)
            return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())

    monkeypatch.setattr(encoder_names, "catalogue_entry", lambda name: Own)
    state, _ = learnt(tmp_path, textures(20, 9)[0], 2, architecture="own", pretrained=True)
    assert frozen("own", state, side=SIDE, device="cpu").dim == 4
