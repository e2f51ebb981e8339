"""ItS2CLR and HNM whole: rounds, the gate, what is flagged, bad input, memory, and a run that is killed."""

import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from fitting import predicted, some, trained
from pydantic import ValidationError

from benchmark.config import resolve
from benchmark.dataset import Split
from benchmark.errors import ConfigError, DataError
from benchmark.learning.encoders.catalogue.simclr import SimclrResnet18
from benchmark.learning.encoders.kept import chosen, entries
from benchmark.methods.mil import round_network
from benchmark.methods.mil.finetuning_params import HnmParams, Its2clrParams
from benchmark.methods.mil.hnm import Hnm
from benchmark.methods.mil.instances import Instances, SlidePatches
from benchmark.methods.mil.its2clr import Its2clr
from benchmark.registry import datasets
from benchmark.slides import Grid, Slide, stream_patches, write_pyramid
from benchmark.testing.datasets import shared_miniature

SIDE = 64


@pytest.fixture(scope="module")
def glas(tmp_path_factory):
    return shared_miniature(datasets().load("glas"), tmp_path_factory)


@pytest.fixture(scope="module")
def camelyon(tmp_path_factory):
    return shared_miniature(datasets().load("camelyon16"), tmp_path_factory)


@pytest.fixture
def retrained(monkeypatch):
    """Let a test see and change what each retraining leaves: `retrained(lambda number, result: …)`."""

    def change(function):
        train = round_network.train_network

        def changed(number, *args, **keywords):
            return function(number, train(number, *args, **keywords))

        monkeypatch.setattr(round_network, "train_network", changed)

    return change


def with_figures(*figures):
    return lambda number, result: {**result, "figure": figures[number]}


def test_retraining_follows_every_fifth_epoch_and_the_last():
    assert Hnm(HnmParams())._last_epochs() == [*range(5, 100, 5), 99]
    assert Hnm(HnmParams(retrain_every=1, epochs=6))._last_epochs() == [1, 2, 3, 4, 5]
    assert Its2clr(Its2clrParams(epochs=1, warmup=0))._last_epochs() == [0]


def test_where_the_two_methods_differ():
    its2clr, hnm = Its2clr(Its2clrParams()), Hnm(HnmParams())
    assert (its2clr.negative_share(), hnm.negative_share()) == (1.0, 0.2)
    plain, ranked = its2clr.mil_settings(0), hnm.mil_settings(0)
    assert (plain.paired, plain.rank_weight, ranked.paired) == (False, 0.0, True)
    assert (ranked.rank_weight, ranked.rank_k, ranked.margin, ranked.rank_score) == (0.1, 10, 1.0, "logit")
    for settings in (plain, ranked):
        assert (settings.bag_weight, settings.max_weight, settings.balance) == (0.5, 0.5, True)
        assert (settings.epochs, settings.extract, settings.lr) == (350, (199,), 2e-4)
    single = Hnm(HnmParams(rank_weight=0.0)).mil_settings(0)
    assert not single.paired, "without the ranking loss single bags are learnt from, as in ItS2CLR"


def test_shares_of_an_epoch_are_those_set_when_the_one_before_ended():
    scores, positive = np.linspace(0.31, 0.99, 100), np.ones(100, np.bool_)
    method = Hnm(HnmParams())
    sizes = {epoch: method.pools(epoch, scores, positive).surest.size for epoch in (0, 6, 7, 51, 99)}
    assert sizes == {0: 20, 6: 20, 7: 21, 51: 48, 99: 78}


def test_uncertain_instances_join_for_good_after_an_accepted_update():
    scores, positive = np.array([0.1, 0.2, 0.9, 0.5]), np.array([True, True, True, False])
    masked = Hnm(HnmParams())
    assert masked.pools(0, scores, positive).augmented.tolist() == [3]
    assert masked.pools(0, scores, positive, updated=True).augmented.tolist() == [0, 3]
    assert masked.pools(0, scores, positive, updated=True).negative.tolist() == [3]
    assert Its2clr(Its2clrParams()).pools(0, scores, positive).negative.tolist() == [0, 3]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"warmup": 100}, "warmup = 100 must be less than epochs = 100"),
        ({"last_share": 0.1}, "last_share = 0.1 must not be less"),
        ({"extract_epoch": 350}, "extract_epoch = 350 must be less than mil_epochs = 350"),
        ({"batch": 30}, "query_share = 0.05 leaves 1 of batch = 30"),
        ({"neg_ratio": 0.0}, "greater than 0"),
        ({"threshold": 1.0}, "less than 1"),
        ({"temperature": 0.0}, "greater than 0"),
        ({"rank_k": 0}, "greater than or equal to 1"),
    ],
)
def test_impossible_parameters(changes, words):
    with pytest.raises(ValidationError, match=words):
        HnmParams(**changes)


def test_the_accepted_round_predicts_and_its_scores_make_the_pools(glas, tmp_path, retrained):
    seen = {}
    retrained(lambda number, result: seen.setdefault(number, {**result, "figure": (0.5, 0.5, 0.4)[number]}))
    method, context, _ = trained(Hnm, glas, tmp_path, validation=some(glas, Split.VALIDATION), epochs=3)
    state = method.state()
    assert state["round"] == 1, "as good as before is good enough, worse is not"
    torch.testing.assert_close(state["network"]["bag.weight"], seen[1]["network"]["bag.weight"])
    assert context.reporter.values("rounds/accepted") == [1.0, 0.0]
    assert context.reporter.values("rounds/validation_f1") == [0.5, 0.5, 0.4]
    assert not [note for note in state["notes"] if "reached" in note or "accepted" in note]
    names = [record.name for record in context.records]
    assert names == ["encoder_0", "mil_0", "encoder_1", "mil_1", "encoder_2", "mil_2"]
    assert context.reporter.values("pools/augmented")[0] == context.reporter.values("pools/hard")[0]
    assert context.reporter.values("pools/augmented")[2] >= context.reporter.values("pools/hard")[2]


def test_fine_tuning_changes_the_encoder_and_every_rounds_features_are_kept(glas, tmp_path, retrained):
    retrained(with_figures(0.1, 0.2, 0.3))
    method, context, _ = trained(Its2clr, glas, tmp_path, validation=some(glas, Split.VALIDATION), epochs=3)
    kept = entries(context.features.folder)
    assert {entry.encoder for entry in kept} == {"test_resnet", "test_resnet:fine-tuned"}
    slides = {entry.slide for entry in kept}
    assert len(kept) == 3 * len(slides), "one entry a slide and round"
    predicted(method, glas, context, some(glas, Split.TEST, labels=(1,))[0])
    assert len(entries(context.features.folder)) == len(kept) + 1, "test slides: only the round that predicts"
    assert chosen(kept, encoder="test_resnet:fine-tuned") == [e for e in kept if e.encoder.endswith(":fine-tuned")]


def test_no_accepted_update_in_any_round(glas, tmp_path, retrained):
    retrained(with_figures(0.9, 0.1, 0.2))
    method, context, _ = trained(Hnm, glas, tmp_path, validation=some(glas, Split.VALIDATION), epochs=3)
    assert method.state()["round"] == 0
    assert context.reporter.values("rounds/accepted") == [0.0, 0.0]
    prediction = predicted(method, glas, context, some(glas, Split.TEST)[0])
    assert prediction.notes[0] == "none of 2 rounds reached the validation F1 of the encoder's start, which predicts"
    start = context.stage("encoder_0", lambda: 0, uses=start_fields())
    for name, tensor in method.state()["encoder"].items():
        torch.testing.assert_close(tensor, start["encoder"][name])


def start_fields():
    from benchmark.methods.mil.finetuning_params import START_FIELDS

    return START_FIELDS


def test_without_validation_slides_every_round_is_accepted_and_that_is_told(glas, tmp_path):
    method, context, _ = trained(Hnm, glas, tmp_path)
    assert method.state()["round"] == 1
    notes = predicted(method, glas, context, some(glas, Split.TEST)[0]).notes
    assert notes[0] == "there are no validation slides: every round was accepted, and the last one predicts"


def test_an_encoder_tuned_on_validation_slides_is_flagged(glas, tmp_path):
    method, context, _ = trained(
        Hnm, glas, tmp_path, validation=some(glas, Split.VALIDATION), encoder_slides="train+validation"
    )
    notes = predicted(method, glas, context, some(glas, Split.TEST)[0]).notes
    assert "the encoder was fine-tuned on validation slides: figures and thresholds there are too good" in notes
    both = context.reporter.values("pools/hard")[0]
    honest, own, _ = trained(Hnm, glas, tmp_path, validation=some(glas, Split.VALIDATION))
    assert not [record.name for record in own.records if record.reused], "not even the encoder that both start from"
    assert own.reporter.values("pools/hard")[0] < both
    assert not any("validation slides: figures" in note for note in honest.state()["notes"])


@pytest.mark.parametrize("ties", ["inclusive", "cap"])
def test_ties_that_select_everything_are_flagged(camelyon, tmp_path, retrained, ties):
    retrained(lambda number, result: {**result, "scores": np.full_like(result["scores"], 0.5)})
    method, context, _ = trained(Hnm, camelyon, tmp_path, ties=ties, neg_ratio=0.2, update_labels=False)
    told = [note for note in method.state()["notes"] if "ties" in note]
    size = context.reporter.values("pools/hard")[0]
    if ties == "cap":
        assert not told
    else:
        assert told == [
            f"round 1: ties select {size:.0f} of {size:.0f} negatives where the share is 0.2; ties=cap takes no more"
        ]


def test_scores_that_leave_no_pseudo_positive_are_not_taken_over(glas, tmp_path, retrained):
    def nothing(number, result):
        return {**result, "figure": 0.5, "scores": result["scores"] * (0.0 if number else 1.0)}

    retrained(nothing)
    method, context, _ = trained(Hnm, glas, tmp_path, validation=some(glas, Split.VALIDATION), epochs=3)
    assert any("no instance of a positive slide scores above" in note for note in method.state()["notes"])
    assert context.reporter.values("pools/positive")[2] == context.reporter.values("pools/positive")[0] > 0


@pytest.mark.parametrize(("ema", "told"), [(True, False), (False, True)])
def test_moving_average_of_scores(glas, tmp_path, retrained, ema, told):
    def scored(number, result):
        return {**result, "figure": 0.5, "scores": np.full_like(result["scores"], (0.9, 0.2)[number])}

    retrained(scored)
    method, _, _ = trained(Hnm, glas, tmp_path, validation=some(glas, Split.VALIDATION), ema=ema, threshold=0.4)
    notes = [note for note in method.state()["notes"] if "above the threshold" in note]
    assert bool(notes) is told, "0.3 · 0.9 + 0.7 · 0.2 = 0.41 is above 0.4, 0.2 is not"


def test_pools_smaller_than_their_share_of_a_batch_are_flagged(glas, tmp_path):
    method, context, _ = trained(Hnm, glas, tmp_path, batch=20, positive_share=0.9, query_share=0.9)
    size = int(context.reporter.values("pools/surest")[0])
    assert size < 18
    told = f"round 1: {size} surest pseudo-positive instances fill 18 places of a batch by repetition"
    assert told in method.state()["notes"]


def test_no_pseudo_positive_at_all(glas, tmp_path, retrained):
    retrained(lambda number, result: {**result, "scores": result["scores"] * 0})
    with pytest.raises(DataError, match="no instance of a positive slide scores above the threshold"):
        trained(Hnm, glas, tmp_path)


def test_fewer_negatives_than_a_batch(glas, tmp_path):
    with pytest.raises(DataError, match="do not fill the 200 of one batch") as raised:
        trained(Hnm, glas, tmp_path, batch=400)
    assert "batch" in raised.value.fix


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_only(camelyon, tmp_path, label):
    slides = some(camelyon, labels=(label,))
    with pytest.raises(DataError, match="none of the 1 training units is"):
        trained(Its2clr, camelyon, tmp_path, slides=slides)


def test_validation_slides_of_one_class(camelyon, tmp_path):
    method, _, _ = trained(Hnm, camelyon, tmp_path, validation=some(camelyon, Split.VALIDATION, labels=(1,)))
    told = "validation slides are of one class: every round was accepted, and the last one predicts"
    assert told in method.state()["notes"]


@pytest.mark.parametrize("kind", [Its2clr, Hnm])
def test_slides_of_glass(camelyon, tmp_path, monkeypatch, kind):
    """One among the training slides adds nothing; one that is scored has 0, which its note says."""
    slides, tissue = some(camelyon), camelyon.tissue
    glass = next(slide for slide in camelyon.slides(Split.TRAIN) if slide not in slides)
    alone, _, _ = trained(kind, camelyon, tmp_path / "alone", slides=slides)
    monkeypatch.setattr(
        camelyon,
        "tissue",
        lambda slide, grid: np.zeros(grid.shape, np.bool_) if slide.id == glass.id else tissue(slide, grid),
    )
    method, context, _ = trained(kind, camelyon, tmp_path / "glass", slides=[*slides, glass])
    for name, tensor in alone.state()["network"].items():
        torch.testing.assert_close(method.state()["network"][name], tensor, rtol=0, atol=0)
    prediction = predicted(method, camelyon, context, glass)
    assert prediction.units.tolist() == [[0.0]] and np.isnan(prediction.scores.values).all()
    assert prediction.notes[0] == "no tissue patch in 1 of 1 units: scored 0"


def test_features_that_are_not_finite(glas, tmp_path, monkeypatch):
    from benchmark.learning.encoders.frozen import FrozenEncoder

    call = FrozenEncoder.__call__
    monkeypatch.setattr(FrozenEncoder, "__call__", lambda self, pixels: call(self, pixels) * float("nan"))
    with pytest.raises(DataError, match="features by test_resnet are not finite"):
        trained(Its2clr, glas, tmp_path)


def test_a_start_trained_without_labels(glas, tmp_path):
    method, context, _ = trained(
        Hnm, glas, tmp_path, encoder_training="self-supervised", encoder_steps=2, encoder_batch=8, encoder_patches=12
    )
    assert {entry.encoder for entry in entries(context.features.folder)} == {
        "test_resnet:self-supervised",
        "test_resnet:fine-tuned",
    }
    assert method.state()["round"] == 1


def test_only_the_last_stages_are_tuned(glas, tmp_path, retrained):
    validation, figures = some(glas, Split.VALIDATION), [0.5, 0.1]
    retrained(lambda number, result: {**result, "figure": figures[number]})
    options = {"validation": validation, "tuned_stages": 2}
    start = trained(Its2clr, glas, tmp_path / "refused", **options)[0].state()
    figures.reverse()
    tuned = trained(Its2clr, glas, tmp_path / "accepted", **options)[0].state()
    assert (start["round"], tuned["round"]) == (0, 1)
    kept = {name for name, weight in start["encoder"].items() if torch.equal(weight, tuned["encoder"][name])}
    last = ("layer3.", "layer4.")
    assert {name for name in tuned["encoder"] if not name.startswith(last)} <= kept
    assert not [name for name in kept if name.startswith(last) and "conv" in name]


def test_more_stages_than_there_are(glas, tmp_path):
    with pytest.raises(ConfigError, match="has 5 groups of layers, and tuned_stages = 6"):
        trained(Its2clr, glas, tmp_path, tuned_stages=6)


def test_quick_and_paper_are_legal():
    for kind in (Hnm, Its2clr):
        assert resolve(kind, "quick").encoder == "imagenet-lite0"
        assert resolve(kind, "paper").encoder == "simclr-resnet18"


@pytest.fixture(scope="module")
def tiles(tmp_path_factory):
    """A slide of 6 × 8 patches of 40 px, of which half are instances."""
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    pixels = np.random.default_rng(0).integers(0, 256, (240, 320, 3), np.uint8)
    write_pyramid(path, iter([pixels]), (320, 240), mpp=0.5)
    slide = Slide("slide", path, "p", 0.5)
    grid = Grid.windows(slide.size, 40, 40)
    where = np.random.default_rng(1).random(grid.shape) < 0.5
    return SlidePatches(slide, grid, where, np.zeros(int(where.sum()), np.bool_))


def test_instances_are_read_with_the_bits_that_an_encoder_sees(tiles):
    streamed = np.concatenate(
        [b.pixels for b in stream_patches(tiles.slide, tiles.grid, tiles.where, side=32, interpolation="bicubic")]
    )
    instances = Instances([tiles, tiles], 32, room=0.0, interpolation="bicubic")
    n = len(streamed)
    assert len(instances) == 2 * n
    order = np.random.default_rng(2).permutation(2 * n)
    read = np.concatenate(list(instances.batches(np.array_split(order, 5))))
    np.testing.assert_array_equal(read, streamed[order % n])


def test_no_more_patches_are_kept_than_there_is_room(tiles):
    size = 3 * 32 * 32
    for room, kept in ((0, 0), (5 * size, 5), (1e9, 2 * int(tiles.where.sum()))):
        instances = Instances([tiles, tiles], 32, room=room)
        for _ in instances.batches(np.arange(len(instances)).reshape(2, -1)):
            pass
        assert instances.held <= (kept + 16) * size, "threads may each be one over"
        assert instances.held >= kept * size


def test_batches_are_read_one_ahead_and_no_further(tiles):
    instances = Instances([tiles], 32, room=0.0)
    asked = []

    def wanted():
        for number in range(10):
            asked.append(number)
            yield np.array([number, number + 1])

    batches = instances.batches(wanted())
    next(batches)
    assert asked == [0, 1]
    next(batches)
    assert asked == [0, 1, 2]
    batches.close()


def test_the_encoder_of_the_papers(tmp_path):
    network = SimclrResnet18.bare(SIDE)
    assert sum(parameter.numel() for parameter in network.parameters()) == 11_166_912
    assert not list(network.buffers())
    images = torch.rand(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        torch.testing.assert_close(network.train()(images), network.eval()(images))
    names = {place: layer for layer, place in (("0", "conv1"), ("4", "layer1"), ("5", "layer2"))}
    names |= {"layer3": "6", "layer4": "7"}
    released = {}
    for name, tensor in network.state_dict().items():
        first, _, rest = name.partition(".")
        released[f"features.{names[first]}.{rest}"] = tensor
    released |= {"l1.weight": torch.zeros(512, 512), "l2.bias": torch.zeros(256)}
    torch.save(released, tmp_path / "simclr.pth")
    loaded = SimclrResnet18.build(side=SIDE, weights=tmp_path / "simclr.pth")
    with torch.inference_mode():
        torch.testing.assert_close(loaded(images), network(images))
    with pytest.raises(ConfigError, match="at least 64 px, got 32"):
        SimclrResnet18.bare(32)


SCRIPT = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from fitting import predicted, some, trained
from benchmark.dataset import Split
from benchmark.methods.mil.hnm import Hnm
from benchmark.registry import datasets
from benchmark.running.device import prepare
from benchmark.stages import Checkpoint
import numpy as np

prepare("cpu", 0)
kind = datasets().load("glas")
dataset = kind(Path({root!r}), kind.Options())
left, save = {kills}, Checkpoint.save

def dying(self, state):
    global left
    save(self, state)
    left -= self._record.name == "encoder_1"
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoint.save = dying
validation = some(dataset, Split.VALIDATION)
method, context, _ = trained(Hnm, dataset, Path({folder!r}), validation=validation, save_every=1, epochs=3,
                           neg_ratio=1.0)
slide = some(dataset, Split.TEST)[0]
history = [list(line) for line in context.reporter.history]
np.savez(sys.argv[1], scores=predicted(method, dataset, context, slide).scores.values, history=str(history),
         **{{name: value for name, value in method.state()["encoder"].items()}})
"""


def test_a_run_that_is_killed_in_the_middle_of_an_epoch_ends_with_the_same_figures(glas, tmp_path, repository):
    def run(name, kills):
        folder, out = tmp_path / name, tmp_path / f"{name}.npz"
        text = SCRIPT.format(
            tests=str(repository / "tests"), root=str(glas.root), folder=str(folder), kills=kills, everywhere=False
        )
        script = tmp_path / "script.py"
        script.write_text(textwrap.dedent(text))
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        command = [sys.executable, str(script), str(out)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
        return done, out

    done, whole = run("peace", 0)
    assert done.returncode == 0, done.stderr
    for kills in (1, 3):
        done, _ = run("trouble", kills)
        assert done.returncode == -signal.SIGKILL, done.stderr
    done, resumed = run("trouble", 0)
    assert done.returncode == 0, done.stderr
    with np.load(whole) as first, np.load(resumed) as second:
        assert first.files == second.files
        for name in first.files:
            np.testing.assert_array_equal(first[name], second[name], err_msg=name)
