"""Top-k MIL: worked-out vectors, resuming, odd units, and whole runs on miniatures."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from fitting import Reporter, flat, predicted, some, trained
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from benchmark.config import resolve
from benchmark.context import Context
from benchmark.dataset import Split
from benchmark.errors import ConfigError, DataError, WeightsError
from benchmark.learning.encoders.frozen import FrozenEncoder, create_encoder
from benchmark.learning.mil.cohort import Cohort, lattice_of
from benchmark.learning.mil.top import highest, top_tiles
from benchmark.methods.mil import topk_epochs, topk_tiles
from benchmark.methods.mil.tiles import Tiles
from benchmark.methods.mil.topk_epochs import Plan, error_rates, score_of, train_epochs
from benchmark.methods.mil.topk_mil import TopkMil
from benchmark.methods.mil.topk_params import TopkParams
from benchmark.methods.mil.topk_rnn import Rnn, padded, unit_probabilities
from benchmark.methods.mil.topk_tiles import TileModel, batches, probability, scaled, tile_net, weighted_loss
from benchmark.registry import datasets
from benchmark.slides import write_pyramid
from benchmark.supervision import Labels, Ledger, Supervision, View
from benchmark.testing.datasets import shared_miniature

OWNERS = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2])
PROBABILITIES = np.array([0.2, 0.9, 0.9, 0.1, 0.05, 0.4, 0.3, 0.4, 0.1], np.float32)


@pytest.fixture(scope="module")
def camelyon(tmp_path_factory):
    return shared_miniature(datasets().load("camelyon16"), tmp_path_factory)


@pytest.fixture(scope="module")
def glas(tmp_path_factory):
    return shared_miniature(datasets().load("glas"), tmp_path_factory)


@pytest.mark.parametrize(("size", "expected"), [(1, [2, 3, 7]), (2, [1, 2, 4, 3, 5, 7]), (3, [0, 1, 2, 4, 3, 6, 5, 7])])
def test_top_tiles(size, expected):
    assert top_tiles(OWNERS, PROBABILITIES, size).tolist() == expected


def test_owners_with_fewer_than_k_tiles_give_all_and_those_without_none():
    assert top_tiles(np.array([0, 2, 2]), np.array([0.5, 0.1, 0.2], np.float32), 16).tolist() == [0, 1, 2]
    assert top_tiles(np.array([], np.int64), np.array([], np.float32), 1).tolist() == []
    np.testing.assert_array_equal(
        highest(OWNERS, PROBABILITIES, 4), np.array([0.9, 0.1, 0.4, 0.0], np.float32), "a unit without tiles scores 0"
    )


@given(
    tiles=st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0])), max_size=40),
    size=st.integers(1, 5),
)
def test_top_tiles_are_the_last_of_a_stable_sort(tiles, size):
    tiles.sort(key=lambda tile: tile[0])
    owners, values = np.array([t[0] for t in tiles], np.int64), np.array([t[1] for t in tiles], np.float32)
    expected = []
    for owner in range(5):
        own = [line for line, tile in enumerate(tiles) if tile[0] == owner]
        expected += sorted(own, key=lambda line: values[line])[-size:]
    assert top_tiles(owners, values, size).tolist() == expected


@pytest.mark.parametrize(("weight", "expected"), [(0.5, 0.550503), (0.9, 0.211643)])
def test_weighted_loss(weight, expected):
    logits, target = torch.tensor([[1.0, 3.0], [0.0, 0.5]]), torch.tensor([1, 0])
    each = [weighted_loss(logits[[n]], target[[n]], weight).item() for n in (0, 1)]
    assert each == pytest.approx([0.126928, 0.974077], abs=1e-6)
    assert weighted_loss(logits, target, weight).item() == pytest.approx(expected, abs=1e-6)


def toy():
    net = Rnn(2, 2)
    with torch.no_grad():
        for layer, weight, bias in (
            (net.embedding, [[0.5, 0.0], [-0.5, 1.0]], [0.1, 0.0]),
            (net.state, [[0.2, 0.3], [0.0, -0.4]], [0.0, 0.05]),
            (net.output, [[1.0, -1.0], [0.5, 2.0]], [0.0, -0.1]),
        ):
            layer.weight.copy_(torch.tensor(weight))
            layer.bias.copy_(torch.tensor(bias))
    return net


INPUTS = np.array([[1.0, 2.0], [0.5, -1.0], [0.0, 1.0]], np.float32)


def test_rnn_toy():
    net, state = toy(), torch.zeros(1, 2)
    with torch.no_grad():
        for embedding, expected in zip(torch.from_numpy(INPUTS), [[0.6, 1.55], [0.935, 0], [0.287, 1.05]], strict=True):
            state = net.update(embedding[None], state)
            np.testing.assert_allclose(state[0], expected, atol=1e-6)
        logits = net(*padded([INPUTS], "cpu"))
    np.testing.assert_allclose(logits[0], [-0.763, 2.1435], atol=1e-6)
    assert probability(logits)[0] == pytest.approx(0.948167, abs=1e-6)


def test_sequences_of_a_batch_end_where_they_end():
    net, parts = toy(), [INPUTS, INPUTS[:1], INPUTS[:2]]
    with torch.no_grad():
        together = net(*padded(parts, "cpu"))
        for row, part in zip(together, parts, strict=True):
            np.testing.assert_allclose(row, net(*padded([part], "cpu"))[0], atol=1e-6)
    assert not torch.allclose(together[0], together[2])
    found = unit_probabilities(net, [INPUTS, np.zeros((0, 0), np.float32)], "cpu")
    assert found.tolist() == pytest.approx([0.948167, 0.0], abs=1e-6)


def test_networks_have_the_released_sizes():
    params = TopkParams(encoder_pretrained=False)
    net = tile_net(params, initialise=True)
    assert sum(p.numel() for p in net.parameters()) == 21_285_698
    assert sum(p.numel() for p in Rnn(512, params.rnn_state).parameters()) == 82_434
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    model = TileModel(net, params, "cpu")
    embedded = torch.from_numpy(model.embeddings(pixels, 1))
    assert embedded.shape == (2, 512)
    with torch.no_grad():
        np.testing.assert_allclose(probability(net.fc(embedded)), model.probabilities(pixels), rtol=1e-4)


def test_pixels_are_standardised():
    pixels = np.array([0, 51, 255], np.uint8).reshape(1, 1, 1, 3)
    np.testing.assert_allclose(scaled(pixels, TopkParams(), "cpu").ravel(), [-5.0, -3.0, 5.0], atol=1e-5)


def test_local_weights_of_the_encoder(tmp_path):
    import timm

    source = timm.create_model("test_resnet", num_classes=7)
    torch.save(source.state_dict(), tmp_path / "net.pth")
    params = TopkParams(encoder="test_resnet", encoder_weights=tmp_path / "net.pth")
    net = tile_net(params, initialise=True)
    assert torch.equal(net.conv1[0].weight if hasattr(net.conv1, "__len__") else net.conv1.weight, _first(source))
    assert net.get_classifier().out_features == 2
    assert TopkMil(params).encoders() == ["test_resnet: unknown: the local file net.pth"]
    assert TopkMil(TopkParams()).encoders() == ["resnet34.tv_in1k: ImageNet-1k"]


def _first(net):
    return net.conv1[0].weight if hasattr(net.conv1, "__len__") else net.conv1.weight


def test_weights_that_cannot_be_had_are_refused(monkeypatch):
    def unreachable(*args, **options):
        raise OSError("no network")

    monkeypatch.setattr("timm.create_model", unreachable)
    with pytest.raises(WeightsError, match="of 'resnet34.tv_in1k' could not be loaded: no network") as caught:
        tile_net(TopkParams(), initialise=True)
    assert "encoder_pretrained=false" in caught.value.fix


def test_score_of_an_epoch():
    labels = np.array([True, True, False, False, False, False])
    found = np.array([0.5, 0.49, 0.5, 0.1, 0.2, 0.3], np.float32)
    assert error_rates(found, labels) == (0.25, 0.5)
    assert score_of(found, labels) == pytest.approx(0.625)


def test_batches_hold_no_single_tile():
    assert [part.tolist() for part in batches(np.arange(7), 3)] == [[0, 1, 2], [3, 4, 5, 6]]
    assert [len(part) for part in batches(np.arange(8), 3)] == [3, 3, 2]
    assert [len(part) for part in batches(np.arange(2), 3)] == [2]


def epochs_of(scores, tmp_path, *, every=1, validate=True, reporter=None):
    """What `train_epochs` keeps of a network whose weight is the number of epochs it has had."""
    method = TopkMil(TopkParams())
    context = Context(geometry=None, folder=tmp_path, ledger=Ledger(), reporter=reporter or Reporter()).bind(method)
    net = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.zeros_(net.weight)
    done = []

    def train(epoch):
        done.append(epoch)
        with torch.no_grad():
            net.weight.add_(1)
        return 0.0

    def validate_now():
        correct = scores[done[-1]]
        return np.array([0.9, 0.9 if correct else 0.1], np.float32)

    plan = Plan("t", len(scores), train, "lr", validate_now if validate else None, np.array([True, False]), every)
    optimiser = torch.optim.SGD(net.parameters(), 0.1)
    kept = context.stage("t", lambda: train_epochs(net, optimiser, plan, context))
    return kept["epoch"], kept["net"]["weight"].item()


def test_the_later_of_equally_good_epochs_is_kept(tmp_path):
    good, bad = False, True  # a negative unit called positive is an error
    assert epochs_of([bad, good, good, bad], tmp_path / "a") == (2, 3.0)
    assert epochs_of([good, bad, bad, bad], tmp_path / "b", every=3) == (3, 4.0), "looked at: epochs 2 and 3, the last"
    assert epochs_of([good, bad, bad, bad], tmp_path / "c", validate=False) == (3, 4.0)


def test_a_loss_that_is_no_number_is_refused(camelyon, tmp_path, monkeypatch):
    monkeypatch.setattr(topk_tiles, "weighted_loss", lambda logits, labels, weight: logits.sum() * float("nan"))
    with pytest.raises(ConfigError, match="tiles: the loss became nan in epoch 0") as caught:
        trained(TopkMil, camelyon, tmp_path)
    assert "--set lr=" in caught.value.fix


@pytest.mark.parametrize("rnn", [False, True])
def test_a_run_killed_after_any_epoch_ends_in_the_same_bits(camelyon, tmp_path, rnn):
    whole, validation = Reporter(), some(camelyon, Split.TEST)
    changes = {"rnn": rnn, "epochs": 3, "validation": validation}
    method, _, ledger = trained(TopkMil, camelyon, tmp_path / "whole", reporter=whole, **changes)
    expected = flat(method.state())
    later = [n for n, (name, _, epoch) in enumerate(whole.history, 1) if name.endswith("/loss") and epoch]
    assert len(later) == (3 if rnn else 2)
    for moment in later:
        folder, reporter = tmp_path / str(moment), Reporter()
        with pytest.raises(KeyboardInterrupt):
            trained(TopkMil, camelyon, folder, reporter=Reporter(moment), **changes)
        again, _, counted = trained(TopkMil, camelyon, folder, reporter=reporter, **changes)
        assert flat(again.state()) == expected
        assert reporter.history == whole.history and counted.totals() == ledger.totals()
        assert any("resumed from its checkpoint" in text for text in reporter.said)


def test_a_finished_epoch_is_not_trained_again(camelyon, tmp_path, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        trained(TopkMil, camelyon, tmp_path, reporter=Reporter(5), epochs=3)  # training score and loss of each epoch
    seen, real = [], topk_epochs.seed_torch
    monkeypatch.setattr(topk_epochs, "seed_torch", lambda context, *axes: (seen.append(axes), real(context, *axes)))
    trained(TopkMil, camelyon, tmp_path, epochs=3)
    assert seen == [("tiles", 2)]


def test_tiles_are_not_searched_where_all_of_them_are_top_tiles(camelyon, tmp_path):
    reporter = Reporter()
    trained(TopkMil, camelyon, tmp_path, reporter=reporter, top_tiles=10_000)
    assert len(reporter.values("tiles/loss")) == 2 and not reporter.values("tiles/training_score")


def test_stages_are_reused_and_the_recurrent_ones_come_after(camelyon, tmp_path):
    first, _, _ = trained(TopkMil, camelyon, tmp_path)
    _, context, _ = trained(TopkMil, camelyon, tmp_path, rnn=True)
    assert [(record.name, record.reused) for record in context.records] == [
        ("tiles", True),
        ("sequences", False),
        ("rnn", False),
    ]
    _, context, _ = trained(TopkMil, camelyon, tmp_path, top_tiles=2)
    assert not context.records[0].reused
    assert first.state()["rnn"] is None


@pytest.mark.parametrize(("label", "missing"), [(1, "negative"), (0, "positive")])
def test_units_of_one_class_only_are_refused(camelyon, tmp_path, label, missing):
    with pytest.raises(DataError, match=f"none of the 1 training units is {missing}"):
        trained(TopkMil, camelyon, tmp_path, slides=some(camelyon, Split.TRAIN, (label,)))


def test_without_telling_validation_the_last_epoch_is_kept_and_said(camelyon, tmp_path):
    reporter = Reporter()
    method, _, _ = trained(TopkMil, camelyon, tmp_path / "none", reporter=reporter)
    assert "top-k MIL keeps its last epoch: there are no validation units" in reporter.said
    assert method.state()["tiles"]["epoch"] == 1
    reporter = Reporter()
    trained(TopkMil, camelyon, tmp_path / "one", reporter=reporter, validation=some(camelyon, Split.TEST, (1,)))
    assert "top-k MIL keeps its last epoch: all 1 validation units are positive" in reporter.said
    assert not reporter.values("tiles/validation_score")


def blank(slide, folder):
    path = folder / "blank.tif"
    write_pyramid(path, [np.full((1536, 1536, 3), 242, np.uint8)], (1536, 1536), mpp=0.62)
    return replace(slide, id="blank", path=path)


@pytest.mark.parametrize(("rnn", "rate"), [(False, 1.0), (True, 1.0), (True, 0.0)])
def test_units_without_tissue_score_0_and_say_so(camelyon, tmp_path, rnn, rate):
    method, context, _ = trained(TopkMil, camelyon, tmp_path / "stages", rnn=rnn, encoder_rate=rate)
    slide = camelyon.slides(Split.TEST)[0]
    found = predicted(method, camelyon, context, slide)
    assert not found.notes and 0 < found.units[0, 0] < 1
    if not rnn:
        assert found.units[0, 0] == np.nanmax(found.scores.values)
    nothing = predicted(method, camelyon, context, blank(slide, tmp_path))
    assert nothing.units.tolist() == [[0.0]] and np.isnan(nothing.scores.values).all()
    assert nothing.notes == ("no tissue patch in 1 of 1 units: scored 0",)


class Blanked:
    """A dataset with one more training slide, of glass alone."""

    def __init__(self, dataset, label):
        self._dataset, self._label = dataset, label

    def unit_labels(self, slide):
        return np.array([[self._label]], np.int8) if slide.id == "blank" else self._dataset.unit_labels(slide)

    def __getattr__(self, name):
        return getattr(self._dataset, name)


def test_a_training_unit_without_tissue_teaches_nothing(camelyon, tmp_path):
    positive, negative = (some(camelyon, Split.TRAIN, (label,))[0] for label in (1, 0))
    glass = blank(negative, tmp_path)
    source = Blanked(camelyon, 0)
    slides, validation = [positive, negative, glass], [positive, glass]
    trained(TopkMil, source, tmp_path / "three", slides=slides, validation=validation, rnn=True)
    with pytest.raises(DataError, match="none of the 1 negative training units holds a tissue tile"):
        trained(TopkMil, source, tmp_path / "two", slides=[positive, glass])


def tiles_of(dataset, folder, room):
    context = Context(geometry=dataset, folder=folder, ledger=Ledger())
    params = resolve(TopkMil, "smoke")
    slides = dataset.slides(Split.TRAIN)[:2]
    view = View(slides, Labels(dataset, slides, [Supervision.IMAGE], Ledger()))
    return Tiles(Cohort.of(view, params, context, room=room), room)


def test_tiles_in_memory_and_from_files_are_the_same(camelyon, tmp_path):
    files, memory = (tiles_of(camelyon, tmp_path, room) for room in (0, 2**30))
    for _ in range(2):
        for place in range(2):
            streamed = [list(tiles.stream(place, 7)) for tiles in (files, memory)]
            assert len(streamed[0]) == len(streamed[1]) > 1
            for left, right in zip(*streamed, strict=True):
                np.testing.assert_array_equal(left, right)
    assert files.held == 0 and memory.held == sum(memory.bytes_of(place) for place in range(2)) < 2**30
    lines = np.array([len(files) - 1, 0, 5])
    np.testing.assert_array_equal(files.read(lines), memory.read(lines))


def test_memory_is_bounded(camelyon, tmp_path):
    room = tiles_of(camelyon, tmp_path, 0).bytes_of(1)
    tiles = tiles_of(camelyon, tmp_path, room)
    for place in range(2):
        list(tiles.stream(place, 64))
    assert 0 < tiles.held <= room and tiles.room_left == room - tiles.held


def test_the_cache_changes_no_bit(camelyon, tmp_path):
    whole, streamed = (trained(TopkMil, camelyon, tmp_path / str(room), crop_cache=room)[0] for room in (1.0, 0.0))
    assert flat(whole.state()) == flat(streamed.state())


def test_every_tile_of_a_unit_is_addressed_once(glas, tmp_path):
    tiles = tiles_of(glas, tmp_path, 0)
    units = tiles.cohort.units
    assert len(units) > 2 and np.unique(tiles.owners).size == len(units)
    for number, unit in enumerate(units):
        lines = np.flatnonzero(tiles.owners == number)
        assert (tiles.slides[lines] == unit.slide).all() and lines.size == unit.numbers.size
        lattice = tiles.cohort.lattices[unit.slide]
        assert lattice.numbers[tiles.entries[lines]].tolist() == unit.numbers.tolist()
    line = int(np.flatnonzero(tiles.slides == 1)[3])
    number = int(tiles.cohort.lattices[1].numbers[tiles.entries[line]])
    np.testing.assert_array_equal(tiles.read([line])[0], tiles.cohort.lattices[1].read(number))


@pytest.mark.parametrize(("rnn", "rate"), [(False, 1.0), (True, 1.0), (False, 0.0)])
def test_units_of_crops_have_scores_of_their_own(glas, tmp_path, rnn, rate):
    reporter = Reporter()
    slides, validation = (glas.slides(split)[:2] for split in (Split.TRAIN, Split.TEST))
    method, context, ledger = trained(
        *(TopkMil, glas, tmp_path),
        slides=slides,
        rnn=rnn,
        encoder_rate=rate,
        top_tiles=2,
        validation=validation,
        reporter=reporter,
    )
    slide = glas.slides(Split.TEST)[0]
    found = predicted(method, glas, context, slide)
    grid = glas.unit_grid(slide)
    assert found.units.shape == grid.shape and np.unique(found.units).size > 1
    assert found.scores.on(glas.evaluation_grid(slide)).values.shape == glas.evaluation_grid(slide).shape
    assert ledger.count(Supervision.IMAGE) == 4 and {kind for kind, _, _ in ledger.entries} == {"image"}
    assert len(reporter.values("tiles/validation_score")) == 2
    twin = TopkMil(resolve(TopkMil, "smoke", {"rnn": rnn, "top_tiles": 2, "encoder_rate": rate}))
    twin.restore(method.state(), context)
    again = predicted(twin, glas, context, slide)
    np.testing.assert_array_equal(again.scores.values, found.scores.values)
    np.testing.assert_array_equal(again.units, found.units)


@pytest.mark.parametrize("scaling", ["encoder", "released"])
def test_a_frozen_encoder_sees_every_tile_once(camelyon, tmp_path, monkeypatch, scaling):
    """Its score is that of the whole network on the tile's pixels, and another training encodes nothing again."""
    seen, real = [], FrozenEncoder.__call__
    monkeypatch.setattr(
        FrozenEncoder, "__call__", lambda self, pixels: (seen.append(len(pixels)), real(self, pixels))[1]
    )
    changes = {"encoder_rate": 0.0, "epochs": 3, "rnn": True, "scaling": scaling}
    slides = some(camelyon, Split.TRAIN, (0, 1))
    method, context, _ = trained(TopkMil, camelyon, tmp_path, slides=slides, **changes)
    assert "encoder test_resnet: random weights, frozen" in context.reporter.said
    slide = camelyon.slides(Split.TEST)[0]
    found = predicted(method, camelyon, context, slide)
    side = method.state()["side"]
    lattices = [lattice_of(each, method.params, context, side) for each in (*slides, slide)]
    once = sum(lattice.numbers.size for lattice in lattices)
    assert sum(seen) == once
    twin, _, _ = trained(TopkMil, camelyon, tmp_path, slides=slides, **changes | {"lr": 0.02})
    assert sum(seen) == once and flat(twin.state()) != flat(method.state())

    net = create_encoder("test_resnet", pretrained=False, weights=None, side=side).module
    head = method.state()["tiles"]["net"]
    net.append(torch.nn.Linear(head["weight"].shape[1], 2))
    net[-1].load_state_dict(head)
    pixels = next(pixels for _, pixels in lattices[-1].stream(10_000))
    with torch.inference_mode():
        expected = probability(net.eval()(scaled(pixels, method.params, "cpu")))
    np.testing.assert_allclose(found.scores.values.ravel()[lattices[-1].numbers], expected, rtol=1e-5)


def test_it_learns_what_a_tile_shows(tmp_path):
    """Positive units hold one dark tile among light ones; the labels are those of units alone."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(150, 200, (8, 6, 32, 32, 3)).astype(np.uint8)
    labels = np.arange(8) % 2 == 1
    pixels[labels, 3] //= 3
    units = [SimpleNamespace(positive=bool(label)) for label in labels]
    cohort = SimpleNamespace(units=units, lattices=[None] * 8)

    class Painted:
        def __init__(self):
            self.cohort, self.owners = cohort, np.repeat(np.arange(8), 6)
            self.slides, self.entries = self.owners, np.tile(np.arange(6), 8)

        def stream(self, place, batch):
            yield pixels[place]

        def read(self, lines):
            return pixels.reshape(-1, 32, 32, 3)[lines]

    params = resolve(TopkMil, "smoke", {"epochs": 25, "lr": 1e-2})
    method, reporter = TopkMil(params), Reporter()
    context = Context(geometry=None, folder=tmp_path, ledger=Ledger(), reporter=reporter).bind(method)
    state = context.stage("tiles", lambda: topk_tiles.train_tiles(Painted(), Painted(), params, context))
    model = TileModel.of(state["net"], params, "cpu")
    found = np.array([model.probabilities(part).max() for part in pixels])
    assert score_of(found, labels) == max(reporter.values("tiles/validation_score")) == 1.0
    assert all(model.probabilities(part).argmax() == 3 for part in pixels[labels]), "the dark tile is the top one"


def test_presets_and_parameters():
    assert TopkMil.presets["paper"] == {}
    for preset in TopkMil.presets:
        resolve(TopkMil, preset)
    defaults = TopkParams()
    assert (defaults.patch, defaults.overlap, defaults.mpp, defaults.top_tiles) == (224, 0, 0.5, 1)
    for wrong in ({"top_tiles": 0}, {"class_weight": 1.0}, {"overlap": 224}, {"batch": 1}, {"patch": 100}):
        with pytest.raises(ValidationError):
            TopkParams(**wrong)
