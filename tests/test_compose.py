from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from numpy.typing import NDArray
from scipy import ndimage

from benchmark.annotations import Polygons
from benchmark.dataset import Split
from benchmark.datasets.synthetic.composed import ComposedSlide, compose_slide
from benchmark.datasets.synthetic.composed.album import Picture, pictures_of
from benchmark.datasets.synthetic.composed.mosaic import OVERLAP, choose_patients, cover
from benchmark.datasets.synthetic.composed.outline import draw_truth
from benchmark.datasets.synthetic.composed.pieces import Pieces, Tile
from benchmark.datasets.synthetic.composed.scene import _image
from benchmark.datasets.synthetic.composed.slide_layout import draw_layout
from benchmark.datasets.synthetic.composed.smooth_fields import UNIT
from benchmark.datasets.synthetic.painter import Painter
from benchmark.datasets.tiles.glas_tissue import GlasTissue
from benchmark.errors import DataError
from benchmark.seeds import generator
from benchmark.slides import Grid

SIDE, CELL = 1024, 128
GLAND = 40
"""Side in px of the square glands of `Flat`."""


class Flat:
    """Pictures of one colour per class with a lattice of square glands; an album of two patients per class."""

    mpp = 0.5

    def pictures(self) -> list[Picture]:
        return [self.picture(f"{kind}{n}", kind == "m") for kind in "bm" for n in range(4)]

    def picture(self, name: str, positive: bool, size: tuple[int, int] = (600, 400)) -> Picture:
        return Picture(
            name, f"p{name[1:]}" if name[1:] < "2" else f"{name[0]}x", positive, size, lambda: flat(positive)
        )

    def paint(self, width: int, height: int, *, positive: bool, seed: int) -> tuple[NDArray, NDArray]:
        raise AssertionError("an album is not painted")

    def part(self, split: Split, seed: int) -> Flat:
        return self


def flat(positive: bool, size: tuple[int, int] = (600, 400)) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    width, height = size
    pixels = np.full((height, width, 3), (150, 60, 120) if positive else (200, 140, 180), np.uint8)
    y, x = np.indices((height, width))
    inside = (y % 100 >= 30) & (y % 100 < 30 + GLAND) & (x % 100 >= 30) & (x % 100 < 30 + GLAND)
    return pixels, np.where(inside, 1 + y // 100 * 10 + x // 100, 0).astype(np.int32)


def pixels_of(slide: ComposedSlide) -> NDArray[np.uint8]:
    return np.concatenate(list(slide.bands()))


def cells(side: int) -> Grid:
    edges = np.arange(0, side - CELL + 1, CELL)
    return Grid(edges, edges, CELL, CELL)


@pytest.fixture(scope="module")
def positive() -> ComposedSlide:
    return compose_slide(Flat(), side=SIDE, seed=1, lesions=True)


@pytest.fixture(scope="module")
def image(positive: ComposedSlide) -> NDArray[np.uint8]:
    return pixels_of(positive)


def test_bands_are_full_width_strips_of_bounded_height(positive: ComposedSlide) -> None:
    bands = list(positive.bands())
    assert all(band.shape[1:] == (SIDE, 3) and band.dtype == np.uint8 and len(band) <= 512 for band in bands)
    assert sum(len(band) for band in bands) == SIDE == positive.size[1]
    assert positive.mpp == Flat.mpp


def test_the_same_seed_gives_the_same_bits_and_another_seed_others(
    positive: ComposedSlide, image: NDArray[np.uint8]
) -> None:
    again = compose_slide(Flat(), side=SIDE, seed=1, lesions=True)
    np.testing.assert_array_equal(pixels_of(again), image)
    np.testing.assert_array_equal(pixels_of(positive), image, err_msg="the second pass over the bands differs")
    assert [region.geometry.wkb for region in again.lesion.regions] == [r.geometry.wkb for r in positive.lesion.regions]
    other = compose_slide(Flat(), side=SIDE, seed=4, lesions=True)
    assert (pixels_of(other) != image).mean() > 0.2


def test_glass_lies_all_around_and_tissue_in_the_middle(positive: ComposedSlide, image: NDArray[np.uint8]) -> None:
    rim = np.concatenate([image[:6].reshape(-1, 3), image[-6:].reshape(-1, 3), image[:, :6].reshape(-1, 3)])
    assert (rim.min(axis=1) > 215).mean() > 0.9
    assert 1 < rim.std() < 12, "glass is neither one grey nor tissue"
    tissue = ndimage.median_filter(image[..., 1], 5) < 190
    assert abs(tissue.mean() - positive.tissue_share) < 0.03
    assert 0.3 < positive.tissue_share < 0.85


def test_the_truth_is_the_lesion_that_the_pixels_show(positive: ComposedSlide, image: NDArray[np.uint8]) -> None:
    lesion = positive.lesion.labels(Grid.pixels(positive.size)) > 0
    shown = np.abs(image.astype(int) - (150, 60, 120)).sum(axis=2) < 60
    normal = np.abs(image.astype(int) - (200, 140, 180)).sum(axis=2) < 60
    assert shown[lesion].mean() > 0.95
    assert lesion[shown].mean() > 0.75, "only stroma at the rim of malignant tissue is left out"
    assert lesion[normal].mean() < 0.02


@pytest.mark.parametrize("seed", range(6))
def test_a_positive_slide_has_lesion_cells_and_normal_cells(seed: int) -> None:
    slide = compose_slide(Flat(), side=SIDE, seed=seed, lesions=True)
    assert isinstance(slide.lesion, Polygons) and slide.lesion.repaired == 0
    assert all(shapely.is_valid(region.geometry) and region.label == 1 for region in slide.lesion.regions)
    labels = slide.lesion.labels(cells(SIDE))
    colour = pixels_of(slide)[: SIDE // CELL * CELL].reshape(SIDE // CELL, CELL, SIDE // CELL, CELL, 3).mean((1, 3))
    tissue = colour[..., 1] < 200
    assert (labels[tissue] == 1).sum() >= 2 and (labels[tissue] == 0).sum() >= 4
    assert 0.1 <= slide.lesion_share <= 0.6


def test_lesions_differ_in_size_and_leave_normal_tissue() -> None:
    layout = [draw_layout(generator("test", seed), 5120, lesions=True) for seed in range(6)]
    sizes = []
    for one in layout:
        tissue, lesion = one.tissue > 0, one.lesion > 0
        assert 0.08 < (tissue & lesion).sum() / tissue.sum() < 0.72
        areas, number = ndimage.label(lesion)
        measured = [np.sqrt(4 / np.pi * (areas == n).sum()) * UNIT / CELL for n in range(1, number + 1)]
        sizes += [size for size in measured if size > 2]
    assert len(sizes) > len(layout), "several lesions on a slide"
    assert min(sizes) < 9 and max(sizes) < 32 and max(sizes) > 1.5 * min(sizes)


def test_a_slide_without_lesions_shows_no_malignant_picture() -> None:
    slide = compose_slide(Flat(), side=SIDE, seed=1, lesions=False)
    assert slide.lesion.count() == 0 and slide.lesion_share == 0
    assert not any(tile.picture.positive for tile in slide.scene.tiles)
    assert not (np.abs(pixels_of(slide).astype(int) - (150, 60, 120)).sum(axis=2) < 30).mean() > 0.001


def test_benign_glands_never_count(positive: ComposedSlide) -> None:
    benign = [t for t in positive.scene.tiles if not t.picture.positive]
    assert draw_truth(replace(positive.scene, tiles=tuple(benign)), Flat.mpp).lesion.count() == 0


def test_holes_and_gaps_between_glands_are_closed(positive: ComposedSlide) -> None:
    """Glands 60 px (30 µm) apart become one region; a gap of normal tissue would stay."""
    glands = positive.lesion_share * positive.tissue_share * SIDE**2 / (100 * 100)
    assert positive.lesion.count() < glands / 4
    assert sum(len(region.geometry.interiors) for region in positive.lesion.regions) <= 1


def test_notes_and_patients_say_whose_tissue_it_is(positive: ComposedSlide) -> None:
    shown = {tile.picture.patient for tile in positive.scene.tiles}
    assert set(positive.patients) == shown
    assert any("normal tissue of" in note for note in positive.notes)
    assert any("lesion tissue of" in note for note in positive.notes)


def test_lesions_share_a_patient_with_the_normal_tissue_where_there_is_one() -> None:
    for seed in range(20):
        normal, lesion = choose_patients(generator("test", seed), Flat().pictures())
        assert set(normal) & set(lesion)
        assert len(normal) >= 2


def test_pictures_are_turned_and_mirrored_but_never_scaled(positive: ComposedSlide) -> None:
    tiles = positive.scene.tiles
    assert {tile.size for tile in tiles} <= {(600, 400), (400, 600)}
    assert len({(tile.turns, tile.mirrored) for tile in tiles}) > 2


def covered(tiles: list[Tile], shape: tuple[int, int], edge: int) -> NDArray[np.bool_]:
    mask = np.zeros(shape, np.bool_)
    for tile in tiles:
        width, height = tile.size
        y, x = np.arange(shape[0]) * UNIT, np.arange(shape[1]) * UNIT
        rows = (y >= tile.y + edge) & (y < tile.y + height - edge)
        mask |= rows[:, None] & (x >= tile.x + edge) & (x < tile.x + width - edge)
    return mask


def test_every_needed_point_is_covered_with_room_for_a_seam() -> None:
    need = np.zeros((120, 90), np.bool_)
    need[5:110, 10:80] = True
    tiles = cover(generator("test"), need, Flat().pictures()[:4], Pieces())
    assert covered(tiles, need.shape, 16)[need].all()
    assert covered(tiles, need.shape, OVERLAP)[need].mean() > 0.85
    lattice = {(tile.x, tile.y) for tile in tiles}
    assert len(lattice) == len(tiles) > 6


def holey() -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
    pixels, glands = flat(False)
    pixels[:, 300:], glands[:, 300:] = 250, 0
    return pixels, glands


def test_glass_within_a_picture_is_covered_by_others() -> None:
    pictures = [
        Picture("half", "a", False, (600, 400), holey),
        Picture("full", "a", False, (600, 400), lambda: flat(False)),
    ]
    need = np.ones((70, 70), np.bool_)
    tiles = cover(generator("test"), need, pictures, Pieces())
    full = [tile for tile in tiles if tile.picture.name == "full"]
    assert full
    for tile in tiles:
        if tile.picture.name == "half":
            wish = Pieces().turned(tile).wish
            assert (wish < 0).any() and (wish > 0).any()


def test_seams_run_round_whole_glands() -> None:
    piece = Pieces().of(Flat().picture("b0", False))
    stroma, gland = piece.wish[200, 220], piece.wish[250, 250]
    assert gland > stroma + 15


def test_pieces_keep_no_more_than_they_are_told() -> None:
    pieces = Pieces(kept=2)
    loaded: list[str] = []

    def counted(name: str) -> Callable[[], tuple[NDArray, NDArray]]:
        return lambda: (loaded.append(name), flat(False))[1]

    for name in ["a", "b", "a", "c", "a", "b"]:
        pieces.of(Picture(name, "p", False, (600, 400), counted(name)))
    assert loaded == ["a", "b", "c", "b"]


def test_painted_slides_of_two_splits_share_no_picture() -> None:
    slides = [
        compose_slide(Painter().part(split, 0), side=SIDE, seed=5, lesions=True) for split in (Split.TRAIN, Split.TEST)
    ]
    names = [{tile.picture.name for tile in slide.scene.tiles} for slide in slides]
    assert not names[0] & names[1]
    labels = slides[0].lesion.labels(cells(SIDE))
    assert labels.any() and not labels.all()
    assert (pixels_of(slides[0]) != pixels_of(slides[1])).mean() > 0.2


def test_painted_slides_share_no_patient() -> None:
    drawn = [pictures_of(Painter(), side=SIDE, seed=seed, lesions=True) for seed in (1, 2)]
    assert {picture.name for picture in drawn[0]} == {picture.name for picture in drawn[1]}
    assert not {picture.patient for picture in drawn[0]} & {picture.patient for picture in drawn[1]}
    large = [pictures_of(Painter(), side=4096, seed=seed, lesions=False) for seed in (1, 2)]
    assert not {picture.name for picture in large[0]} & {picture.name for picture in large[1]}


def test_too_small_a_side_is_refused() -> None:
    with pytest.raises(DataError, match="side = 512.*1024"):
        compose_slide(Flat(), side=512, seed=0, lesions=True)


def test_a_source_without_malignant_pictures_is_refused_only_where_they_are_needed() -> None:
    class Benign(Flat):
        def pictures(self) -> list[Picture]:
            return [picture for picture in super().pictures() if not picture.positive]

    with pytest.raises(DataError, match="Benign holds no malignant picture"):
        compose_slide(Benign(), side=SIDE, seed=0, lesions=True)
    assert compose_slide(Benign(), side=SIDE, seed=0, lesions=False).lesion.count() == 0


@pytest.mark.realdata
def test_composed_from_glas(shared_data: Path) -> None:
    """Mean colour of a 128-px cell alone separates lesion from normal cells with an AUC of 0.74 (tissue of the train
    part) and 0.83 (test part): 6 slides of 5120 px, each left out in turn, by measurements/composed_slides.py."""
    tissue = GlasTissue(shared_data / "glas").part(Split.TEST, 0)
    slide = compose_slide(tissue, side=1536, seed=2, lesions=True)
    assert set(slide.patients) <= {picture.patient for picture in tissue.pictures()}
    labels = slide.lesion.labels(cells(1536))
    assert labels.any() and 0.1 <= slide.lesion_share <= 0.6
    found = pixels_of(slide)
    assert found.shape == (1536, 1536, 3) and found[..., 1].std() > 30


@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("step", [1, -1])
def test_an_image_of_a_turned_or_mirrored_view_has_its_pixels(turns: int, step: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (30, 41, 3), dtype=np.uint8)
    for part in (np.rot90(pixels[:, ::step], turns)[3:20, 5:29], np.rot90(pixels[:, ::step], turns)[:1, :9]):
        assert np.array_equal(np.asarray(_image(part)), part)
