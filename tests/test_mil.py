"""Bags, poolings, losses and the loop of multiple-instance learning; the numbers are those of the sources' own code."""

import copy
import math
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from fitting import Reporter, predicted, some, trained

from benchmark.context import Context
from benchmark.dataset import Split
from benchmark.errors import ConfigError, DataError
from benchmark.learning.mil import bags as bags_module
from benchmark.learning.mil.bags import Bag
from benchmark.learning.mil.clam_pooling import ClamPooling
from benchmark.learning.mil.dsmil_pooling import DsmilPooling, RepositoryDsmilPooling
from benchmark.learning.mil.lattice import Lattice
from benchmark.learning.mil.mil_losses import bag_loss, ranking_loss, smooth_svm
from benchmark.learning.mil.mil_training import MilSettings, rate_at, score_bag, step_loss, steps_of, train_mil
from benchmark.learning.mil.pooling import AttentionPooling, MaxPooling, Pooled
from benchmark.learning.mil.ppeg import Ppeg
from benchmark.learning.mil.transmil_pooling import NystromAttention, pseudo_inverse
from benchmark.registry import datasets, methods
from benchmark.slides import Grid
from benchmark.supervision import Ledger

POSITIVE, NEGATIVE = torch.tensor([2.0, -1.0, 0.5, 1.5, -3.0]), torch.tensor([0.8, -2.0, -0.4, 1.1])


def test_dsmil_toy():
    net = DsmilPooling(2, query=2)
    tensors = {
        "instance": ([[1.0, -0.5]], [0.1]),
        "projection": ([[1.0, 0.0], [0.5, 1.0]], [0.0, -0.2]),
        "query": ([[0.5, 0.5], [-1.0, 1.0]], [0.1, 0.0]),
        "value": ([[1.0, 1.0], [0.0, 2.0]], [0.0, 0.5]),
        "bag": ([[0.3, -0.7]], [0.05]),
    }
    net.load_state_dict(
        {f"{k}.{n}": torch.tensor(v[i]) for k, v in tensors.items() for i, n in enumerate(("weight", "bias"))}
    )
    pooled = net.eval()(torch.tensor([[1.0, 2.0], [0.5, -1.0], [3.0, 1.0]]))
    assert pooled.instance_logits.tolist() == pytest.approx([0.1, 1.1, 2.6])
    assert pooled.attention.tolist() == pytest.approx([0.244470, 0.281610, 0.473920], abs=1e-6)
    assert float(pooled.logit.detach()) == pytest.approx(-1.575416, abs=1e-6)
    assert float(torch.sigmoid(pooled.logit.detach())) == pytest.approx(0.171446, abs=1e-6)


def test_dsmil_has_the_parameters_of_the_copy():
    assert sum(p.numel() for p in DsmilPooling(512).parameters()) == 592_002
    repository = RepositoryDsmilPooling(64)
    weight = repository.query[0].weight
    assert torch.allclose(weight.T @ weight, torch.eye(64), atol=1e-5), "orthogonal start"


@pytest.mark.parametrize(
    ("kind", "k", "expected"),
    [
        *(("logit", 1, 0.1), ("logit", 2, 0.2), ("logit", 3, 1 / 6), ("logit", 4, 0.125)),
        *(("prob", 1, 0.869463), ("prob", 2, 0.870932), ("prob", 3, 0.840239), ("prob", 4, 0.842744)),
    ],
)
def test_ranking_loss(kind, k, expected):
    assert float(ranking_loss(POSITIVE, NEGATIVE, k, kind=kind)) == pytest.approx(expected, abs=1e-6)


def test_ranking_loss_is_at_rest_where_the_margin_is_kept_and_takes_what_short_bags_have():
    high, low = torch.tensor([4.0, 3.0, 2.0], requires_grad=True), torch.tensor([-1.0, -2.0, -3.0])
    loss = ranking_loss(high, low, 2)
    loss.backward()
    assert float(loss.detach()) == 0 and not high.grad.any()
    assert float(ranking_loss(high.detach(), low, 2, kind="prob")) == pytest.approx(0.226778, abs=1e-6)
    assert float(ranking_loss(POSITIVE, NEGATIVE, 10)) == pytest.approx(1 - POSITIVE.mean() + NEGATIVE.mean())


def test_ranking_loss_reaches_the_top_k_alone():
    positive = POSITIVE.clone().requires_grad_()
    ranking_loss(positive, NEGATIVE, 2).backward()
    assert positive.grad.tolist() == [-0.5, 0, 0, -0.5, 0]


def test_loss_of_a_pair():
    settings = MilSettings(bag_weight=0.5, max_weight=0.5, rank_weight=0.1, rank_k=2, paired=True)
    answers = [Pooled(torch.tensor(0.6), POSITIVE), Pooled(torch.tensor(-0.2), NEGATIVE)]
    loss = step_loss(MaxPooling(2), answers, [1, 0], settings, 1.4269663)
    assert float(loss) == pytest.approx(0.717719, abs=1e-6)
    single = [float(bag_loss(torch.tensor(z), y, 1.4269663)) for z, y in ((0.6, 1), (-0.2, 0), (2.0, 1), (1.1, 0))]
    assert single == pytest.approx([0.624281, 0.598139, 0.181122, 1.387335], abs=1e-6)


def test_learning_rate_is_stepped_twice_per_epoch():
    settings = MilSettings(lr=2e-4, epochs=350, schedule="halving")
    expected = {0: 2e-4, 37: 2e-4, 38: 1e-4, 75: 5e-5, 113: 2.5e-5, 199: 6.25e-6, 349: 3.90625e-7}
    assert {epoch: rate_at(epoch, settings) for epoch in expected} == pytest.approx(expected)


def test_pairs_leave_the_surplus_for_another_epoch():
    labels = [1] * 3 + [0] * 5
    steps = steps_of(labels, np.random.default_rng(0), paired=True)
    assert len(steps) == 3 and {labels[a] for a, _ in steps} == {1} and {labels[b] for _, b in steps} == {0}
    assert len({b for _, b in steps}) == 3
    assert sorted(steps_of(labels, np.random.default_rng(0), paired=False)) == [(n,) for n in range(8)]


def test_smooth_svm_is_that_of_two_classes():
    logits, labels = torch.tensor([[1.0, 0.5], [0.2, 2.0]]), torch.tensor([0, 1])
    expected = np.mean([math.log1p(math.exp(0.5 - 1.0 + 1)), math.log1p(math.exp(0.2 - 2.0 + 1))])
    assert float(smooth_svm(logits, labels)) == pytest.approx(expected)


def test_clam_clusters_both_ends_and_no_instance_twice():
    net = ClamPooling(4, 8, 4, cluster=8, instance_loss="ce").eval()
    assert net.own_loss(net(torch.randn(1, 4)), 1) is None
    pooled = net(torch.randn(5, 4))
    order = pooled.attention.argsort()
    ends = torch.cat([order[-2:], order[:2]])
    logits = net.clusters[1](pooled.embedded[ends])
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([1, 1, 0, 0]))
    assert float(net.own_loss(pooled, 1).detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_plain_attention_follows_its_equation():
    net = AttentionPooling(3, 4, 2, gated=False).eval()
    features = torch.randn(6, 3)
    hidden = torch.relu(features @ net.embedding[0].weight.T + net.embedding[0].bias)
    (v, v0), (w, w0) = (net.attention.tanh[0].weight, net.attention.tanh[0].bias), net.attention.weight.parameters()
    weights = torch.softmax((torch.tanh(hidden @ v.T + v0) @ w.T + w0).squeeze(1), dim=0)
    pooled = net(features)
    assert torch.allclose(pooled.attention, weights, atol=1e-6)
    alone = (hidden @ net.classifier.weight.T).squeeze(1)
    assert torch.allclose(pooled.instance_logits, 6 * weights * alone + net.classifier.bias, atol=1e-5)


def test_what_instances_add_to_an_attention_bag_is_its_logit_in_the_mean():
    """And where attention looks at what speaks against the class, an instance that it leaves alone scores higher."""
    torch.manual_seed(0)
    net = AttentionPooling(3, 4, 2)
    pooled = net(torch.randn(9, 3))
    assert float(pooled.instance_logits.mean().detach()) == pytest.approx(float(pooled.logit.detach()), abs=1e-5)
    with torch.no_grad():
        net.classifier.weight.fill_(-1.0)
        pooled = net(torch.rand(9, 3))
    assert pooled.instance_logits[pooled.attention.argmax()] < net.classifier.bias


def test_nystrom_attention_with_as_many_landmarks_as_tokens_is_exact():
    """Then the three factors are one softmax; the pseudo-inverse is an iteration, so nearly."""
    torch.manual_seed(0)
    layer = NystromAttention(8, 2, 64, 0.0).eval()
    tokens = torch.randn(12, 8)
    torch.nn.init.zeros_(layer.residual)
    query, key, value = (part.view(12, 2, 4).transpose(0, 1) for part in layer.qkv(tokens).chunk(3, dim=1))
    exact = torch.softmax(query @ key.transpose(1, 2) / 2, dim=-1)
    expected = layer.output((exact @ value).transpose(0, 1).flatten(1))
    assert torch.allclose(layer(tokens), expected, atol=0.02)
    assert torch.allclose(layer.row(tokens), exact[:, 0].mean(dim=0), atol=0.02)


@pytest.mark.parametrize("size", [1, 2, 30, 300])
def test_the_first_row_is_that_of_all_rows(size):
    torch.manual_seed(0)
    layer, tokens = NystromAttention(8, 2, 16, 0.0).eval(), torch.randn(size, 8)
    assert torch.allclose(layer(tokens)[0], layer.first(tokens), atol=1e-5)


def test_gradients_through_the_landmarks():
    torch.manual_seed(0)
    layer = NystromAttention(4, 2, 3, 0.0).double()
    assert torch.autograd.gradcheck(layer, torch.randn(7, 4, dtype=torch.float64, requires_grad=True))
    assert torch.autograd.gradcheck(layer.first, torch.randn(7, 4, dtype=torch.float64, requires_grad=True))


def test_pseudo_inverse_of_a_softmax():
    matrix = torch.softmax(3 * torch.eye(5).repeat(2, 1, 1), dim=-1)
    assert torch.allclose(pseudo_inverse(matrix) @ matrix, torch.eye(5).repeat(2, 1, 1), atol=1e-2)


@pytest.mark.parametrize("block", [1, 2**19])
def test_position_by_one_convolution_is_that_by_three(block, monkeypatch):
    """Values and all gradients, whether the kernel's is summed row by row or at once."""
    monkeypatch.setattr("benchmark.learning.mil.ppeg.BLOCK", block)
    torch.manual_seed(0)
    layer, tokens = Ppeg(6).double(), torch.randn(1 + 16, 6, dtype=torch.float64, requires_grad=True)
    square = tokens[1:].T.reshape(1, 6, 4, 4)
    plain = square + sum(convolution(square) for convolution in layer.convolutions)
    expected, mixed = torch.cat([tokens[:1], plain[0].flatten(1).T]), layer(tokens, 4)
    torch.testing.assert_close(mixed, expected)
    assert torch.equal(mixed[0], tokens[0])
    learnt, outer = [tokens, *layer.parameters()], torch.randn(17, 6, dtype=torch.float64)
    gradients = [torch.autograd.grad(result, learnt, outer) for result in (mixed, expected)]
    for its, plain in zip(*gradients, strict=True):
        torch.testing.assert_close(its, plain)


# The loop


@pytest.fixture
def context(tmp_path):
    return Context(geometry=None, folder=tmp_path, ledger=Ledger(), reporter=Reporter())


def make_bag(name, label, features):
    grid = Grid.windows((64 * max(1, len(features)), 64), 64, 64)
    whole = Grid.windows((64 * max(1, len(features)), 64), 64 * max(1, len(features)), 64)
    lattice = Lattice(None, grid, 64, np.ones(grid.shape, bool), whole)
    return Bag(name, 0, 0, label, np.asarray(features, np.float32), np.arange(len(features)), lattice)


def some_bags(number=8, size=6, dim=5, seed=0):
    """Positive bags have one instance that is marked in the first feature."""
    rng = np.random.default_rng(seed)
    made = []
    for place in range(number):
        features = rng.normal(size=(size, dim))
        features[0, 0] += 6 * (place % 2)
        made.append(make_bag(f"bag-{place}", place % 2, features))
    return made


SETTINGS = MilSettings(epochs=40, lr=0.02, max_weight=0.5, bag_weight=0.5, select="auc", save_every=3)


def test_it_finds_the_marked_instance(context):
    torch.manual_seed(0)
    net = DsmilPooling(5, 8)
    fit = train_mil(net, some_bags(16), some_bags(seed=1), SETTINGS, context)
    assert fit.best("validation_auc") == 1.0
    first = next(n for n, record in enumerate(fit.history) if record["validation_auc"] == 1.0)
    assert fit.epoch == first, "the earlier one of equals"
    train_mil(net, some_bags(16), [], replace(SETTINGS, select="last"), context)
    positive = some_bags(seed=2)[1]
    scores = score_bag(net, positive, "cpu")
    assert scores.instances.argmax() == 0 and scores.probability > 0.5


def test_the_last_epoch_is_the_last_that_was_asked_for(context):
    fit = train_mil(DsmilPooling(5, 8), some_bags(4), [], replace(SETTINGS, select="last", patience=2), context)
    assert len(fit.history) == SETTINGS.epochs


def test_a_killed_training_ends_with_the_same_bits(tmp_path):
    class Kept:
        state = None

        def load(self):
            return self.state

        def save(self, state):
            self.state = copy.deepcopy(state)

    def run(reporter, checkpoint):
        context = Context(geometry=None, folder=tmp_path, ledger=Ledger(), reporter=reporter)
        torch.manual_seed(0)
        settings = MilSettings(
            epochs=9, lr=0.02, select="loss", save_every=2, optimiser="lookahead-radam", extract=(1,)
        )
        return train_mil(
            AttentionPooling(5, 4, 3, dropout=0.3),
            some_bags(),
            some_bags(seed=1),
            settings,
            context,
            checkpoint=checkpoint,
        )

    whole = run(Reporter(), None)
    kept = Kept()
    with pytest.raises(KeyboardInterrupt):
        run(Reporter(logs=30), kept)
    assert kept.state["epoch"] > 1
    resumed = run(Reporter(), kept)
    assert resumed.epoch == whole.epoch and resumed.history == whole.history
    for mine, its in ((resumed.state, whole.state), (resumed.kept[1], whole.kept[1])):
        assert all(torch.equal(mine[name], its[name]) for name in its)


def test_one_class_in_training_is_refused(context):
    with pytest.raises(DataError, match="none of the 4 training bags with tissue is positive"):
        train_mil(DsmilPooling(5), some_bags()[::2], [], SETTINGS, context)


@pytest.mark.parametrize(
    ("held_out", "said"), [([], "no validation bags"), (some_bags()[::2], "all 4 .* are negative")]
)
def test_validation_of_one_class_keeps_the_last_epoch_and_says_so(context, held_out, said):
    fit = train_mil(DsmilPooling(5, 8), some_bags(), held_out, SETTINGS, context)
    assert fit.epoch == SETTINGS.epochs - 1
    assert any(re.search(f"keeps its last epoch.*{said}", text) for text in context.reporter.said)


def test_bags_with_fewer_than_k_instances_and_empty_ones(context):
    bags = [*some_bags(size=3), make_bag("glass", 1, np.zeros((0, 5)))]
    settings = MilSettings(epochs=2, paired=True, rank_weight=0.1, rank_k=10, max_weight=0.5)
    fit = train_mil(DsmilPooling(5, 8), bags, [], settings, context)
    assert math.isfinite(fit.history[-1]["loss"])
    assert any(
        "1 of 9 training bags hold no tissue patch" in text and "glass" in text for text in context.reporter.said
    )
    with pytest.raises(DataError, match="empty bag"):
        score_bag(DsmilPooling(5), bags[-1], "cpu")


def test_features_of_another_width_are_refused(context):
    with pytest.raises(DataError, match="bag-0: its features have 5 numbers per instance, the pooling takes 6"):
        train_mil(DsmilPooling(6), some_bags(), [], SETTINGS, context)


def test_a_loss_that_is_no_number_names_the_epoch(context):
    with pytest.raises(ConfigError, match="the loss became nan in epoch 0") as refused:
        train_mil(DsmilPooling(5), some_bags(), [], MilSettings(epochs=1, max_weight=math.nan), context)
    assert "--set lr=" in refused.value.fix


# The methods


@pytest.fixture
def glas(miniatures):
    kind = datasets().load("glas")
    return kind(miniatures["glas"], kind.Options())


def test_features_stay_on_disk_and_those_that_are_no_numbers_are_refused(glas, tmp_path, monkeypatch):
    kind = methods().load("dsmil")
    method, context, _ = trained(kind, glas, tmp_path)
    slide = some(glas, Split.TEST)[0]
    encoder = method.encoder(context)
    bags = bags_module.bags_of_slide(slide, method.params, context, encoder, side=64)
    assert all(len(bag) == len(bag.features) and bag.label == -1 for bag in bags)
    lattice = bags[0].lattice
    values = context.features.of(slide, lattice.grid, lattice.tissue, encoder).values
    row = bags[-1]
    assert np.array_equal(row.features, values[np.searchsorted(lattice.numbers, row.numbers)])
    file = values.filename
    del values, bags, row
    broken = np.lib.format.open_memmap(file, mode="r+")
    broken[3, 0] = np.nan
    broken.flush()
    with pytest.raises(DataError, match="features of patch 3 by test_resnet.* are not finite") as refused:
        bags_module.bags_of_slide(slide, method.params, context, encoder, side=64)
    assert "bench cache prune --encoder test_resnet" in refused.value.fix


def test_a_restored_state_of_another_width_is_refused(glas, tmp_path):
    kind = methods().load("max-mil")
    method, context, _ = trained(kind, glas, tmp_path)
    method.restore({**method.state(), "dim": 7}, context)
    with pytest.raises(ConfigError, match="learnt from features of 7 numbers.*test_resnet"):
        predicted(method, glas, context, some(glas, Split.TEST)[0])


def test_another_score_map_trains_nothing_anew(glas, tmp_path):
    kind = methods().load("abmil")
    for choice, reused in (("instance", False), ("attention", True)):
        _, context, _ = trained(kind, glas, tmp_path, score_map=choice)
        assert [record.reused for record in context.records] == [reused]


@pytest.mark.parametrize(("name", "choice"), [("abmil", "attention"), ("abmil", "instance"), ("dsmil", "attention")])
def test_cells_are_what_the_parameter_says(glas, tmp_path, name, choice):
    method, context, _ = trained(methods().load(name), glas, tmp_path, score_map=choice)
    prediction = predicted(method, glas, context, some(glas, Split.TEST)[0])
    if choice == "attention":
        # Of every unit the most attended instance has the unit's own probability.
        assert np.nanmax(prediction.scores.values) == pytest.approx(prediction.units.max(), rel=1e-5)
    assert np.isfinite(prediction.scores.values).any()
