"""The loop step by step: what is proposed, learnt, refused, kept and resumed; the nets; cut encoders."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmark.errors import BudgetError, ConfigError, ReviewError
from benchmark.learning.encoders.cut import cut_encoder
from benchmark.methods.interactive.annotate import Annotation
from benchmark.methods.interactive.coding import Coding
from benchmark.methods.interactive.interactive_params import PRESETS, InteractiveParams
from benchmark.methods.interactive.loop import Loop, Query
from benchmark.methods.interactive.strategies import STRATEGIES
from benchmark.methods.interactive.two_nets import TwoNets

ITEMS, CLASSES = 40, 3
SETTINGS = {"sessions": 2, "rounds": 2, "reviews": 4, "epochs": 2, "lr": 1e-3}


@pytest.fixture(scope="module")
def encoder():
    return cut_encoder("test_resnet", trainable_from="layer4", pretrained=False, weights=None, side=32)


class Base:
    """Items of three kinds: noise around a map of each class's own. Item n has class n % 3."""

    def __init__(self, encoder, items=ITEMS):
        rng = np.random.default_rng(0)
        middles = rng.normal(size=(CLASSES, *encoder.shape))
        noise = rng.normal(size=(items, *encoder.shape))
        self.all = torch.from_numpy((middles[np.arange(items) % CLASSES] + 0.5 * noise).astype(np.float32))

    def __len__(self):
        return len(self.all)

    def maps(self, numbers):
        return self.all[torch.from_numpy(np.asarray(numbers))]

    @property
    def parts(self):
        return [SimpleNamespace(slide=SimpleNamespace(id="slide"), grid=None, number=len(self))]

    starts = np.zeros(1, np.int64)

    def place(self, number):
        return self.parts[0], 0, number

    def spread(self, values, missing):
        return [values]


class Answers:
    """An expert who gives so many answers and no more."""

    def __init__(self, left):
        self.left = left

    def review(self, slide, grid, row, col, share):
        if not self.left:
            raise BudgetError("the budget is spent")
        self.left -= 1
        return col % CLASSES


QUERIES = [Query(0, 0), Query(1, 1), Query(2, 2)]


def params(**changes):
    return InteractiveParams(**{**SETTINGS, **changes})


def loop_of(encoder, strategy="cnfp", items=ITEMS, queries=QUERIES, seed=0, **changes):
    given = params(**changes)
    nets = TwoNets(encoder, given, CLASSES, "cpu")
    return Loop(Base(encoder, items), queries, nets, STRATEGIES[strategy], given, seed)


def answered(loop):
    for item in loop.propose().items:
        if item not in loop.pending:
            loop.answer(item, item % CLASSES)
    return loop.update()


def ended(loop):
    rounds = []
    while not loop.finished:
        rounds.append(answered(loop))
    return rounds


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
def test_sessions_rounds_and_reviews_come_as_asked_for(encoder, strategy):
    loop = loop_of(encoder, strategy)
    rounds = ended(loop)
    assert [(done.session, done.round, done.reviews) for done in rounds] == [
        (0, 0, 4),
        (0, 1, 8),
        (1, 0, 12),
        (1, 1, 16),
    ]
    assert len(loop.reviewed) == 16 and not {0, 1, 2} & set(loop.reviewed), "queries are never reviewed"
    again = loop_of(encoder, strategy)
    ended(again)
    assert list(again.reviewed) == list(loop.reviewed)
    for left, right in zip(loop.nets.cl.parameters(), again.nets.cl.parameters(), strict=True):
        assert torch.equal(left, right)
    with pytest.raises(ReviewError, match="has finished"):
        loop.propose()


def test_published_budgets():
    paper, bach = params(**{"sessions": 80, "rounds": 5, "reviews": 10}), InteractiveParams(**PRESETS["bach"])
    assert InteractiveParams() == InteractiveParams(sessions=80, rounds=5, reviews=10)
    assert [given.sessions * given.rounds * given.reviews for given in (paper, bach)] == [4000, 250]


def test_a_loop_goes_on_after_any_answer_to_the_same_bits(encoder):
    whole = loop_of(encoder)
    ended(whole)
    loop = loop_of(encoder)
    while not loop.finished:
        for item in loop.propose().items:
            loop.answer(item, item % CLASSES)
            twin = loop_of(encoder)
            twin.restore(loop.state())
            loop = twin
        loop.update()
    assert loop.reviewed == whole.reviewed
    assert np.array_equal(loop.probabilities(), whole.probabilities())


def test_answers_that_nobody_asked_for_are_refused(encoder):
    loop = loop_of(encoder)
    with pytest.raises(ReviewError, match="item 5, which is not in the open batch"):
        loop.answer(5, 0)
    with pytest.raises(ReviewError, match="without an open batch"):
        loop.update()
    first, second = loop.propose().items[:2]
    assert loop.propose() is loop.batch, "the batch stays until the update"
    with pytest.raises(ReviewError, match="no class 3, expected 0 to 2"):
        loop.answer(first, 3)
    loop.answer(second, 1), loop.answer(first, 1)  # any order within the batch
    with pytest.raises(ReviewError, match="a second answer"):
        loop.answer(first, 2)
    assert loop.retract(first) == 1
    loop.answer(first, 2)
    with pytest.raises(ReviewError, match="2 of 4 answers are missing"):
        loop.update()
    for item in loop.propose().items[2:]:
        loop.answer(item, 0)
    loop.update()
    loop.propose()
    with pytest.raises(ReviewError, match=f"item {first}, which was reviewed before"):
        loop.answer(first, 2)
    with pytest.raises(ReviewError, match="no answer that could be taken back"):
        loop.retract(first)


def test_a_partial_round_learns_from_what_was_answered(encoder):
    loop = loop_of(encoder)
    items = loop.propose().items
    loop.answer(items[1], 1)
    loop.stop()
    assert loop.update(partial=True).reviews == 1
    assert loop.finished and list(loop.reviewed) == [items[1]] and items[0] in loop.unreviewed


def annotated(encoder, left, every, kept=None):
    """What comes of so many answers: the result, the reviews at the points of the curve, the last checkpoint."""
    points, last = [], []
    loop = loop_of(encoder, evaluate_every=every)
    context = SimpleNamespace(
        checkpoint=SimpleNamespace(load=lambda: kept, save=last.append),
        log=lambda *number: None,
        reporter=SimpleNamespace(say=print),
        appraise=lambda part, maps, reviews, **more: points.append(reviews) if part == "delivered" else None,
    )
    coding = Coding(CRC, None, (0, 1, 2))
    slide = SimpleNamespace(id="slide")
    result = Annotation(loop, Answers(left), coding, loop._params, context, slide, None).run()
    return result, points, last


@pytest.mark.parametrize(
    ("left", "every", "points", "sessions"),
    [
        (4, 0, [4], 1),
        (6, 0, [6], 1),
        (8, 0, [8], 1),
        (12, 0, [12], 2),
        (12, 2, [8, 12], 2),
        (4, 1, [4], 1),
        (0, 1, [], 0),
    ],
)
def test_the_curve_ends_where_the_answers_do(encoder, left, every, points, sessions):
    result, told, _ = annotated(encoder, left, every)
    assert told == points and len(result["maps"].get("slide", [])) == sessions


def test_an_annotation_that_was_killed_after_its_end_still_says_why_it_ended(encoder):
    result, points, last = annotated(encoder, 6, 1)
    again, later, _ = annotated(encoder, 6, 1, kept=last[-1])
    assert again["stopped"] == result["stopped"] == "the budget is spent" and not later
    _, late, _ = annotated(encoder, 4, 2, kept=annotated(encoder, 4, 2)[2][0])
    assert points == [4, 6] and late == [4], "of a round that was whole when it was killed"


def test_k_larger_than_the_set_reviews_all_that_is_left(encoder):
    loop = loop_of(encoder, reviews=1000)
    assert answered(loop).reviews == ITEMS - len(QUERIES)
    assert loop.finished and not len(loop.unreviewed)


def test_the_first_round_has_no_classifier_and_says_so(encoder):
    for strategy, needs in ((name, "classifier" in kind.needs) for name, kind in STRATEGIES.items()):
        loop = loop_of(encoder, strategy)
        assert loop.propose().fallback is needs
        answered(loop)
        assert loop.propose().fallback is False
    first = [loop_of(encoder, name).propose().items for name in ("cnfp", "entropy", "front-mid-end")]
    assert first[0] == first[1] == first[2] != loop_of(encoder, "top-k").propose().items


def test_one_label_alone_leaves_the_retrieval_net_and_trains_the_classifier(encoder):
    loop = loop_of(encoder, queries=[QUERIES[0]])
    for item in loop.propose().items:
        loop.answer(item, 0)
    done = loop.update()
    assert set(done.losses) == {"classifier"} and done.relevant == 4
    numbers = np.arange(ITEMS)
    untrained = loop.nets.embed(loop.base, numbers, untrained=True)
    assert np.array_equal(loop.nets.embed(loop.base, numbers), untrained)
    p = loop.nets.probabilities(loop.base, numbers)
    assert np.array_equal(p, np.tile([1, 0, 0], (ITEMS, 1))), "classes never seen are never predicted"


def test_reviewed_items_and_queries_carry_the_experts_label(encoder):
    loop = loop_of(encoder)
    assert np.allclose(loop.probabilities()[3:], 1 / 3)
    answered(loop)
    p = loop.probabilities()
    for item, label in [*loop.reviewed.items(), (0, 0), (1, 1), (2, 2)]:
        assert p[item].tolist() == [float(label == n) for n in range(CLASSES)]
    rest = loop.unreviewed
    assert np.array_equal(p[rest], loop.nets.probabilities(loop.base, rest))


def test_it_learns(encoder):
    loop = loop_of(encoder, "random", epochs=30, sessions=3)
    ended(loop)
    rest = loop.unreviewed
    assert (loop.probabilities()[rest].argmax(axis=1) == rest % CLASSES).mean() > 0.8


def test_training_starts_cold_or_warm_and_sessions_from_either_encoder(encoder):
    def after(**changes):
        loop = loop_of(encoder, "front-mid-end", **changes)
        answered(loop), answered(loop)
        return loop

    cold, warm = after(), after(train_init="warm")
    weights = [next(loop.nets.cl.parameters()) for loop in (cold, warm)]
    assert not torch.equal(*weights)
    latest = after(session_start="latest")
    first = np.array([1])
    assert cold.session == 1
    assert np.array_equal(cold._query_now(), cold.nets.embed(cold.base, first, untrained=True)[0])
    assert np.array_equal(latest._query_now(), latest.nets.embed(latest.base, first)[0])


def test_refinement_moves_the_query_to_the_relevant_items(encoder):
    def query(**changes):
        loop = loop_of(encoder, "top-k", rounds=3, **changes)
        answered(loop), answered(loop)
        relevant = [item for item in loop.reviewed if item % CLASSES == 0]
        return loop._query, loop.nets.embed(loop.base, np.array([0, *relevant])), len(relevant)

    off, embeddings, _ = query(refinement="off")
    assert np.array_equal(off, embeddings[0])
    session, embeddings, relevant = query(refine_with="session")
    mean = embeddings.mean(axis=0, dtype=np.float64).astype(np.float32)
    assert relevant > 4 and np.array_equal(session, mean)
    assert not np.allclose(query()[0], off) and not np.allclose(query()[0], query(refinement="two-level")[0])


def test_embeddings_do_not_depend_on_the_batch_and_statistics_never_change(encoder):
    loop = loop_of(encoder)
    before = {name: value.clone() for name, value in loop.nets.ret.named_buffers()}
    answered(loop)
    assert before and all(torch.equal(value, before[name]) for name, value in loop.nets.ret.named_buffers())
    together = loop.nets.embed(loop.base, np.arange(ITEMS))
    alone = np.concatenate([loop.nets.embed(loop.base, np.array([n])) for n in range(ITEMS)])
    backwards = loop.nets.embed(loop.base, np.arange(ITEMS)[::-1].copy())[::-1]
    assert np.array_equal(together, alone) and np.array_equal(together, backwards)


def test_balanced_batches_once_more_was_reviewed_than_fits(encoder):
    nets = TwoNets(encoder, params(batch_size=8, per_class=2, epochs=1), CLASSES, "cpu")
    labels = np.array([0] * 20 + [1] * 4 + [2])
    batches = list(nets._balanced(labels, np.random.default_rng(0)))
    assert len(batches) == 5
    assert all(sorted(labels[batch].tolist()) == [0, 0, 1, 1, 2] for batch in batches)
    assert sorted(np.concatenate(list(nets._shuffled(25, np.random.default_rng(0)))).tolist()) == list(range(25))
    assert len(list(TwoNets(encoder, params(max_steps=3), CLASSES, "cpu")._shuffled(9, np.random.default_rng(0)))) == 2
    assert len(list(TwoNets(encoder, params(max_steps=1), CLASSES, "cpu")._shuffled(9, np.random.default_rng(0)))) == 1


CRC = ("ADI", "BACK", "DEB")


def test_labels_stand_for_classes_or_for_one_class():
    every = Coding.of(params(), CRC)
    assert every.size == 3 and every.wanted == (0, 1, 2) and every.label(2) == 2
    two = Coding.of(params(), ("normal", "tumour"))
    assert two.wanted == (1,), "of two classes the positive one is looked for"
    assert Coding.of(params(query_class="DEB"), CRC).wanted == (2,)
    one = Coding.of(params(feedback="relevant", query_class="DEB"), CRC)
    assert one.size == 2 and [one.label(n) for n in range(3)] == [0, 0, 1] and one.index(1) == 2
    assert one.indices(np.array([0, 1, -1])).tolist() == [0, 2, -1]
    p = np.array([[0.3, 0.7]], np.float32)
    assert one.positive(p, frozenset({2})) == np.float32(0.7) and one.positive(p, frozenset({1})) == np.float32(0.3)
    first = Coding.of(params(feedback="relevant", query_class="ADI"), CRC)
    assert first.indices(np.array([0, 1])).tolist() == [1, 0]


def test_queries_of_unknown_classes_and_mixed_relevance_are_refused():
    with pytest.raises(ConfigError, match="unknown class 'TUMOR'") as error:
        Coding.of(params(query_class="TUMOR"), CRC)
    assert "one of ADI, BACK, DEB" in str(error.value)
    with pytest.raises(ConfigError, match="feedback=relevant would mix 3 classes"):
        Coding.of(params(feedback="relevant"), CRC)
    with pytest.raises(ValueError, match="expert_answers replays a file"):
        params(expert_answers=__file__, expert_error=0.1)


@pytest.mark.parametrize(("side", "shape"), [(224, (512, 7, 7)), (256, (512, 8, 8))])
def test_resnet18_is_cut_where_the_paper_cuts_it(side, shape):
    cut = cut_encoder("resnet18", trainable_from="layer4.1", pretrained=False, weights=None, side=side)
    assert cut.shape == shape and cut.width == 512
    trained = sum(parameter.numel() for parameter in cut.head.parameters())
    assert trained == 4720640
    if side == 224:
        assert 4 * cut.trunk.dim == 100352
        more = cut_encoder("resnet18", trainable_from="layer4.0", pretrained=False, weights=None, side=side)
        extra = sum(parameter.numel() for parameter in more.head.parameters()) - trained
        assert extra == 3673088 and extra / trained == pytest.approx(0.778091, abs=1e-6)


@pytest.mark.parametrize(
    ("name", "block"),
    [
        ("imagenet-lite0", "conv_head"),
        ("mobilenetv3_small_050", "blocks.5"),
        ("test_vit", "blocks.5"),
        ("test_vit2", "pool"),
    ],
)
def test_any_chain_of_blocks_can_be_cut(name, block):
    cut = cut_encoder(name, trainable_from=block, pretrained=name == "imagenet-lite0", weights=None, side=160)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), dtype=np.uint8)
    own = cut.copied_head()
    embedded = own(cut.trunk(pixels).clone().view(2, *cut.shape))
    assert embedded.shape == (2, cut.width)
    assert all(parameter.requires_grad for parameter in own.parameters())
    assert own is not cut.copied_head() and not own.training


def test_a_block_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ConfigError, match="cannot be trained from 'layer5' on") as error:
        cut_encoder("test_resnet", trainable_from="layer5", pretrained=False, weights=None, side=32)
    assert "layer4.0" in str(error.value)
    with pytest.raises(ConfigError, match="is no chain of blocks"):
        cut_encoder("hrnet_w18_small", trainable_from="stage4", pretrained=False, weights=None, side=64)
