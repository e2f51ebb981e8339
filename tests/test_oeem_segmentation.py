"""PSPNet and its heads, tiles, multi-scale sliding-window scores, and the parameters' agreement."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from torch import nn
from torch.nn import functional

from benchmark.context import Context
from benchmark.learning.augment import normalised
from benchmark.learning.nets.heads import FcnHead, PspHead
from benchmark.learning.nets.pspnet import PspNet
from benchmark.learning.segmentation import build_net, mask_training
from benchmark.learning.segmentation.mask_training import Tiles, training_steps
from benchmark.learning.segmentation.segmentation_params import SegmentationParams
from benchmark.learning.segmentation.sliding_window import score_slide, tile_probabilities, window_logits
from benchmark.methods.segmentation.pspnet import Pspnet
from benchmark.methods.wsss import cam
from benchmark.methods.wsss.cam_seg import CamSeg
from benchmark.methods.wsss.oeem import Oeem, OeemParams
from benchmark.methods.wsss.ohem import Ohem
from benchmark.slides import Grid, Slide
from benchmark.supervision import Ledger, View


class Coarse(nn.Module):
    """A backbone of output stride 8 in two layers, with some context beyond each position."""

    channels = (3, 6, 8)

    def __init__(self):
        super().__init__()
        self.middle = nn.Conv2d(3, 6, 8, stride=8)
        self.deep = nn.Conv2d(6, 8, 3, padding=1)

    def forward(self, images):
        middle = self.middle(images)
        return images[:, :, ::8, ::8], middle, self.deep(middle).tanh()


def params(**changes):
    quick = {"seg_backbone": "test_resnet", "head_channels": 4, "aux_channels": 4, "pool_scales": (1, 2), "crop": 16}
    return SegmentationParams(**{**quick, **changes})


def small_net(aux_channels=4):
    return PspNet(Coarse(), 2, head_channels=4, pool_scales=(1, 2), aux_channels=aux_channels)


@pytest.fixture
def net():
    torch.manual_seed(0)
    net = small_net()
    for images in torch.randn(3, 4, 3, 64, 64):  # running statistics that are not those of a fresh BatchNorm
        net(images)
    return net.eval()


def size(module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_heads_have_the_size_of_the_paper():
    with torch.device("meta"):
        head, aux = PspHead(4096, 512, 2), FcnHead(1024, 256, 2)
    assert size(head) / 1e6 == pytest.approx(36.7, abs=0.05)
    assert size(aux) / 1e6 == pytest.approx(2.36, abs=0.005)
    assert head.bottleneck[0].in_channels == 6144


def test_the_auxiliary_head_is_for_training_only(net):
    images = torch.randn(2, 3, 64, 48)
    logits, aux = net(images)
    assert logits.shape == (2, 2, 8, 6)
    assert aux is None
    assert net.train()(images)[1].shape == (2, 2, 8, 6)
    assert small_net(aux_channels=0).train()(images)[1] is None


@pytest.mark.parametrize(
    ("side", "origins"),
    [
        (192, [0]),
        (256, [0]),
        (320, [0]),
        (384, [0, 64]),
        (448, [0, 128]),
        (512, [0, 192]),
        (640, [0, 256, 320]),
        (768, [0, 256, 448]),
    ],
)
def test_windows_of_every_scale(side, origins):
    grid = Grid.windows((side, side), SegmentationParams().window, SegmentationParams().window_stride)
    assert grid.x.tolist() == grid.y.tolist() == origins


@pytest.mark.parametrize(
    ("shape", "rows", "cols"), [((522, 775), [0, 192, 266], [0, 192, 384, 519]), ((433, 574), [0, 177], [0, 192, 318])]
)
def test_tiles_of_a_slide(shape, rows, cols):
    grid = Grid.windows(shape[::-1], SegmentationParams().tile, SegmentationParams().tile_stride)
    assert (grid.y.tolist(), grid.x.tolist()) == (rows, cols)


def one_window(net, view, side, stride):
    """Logits of one view (3 × H × W), window by window."""
    height, width = view.shape[1:]
    total, cover = torch.zeros(2, height, width), torch.zeros(height, width)
    for y in sorted({*range(0, max(1, height - side + 1), stride), max(0, height - side)}):
        for x in sorted({*range(0, max(1, width - side + 1), stride), max(0, width - side)}):
            window = view[None, :, y : y + side, x : x + side]
            logits = functional.interpolate(net(window)[0], size=window.shape[2:], mode="bilinear", align_corners=False)
            total[:, y : y + side, x : x + side] += logits[0]
            cover[y : y + side, x : x + side] += 1
    return total / cover


def naive(net, tile, options):
    """Probability of one tile (3 × H × W): each scale, flip and window alone."""
    height, width = tile.shape[1:]
    views = []
    for scale in options.tta_scales:
        target = (int(height * scale), int(width * scale))
        resized = functional.interpolate(tile[None], size=target, mode="bilinear", align_corners=False)[0]
        for flipped in (False, True) if options.tta_flip else (False,):
            logits = one_window(net, resized.flip(-1) if flipped else resized, options.window, options.window_stride)
            back = functional.interpolate(logits[None], size=(height, width), mode="bilinear", align_corners=False)
            positive = back.softmax(dim=1)[0, 1]
            views.append(positive.flip(-1) if flipped else positive)
    return torch.stack(views).mean(dim=0)


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("shape", [(64, 64), (40, 72)])
def test_batched_scoring_equals_one_window_at_a_time(net, shape, flip):
    options = params(tta_scales=(0.75, 1.0, 1.5, 2.0), tta_flip=flip, window=56, window_stride=40, window_batch=5)
    tiles = torch.randn(3, 3, *shape)
    found = tile_probabilities(net, tiles, options)
    with torch.no_grad():
        expected = torch.stack([naive(net, tile, options) for tile in tiles])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)
    assert found.std() > 0.001


def test_windows_share_forward_passes(net):
    calls = []
    net.register_forward_hook(lambda module, inputs, output: calls.append(len(inputs[0])))
    window_logits(net, torch.randn(4, 3, 96, 96), 64, 32, 16)
    assert calls == [16]


class Surroundings:
    """A geometry with pixels as evaluation grid."""

    classes = ("other", "gland")

    def evaluation_grid(self, slide):
        return Grid.pixels(slide.size)


@pytest.fixture
def context(tmp_path):
    return Context(geometry=Surroundings(), folder=tmp_path / "stages", ledger=Ledger())


@pytest.fixture
def slide(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (50, 75, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    return Slide("slide", tmp_path / "slide.png", "patient")


@pytest.mark.parametrize("tile", [32, 64])
def test_a_slide_is_scored_by_the_mean_of_its_tiles(net, slide, context, tile):
    options = params(tile=tile, tile_stride=24, tta_scales=(1.0,), tta_flip=False)
    scores = score_slide(net, slide, options, context)
    pixels = slide.read(0, 0, *slide.size)
    total, cover = np.zeros((50, 75)), np.zeros((50, 75))
    with torch.no_grad():
        for _, _, x, y in Grid.windows(slide.size, tile, 24).patches():
            area = np.s_[y : y + tile, x : x + tile]
            total[area] += naive(net, normalised(np.ascontiguousarray(pixels[area])), options).numpy()
            cover[area] += 1
    np.testing.assert_allclose(scores.values, total / cover, atol=1e-5)
    assert scores.grid.shape == (50, 75)


def test_an_epoch_shows_every_tile_once_in_a_new_order(context):
    options = params(
        tile=32, tile_stride=32, ratio_min=1, ratio_max=1, crop=32, seg_flip=0, seg_distortion=False, seg_batch=3
    )
    image = np.zeros((64, 96, 3), np.uint8)
    for number, (_, _, x, y) in enumerate(Grid.windows((96, 64), 32, 32).patches()):
        image[y : y + 32, x : x + 32] = 40 * number
    mask = np.where(image[..., 0] > 100, 1, -1).astype(np.int8)
    tiles = Tiles({"a": image}, {"a": mask}, options, context)
    assert len(tiles) == 6
    shown, seen_labels = [], set()
    for step in range(8):
        images, labels = tiles.batch(step, context.generator("segmentation", step))
        assert images.shape == (3, 3, 32, 32)
        shown += [round(value * 58.395 + 123.675) // 40 for value in images[:, 0, 0, 0].tolist()]
        seen_labels |= set(labels.unique().tolist())
    epochs = [tuple(shown[start : start + 6]) for start in range(0, 24, 6)]
    assert all(sorted(epoch) == list(range(6)) for epoch in epochs)
    assert len(set(epochs)) > 1
    assert seen_labels == {1, 255}


def test_number_of_steps_follows_the_data():
    few = SimpleNamespace(iterations=100, max_epochs=2.5, seg_batch=8)
    assert training_steps(few, 48) == 15
    assert training_steps(few, 4800) == 100
    assert training_steps(SimpleNamespace(iterations=100, max_epochs=None, seg_batch=8), 1) == 100
    assert training_steps(SimpleNamespace(iterations=100, max_epochs=0.1, seg_batch=8), 1) == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile_stride": 300}, "tile_stride 300 is larger than tile 256"),
        ({"window_stride": 400}, "window_stride 400 is larger than window 320"),
        ({"ratio_min": 4}, "ratio_min 4.0 is larger than ratio_max 3.0"),
        ({"seg_min_lr": 1}, "seg_min_lr 1.0 is larger than seg_lr 0.005"),
        ({"crop": 32}, "a crop of 32 px has only 4 × 4 positions"),
        ({"iterations": None}, "neither iterations nor max_epochs"),
        ({"seg_net": "unet", "crop": 264}, "crop 264 is not a multiple of 16"),
        ({"seg_net": "unet", "whole_side": 100}, "whole_side 100 is not a multiple of 16"),
        ({"seg_net": "medt"}, "window 320 must equal crop 256"),
        ({"seg_batch": 1}, "pspnet needs 2"),
        ({"patch_stride": 200}, "patch_stride"),
    ],
)
def test_parameters_that_do_not_agree_are_refused(changes, message):
    with pytest.raises(ValidationError, match=message):
        OeemParams(**changes)


class Paper:
    """A dataset that is nothing but one training slide."""

    outlined = True

    def __init__(self, *size):
        self.slide = SimpleNamespace(id="big", size=size)

    def slides(self, split):
        return [self.slide]

    def annotated(self, slide):
        return self.outlined


def test_slides_too_large_to_hold_are_refused_with_the_reason():
    assert Oeem.not_applicable(Paper(775, 522)) is None
    reason = Pspnet.not_applicable(Paper(20_000, 10_000))
    assert "'big' has 20000 × 10000 px" in reason
    assert "100 Mpx" in reason


def test_training_slides_without_outlines_are_refused_while_planning():
    paper = Paper(775, 522)
    paper.outlined = False
    assert "full labels of every train slide, and 1 of 1 have no outlines" in Pspnet.not_applicable(paper)


def test_methods_of_the_family_share_classifier_and_masks(tmp_path, monkeypatch, slide):
    ran = []

    def note(name, result):
        def stage(*args, **options):
            ran.append(name + str(options.get("refine", "")))
            return result

        return stage

    monkeypatch.setattr(cam, "train_classifier", note("classifier", {"w": torch.zeros(1)}))
    monkeypatch.setattr(cam, "create_classifier", lambda *args, **options: nn.ParameterDict({"w": torch.zeros(1)}))
    monkeypatch.setattr(cam, "pseudo_masks", note("masks", {"slide": np.ones((50, 75), np.int8)}))
    monkeypatch.setattr(mask_training, "train_segmentation", note("segmentation", {}))
    monkeypatch.setattr(build_net, "create_net", lambda *args, **options: nn.Identity())
    examined = []
    for kind in (Oeem, CamSeg, Ohem, Oeem):
        context = Context(
            geometry=Surroundings(),
            folder=tmp_path / "stages",
            ledger=Ledger(),
            examiner=lambda name, slide, classes: examined.append((name, slide.id, classes.shape)),
        )
        method = kind(kind.Params(**kind.presets["smoke"]))
        method.fit(View([slide], None), View([], None), context.bind(method))
    assert ran == ["classifier", "masksFalse", "masksTrue", "segmentation", "segmentation", "segmentation"]
    assert examined == 4 * [("cam", "slide", (50, 75)), ("pseudo_mask", "slide", (50, 75))]
