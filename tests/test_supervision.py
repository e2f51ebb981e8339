"""Labels are handed out, counted, and never leak."""

import numpy as np
import pytest

from benchmark.annotations import LabelImage
from benchmark.errors import BudgetError, SupervisionError
from benchmark.slides import Grid
from benchmark.supervision import Budget, Labels, Ledger, Spending, Supervision


class FakeSlide:
    def __init__(self, name, size=(40, 20)):
        self.id, self.size = name, size


class Source:
    classes = ("non-gland", "gland")

    def __init__(self):
        pixels = np.zeros((20, 40), np.uint8)
        pixels[:, 20:] = 3
        self.annotation = LabelImage(pixels)

    def truth(self, slide):
        return self.annotation

    coarse = truth

    def annotated(self, slide):
        return True

    def unit_labels(self, slide):
        return np.array([[0, 1]], np.int8)


A, B = FakeSlide("a"), FakeSlide("b")
GRID = Grid.windows((40, 20), 20, 20)


def labels(*kinds, ledger=None, **more):
    return Labels(Source(), [A], kinds, ledger if ledger is not None else Ledger(), owner="probe", **more)


def test_each_kind_is_counted_once():
    ledger = Ledger()
    view = labels(*Supervision, ledger=ledger)
    for _ in range(2):
        view.image(A)
        view.patch(A, GRID)
        view.pixel(A, 0, 0, 10, 10)
        view.coarse(A)
        view.review(A, GRID, 0, 1)
    assert ledger.totals() == {
        "image_labels": 2,
        "patch_labels": 2,
        "mask_pixels": 100,
        "coarse_polygons": 1,
        "reviews": 1,
    }
    view.full(A)
    assert ledger.totals()["mask_pixels"] == 100 + 800


def test_what_is_handed_out_is_right():
    view = labels(*Supervision)
    np.testing.assert_array_equal(view.patch(A, GRID), [[[True, False], [False, True]]])
    np.testing.assert_array_equal(view.pixel(A, 18, 0, 4, 1), [[0, 0, 1, 1]])
    assert view.review(A, GRID, 0, 0) == 0 and view.review(A, GRID, 0, 1) == 1


@pytest.mark.parametrize("kind", list(Supervision))
def test_undeclared_kinds_are_refused(kind):
    view = labels(*(set(Supervision) - {kind}))
    ask = {
        Supervision.IMAGE: lambda: view.image(A),
        Supervision.PATCH: lambda: view.patch(A, GRID),
        Supervision.PIXEL: lambda: view.pixel(A, 0, 0, 4, 4),
        Supervision.FULL: lambda: view.full(A),
        Supervision.COARSE: lambda: view.coarse(A),
        Supervision.REVIEW: lambda: view.review(A, GRID, 0, 0),
    }[kind]
    with pytest.raises(SupervisionError, match=f"probe asked for {kind} labels of slide 'a'"):
        ask()


def test_other_slides_are_refused():
    with pytest.raises(SupervisionError, match="'b', which is not in this view"):
        labels(Supervision.IMAGE).image(B)


def test_test_slides_answer_only_transductive_kinds():
    view = labels(*Supervision, sealed=True)
    view.coarse(A)
    view.review(A, GRID, 0, 0)
    for ask in (
        lambda: view.image(A),
        lambda: view.patch(A, GRID),
        lambda: view.pixel(A, 0, 0, 2, 2),
        lambda: view.full(A),
    ):
        with pytest.raises(SupervisionError, match="test truth is sealed"):
            ask()


def test_whether_a_test_slide_is_drawn_is_sealed_too():
    assert labels(Supervision.IMAGE).drawn(A) and labels(Supervision.COARSE, sealed=True).drawn(A)
    with pytest.raises(SupervisionError, match="test truth is sealed"):
        labels(Supervision.IMAGE, sealed=True).drawn(A)
    with pytest.raises(SupervisionError, match="'b', which is not in this view"):
        labels(Supervision.IMAGE).drawn(B)


def test_another_slide_of_the_same_id_is_refused():
    A.path, other = "here/a.png", FakeSlide("a")
    other.path = "elsewhere/a.png"
    with pytest.raises(SupervisionError, match="'a', which is not in this view"):
        labels(Supervision.IMAGE).image(other)


def test_a_patch_label_of_another_share_is_another_label():
    ledger = Ledger()
    for _ in range(2):
        for share in (0.05, 0.5):
            labels(Supervision.PATCH, ledger=ledger).patch(A, GRID, share)
    assert ledger.totals()["patch_labels"] == 4


def test_patches_in_an_area_to_ignore_have_no_class_and_are_not_drawn():
    source = Source()
    pixels = np.zeros((20, 40), np.uint8)
    pixels[:, 20:] = 255
    source.annotation = LabelImage(pixels, classes={0: 0}, ignore=[255])
    view = Labels(source, [A], Supervision, Ledger())
    np.testing.assert_array_equal(view.patch(A, GRID), [[[True, False], [False, False]]])
    drawn = view.chosen(A, GRID, 5, np.random.default_rng(0), lesion=False)
    assert [(row, col) for row, col, _ in drawn] == [(0, 0)]


@pytest.mark.parametrize("kind", [Supervision.PIXEL, Supervision.REVIEW])
def test_budgets_end(kind):
    view = labels(kind, budgets={kind: 2})

    def ask(n):
        return view.pixel(A, n, 0, 1, 1) if kind is Supervision.PIXEL else view.review(A, GRID, 0, n)

    ask(0), ask(1), ask(1)
    with pytest.raises(SupervisionError, match="more than its 2"):
        view.pixel(A, 9, 0, 1, 1) if kind is Supervision.PIXEL else view.review(A, Grid.windows((40, 20), 10, 10), 0, 2)


def test_a_stage_hears_labels_that_were_counted_before():
    ledger = Ledger()
    view = labels(Supervision.IMAGE, ledger=ledger)
    view.image(A)
    with ledger.listening() as heard:
        view.image(A)
    assert heard == {("image", "a", "units"): 2}
    other = Ledger()
    other.merge(heard)
    assert other.totals() == ledger.totals()


def test_a_label_is_counted_as_fast_whatever_was_counted_before():
    class Watched(dict):
        walks = 0

        def __iter__(self):
            self.walks += 1
            return super().__iter__()

        def items(self):
            self.walks += 1
            return super().items()

    ledger = Ledger()
    ledger._entries = Watched()
    spending = Spending("9min", minutes=9.0, prices={"reviews": 1.0}, reviews=9)
    view = labels(Supervision.REVIEW, ledger=ledger, budgets={Supervision.REVIEW: 4}, spending=spending)
    fine = Grid.windows((40, 20), 10, 10)
    for col in (0, 1, 2, 2):
        view.review(A, fine, 0, col)
    assert ledger.count(Supervision.REVIEW) == ledger.count(Supervision.REVIEW, "a") == ledger.totals()["reviews"] == 3
    assert ledger.count(Supervision.REVIEW, "b") == ledger.count(Supervision.PIXEL) == 0
    ledger.merge({("review", "a", "x"): 1, ("review", "b", "x"): 1, ("pixel", "b", "tiles:0"): 4})
    ledger.merge({("review", "b", "x"): 1})
    assert [ledger.count(Supervision.REVIEW, slide) for slide in (None, "a", "b")] == [5, 4, 1]
    assert ledger.totals()["patch_labels"] == 4 and not ledger.entries.walks


def test_budgets_count_per_slide_as_well_as_in_all():
    budget = {Supervision.REVIEW: Budget(total=3, per_slide=2)}
    view = Labels(Source(), [A, B], [Supervision.REVIEW], Ledger(), budgets=budget)
    fine = Grid.windows((40, 20), 10, 10)
    assert [view.review(A, fine, 0, col) for col in (0, 3)] == [0, 1]
    with pytest.raises(BudgetError, match="more than its 2 review labels of slide 'a'"):
        view.review(A, fine, 1, 0)
    view.review(B, fine, 0, 0)
    with pytest.raises(BudgetError, match="more than its 3 review labels"):
        view.review(B, fine, 0, 1)
    assert view.review(A, fine, 0, 3) == 1, "what was answered before costs nothing"


def test_a_cell_has_the_class_under_its_centre_or_by_share():
    view = labels(Supervision.REVIEW)
    whole = Grid(np.array([0]), np.array([0]), 30, 20)  # a third of it is positive, its centre is not
    assert view.review(A, whole, 0, 0) == 0
    for share, label in ((1 / 3, 1), (0.34, 0)):
        assert labels(Supervision.REVIEW).review(A, whole, 0, 0, share=share) == label
    assert labels(Supervision.REVIEW).review(A, Grid.whole((40, 20)), 0, 0, share=0.5) == 1


def test_examples_are_looked_up_by_the_expert_and_metered_on_test_slides_too():
    ledger = Ledger()
    view = labels(Supervision.REVIEW, ledger=ledger, sealed=True, budgets={Supervision.REVIEW: Budget(per_slide=3)})
    fine = Grid.windows((40, 20), 10, 10)
    cells = view.examples(A, fine, 1, 3, np.random.default_rng(0))
    assert len(set(cells)) == 3 and all(col >= 2 for _, col in cells)
    assert ledger.totals()["reviews"] == 3
    with pytest.raises(BudgetError):
        view.review(A, fine, 0, 0)
    assert (
        labels(Supervision.REVIEW).examples(A, fine, 1, 9, np.random.default_rng(0), where=np.zeros((2, 4), bool)) == []
    )
