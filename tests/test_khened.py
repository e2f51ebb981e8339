"""The Khened-style ensemble: three nets, their tissue rule, and averaging over flips and turns."""

import numpy as np
import pytest
import timm
import torch
from torch import nn

from benchmark.errors import ConfigError, WeightsError
from benchmark.learning.mil.khened_tissue import khened_tissue
from benchmark.learning.nets.khened import MEMBERS, create_khened, mean_over_views, scaled, views

SMALL = "test_resnet"


def parameters(part):
    return sum(weights.numel() for weights in part.parameters())


def images(side, count=2, seed=0):
    pixels = torch.randint(0, 256, (count, 3, side, side), generator=torch.Generator().manual_seed(seed))
    return scaled(pixels.to(torch.uint8))


@pytest.fixture(scope="module")
def ensemble():
    torch.manual_seed(7)
    return {member: create_khened(member, pretrained=False) for member in MEMBERS}


def test_inputs_are_scaled_about_128():
    made = scaled(torch.tensor([0, 64, 128, 255], dtype=torch.uint8))
    assert made.tolist() == [-1.0, -0.5, 0.0, 127 / 128]


def test_the_ensemble_has_three_members():
    assert MEMBERS == ("densenet121", "inception_resnet_v2", "xception65")


@pytest.mark.parametrize("member", MEMBERS)
def test_every_member_learns_and_gives_one_logit_per_pixel(ensemble, member):
    net = ensemble[member].train()
    batch = images(64)
    logits = net(batch)
    assert logits.shape == (2, 1, 64, 64) and logits.dtype == torch.float32
    nn.functional.binary_cross_entropy_with_logits(logits, (batch[:, :1] > 0).float()).backward()
    silent = [name for name, weights in net.named_parameters() if weights.grad is None or not weights.grad.any()]
    net.zero_grad(set_to_none=True)
    assert silent == []


@pytest.mark.parametrize("member", MEMBERS)
def test_evaluation_is_deterministic_and_takes_any_multiple_of_32(ensemble, member):
    net = ensemble[member].eval()
    with torch.inference_mode():
        batch = images(96, count=1)
        first, again = net(batch), net(batch)
        oblong = net(batch[..., :32, :])
    assert torch.equal(first, again)
    assert first.shape == (1, 1, 96, 96) and oblong.shape == (1, 1, 32, 96)
    assert first.std() > 0


def decoder_parameters(channels, widths=(320, 256, 128, 96, 64)):
    """Two 3 × 3 convolutions with BatchNorm per stage, by hand, and the two-class head."""
    skips, inputs = [*channels[-2::-1], 0], [channels[-1], *widths[:-1]]
    stages = zip(inputs, skips, widths, strict=True)
    return sum(9 * (one + width + skip) * width + 4 * width for one, skip, width in stages) + 2 * widths[-1] + 2


@pytest.mark.parametrize(
    ("member", "channels", "encoder"),
    [
        ("densenet121", (64, 256, 512, 1024, 1024), 6_953_856),
        ("inception_resnet_v2", (64, 192, 320, 1088, 1536), 54_306_464),
    ],
)
def test_unets_have_the_parameters_of_their_encoders_and_of_the_decoder(ensemble, member, channels, encoder):
    net = ensemble[member]
    assert parameters(net.body.encoder) == encoder
    assert parameters(net) == encoder + decoder_parameters(channels)


def test_parameter_counts_stay_what_they_are(ensemble):
    assert [parameters(ensemble[member]) for member in MEMBERS] == [17_362_306, 65_857_698, 41_050_530]


def test_deeplab_runs_at_stride_16_and_reduces_stride_4_to_48_channels(ensemble):
    body = ensemble["xception65"].body.eval()
    with torch.inference_mode():
        low, deep = body.encoder(images(64, count=1))
        assert body(images(64, count=1)).shape == (1, 256, 16, 16)
    assert low.shape == (1, 256, 16, 16) and deep.shape == (1, 2048, 4, 4)
    assert body.reduce[0].weight.shape == (48, 256, 1, 1)
    dilations = [part.dilation for part in body.pyramid.modules() if isinstance(part, nn.Conv2d) if part.groups > 1]
    assert dilations == [(6, 6), (12, 12), (18, 18)]


def test_maps_of_inception_resnet_halve_exactly_though_its_convolutions_have_no_border(ensemble):
    maps = ensemble["inception_resnet_v2"].body.encoder.eval()
    with torch.inference_mode():
        assert [found.shape[-1] for found in maps(images(64, count=1))] == [32, 16, 8, 4, 2]


def test_weights_of_inception_resnet_fit_after_its_borders_are_added(ensemble):
    plain = timm.create_model("inception_resnet_v2", features_only=True)
    assert set(plain.state_dict()) == set(ensemble["inception_resnet_v2"].body.encoder.state_dict())


@pytest.mark.parametrize("member", MEMBERS[::2])
def test_small_members_do_256_px_and_equal_seeds_give_equal_weights(member):
    made = []
    for seed in (3, 3, 4):
        torch.manual_seed(seed)
        made.append(create_khened(member, pretrained=False, encoder=SMALL).eval())
    states = [torch.cat([value.flatten().float() for value in net.state_dict().values()]) for net in made]
    assert torch.equal(states[0], states[1]) and not torch.equal(states[0], states[2])
    with torch.inference_mode():
        assert made[0](images(256, count=1)).shape == (1, 1, 256, 256)


@pytest.mark.parametrize("member", MEMBERS[::2])
def test_the_logit_is_the_difference_of_two_class_scores(member):
    net = create_khened(member, pretrained=False, encoder=SMALL).eval()
    with torch.inference_mode():
        net.head.weight.zero_()
        net.head.bias.copy_(torch.tensor([0.5, 2.0]))
        made = net(images(32, count=1))
    torch.testing.assert_close(torch.sigmoid(made), torch.softmax(net.head.bias, 0)[1].expand_as(made))


def test_no_relu_ends_the_densenet_encoder_as_in_the_package(ensemble):
    maps = ensemble["densenet121"].body.encoder.eval()
    with torch.inference_mode():
        *_, last = maps(images(64, count=1))
    assert (last < 0).any() and (last > 0).any()


def test_deeplab_drops_a_tenth_of_what_its_pyramid_joins_and_only_in_training(ensemble):
    pyramid = ensemble["xception65"].body.pyramid
    kept = torch.ones(2, 256, 40, 40)
    pyramid.train()
    assert (pyramid.dropout(kept) == 0).float().mean().item() == pytest.approx(0.1, abs=0.01)
    pyramid.join.register_forward_hook(lambda *_: kept)
    assert (pyramid(torch.zeros(2, 2048, 4, 4)) == 0).any()
    pyramid.eval()
    assert torch.equal(pyramid(torch.zeros(2, 2048, 4, 4)), kept)
    pyramid.join._forward_hooks.clear()


def test_deeplab_enlarges_with_corners_aligned(ensemble):
    """From 0 in the first to 1 in the last of 4 columns: a straight ramp over all 16, without a flat rim."""
    net = ensemble["xception65"].eval()
    ramp = torch.linspace(0, 1, 4).expand(1, 256, 4, 4)
    made = []
    hooks = [
        net.body.pyramid.register_forward_hook(lambda *_: ramp),
        net.body.refine.register_forward_pre_hook(lambda _, given: made.append(given[0][:, :256])),
        net.head.register_forward_hook(lambda *_: torch.cat([ramp[:, :1] * 0, ramp[:, :1]], dim=1)),
    ]
    with torch.inference_mode():
        logits = net(images(64, count=1))
    for hook in hooks:
        hook.remove()
    torch.testing.assert_close(made[0][0, 0, 0], torch.linspace(0, 1, 16))
    torch.testing.assert_close(logits[0, 0, 0], torch.linspace(0, 1, 64))


def test_small_members_fit_a_lesion():
    torch.manual_seed(0)
    batch = images(32)
    truth = torch.zeros(2, 1, 32, 32)
    truth[..., 8:24, 4:20] = 1
    batch = batch * 0.2 + truth
    for member in MEMBERS[::2]:
        net = create_khened(member, pretrained=False, encoder=SMALL).train()
        optimiser = torch.optim.Adam(net.parameters(), 1e-3)
        losses = []
        for _ in range(8):
            loss = nn.functional.binary_cross_entropy_with_logits(net(batch), truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(loss.item())
        assert losses[-1] < losses[0] / 2, member


def test_sizes_that_do_not_halve_five_times_are_refused():
    net = create_khened("densenet121", pretrained=False, encoder=SMALL).eval()
    with pytest.raises(ConfigError, match="100 × 64 px") as found:
        net(torch.zeros(1, 3, 64, 100))
    assert found.value.fix == "--set method.patch=256"


def test_a_training_batch_of_one_is_refused_by_deeplab():
    net = create_khened("xception65", pretrained=False, encoder=SMALL).train()
    with pytest.raises(ConfigError, match="batch of 1"):
        net(images(64, count=1))


def test_unknown_members_and_encoders_without_five_maps_are_refused():
    with pytest.raises(ConfigError, match="densenet121, inception_resnet_v2, xception65"):
        create_khened("vgg16", pretrained=False)
    with pytest.raises(ConfigError, match="nobody"):
        create_khened("densenet121", pretrained=False, encoder="nobody")
    for member in MEMBERS[::2]:
        with pytest.raises(ConfigError, match="test_vit"):
            create_khened(member, pretrained=False, encoder="test_vit")


def test_weights_that_cannot_be_had_are_reported(monkeypatch):
    real = timm.create_model

    def offline(name, pretrained=False, **options):
        if pretrained:
            raise OSError("no route to host\nmore")
        return real(name, **options)

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(WeightsError, match=r"'test_resnet' could not be loaded: no route to host\n") as found:
        create_khened("densenet121", pretrained=True, encoder=SMALL)
    assert "encoder_pretrained=false" in found.value.fix


WHITE, PINK, INK, BRIGHT = (240, 240, 240), (200, 100, 160), (20, 10, 90), (250, 236, 246)


def picture():
    """Glass with a pink piece (rows 100 to 159, columns 120 to 199) that has a hole, specks, ink and a faint stain."""
    pixels = np.full((300, 400, 3), WHITE, np.uint8)
    pixels[100:160, 120:200] = PINK
    pixels[120:136, 150:166] = WHITE
    pixels[20:23, 300:303] = PINK
    pixels[250:290, 20:80] = INK
    pixels[200:240, 320:380] = BRIGHT
    return pixels


@pytest.mark.parametrize(("level", "growth"), [(0, 60), (1, 60), (2, 60), (3, 35), (4, 10)])
def test_tissue_is_the_pink_piece_grown_by_the_square_of_its_level(level, growth):
    mask = khened_tissue(picture(), level)
    rows, cols = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    assert (rows.size, cols.size) == (60 + growth - 1, 80 + growth - 1)
    assert mask[rows[0] : rows[-1] + 1, cols[0] : cols[-1] + 1].all()
    assert abs((rows[0] + rows[-1]) / 2 - 129.5) <= 0.5 and abs((cols[0] + cols[-1]) / 2 - 159.5) <= 0.5


def test_a_piece_at_the_border_is_neither_eaten_nor_wrapped():
    pixels = np.full((200, 200, 3), WHITE, np.uint8)
    pixels[:60, :40] = PINK
    mask = khened_tissue(pixels, 4)
    assert mask[:60, :40].all() and not mask[66:].any() and not mask[:, 46:].any()


def test_each_part_of_the_rule_excludes_something():
    """Dark and saturated ink falls to the limit of 50, a bright stain to the three Otsu thresholds, grey to its hue."""
    pixels = np.full((200, 200, 3), WHITE, np.uint8)
    pixels[50:100, 50:100] = PINK
    assert khened_tissue(pixels, 4).any()
    for other in (INK, (100, 100, 100)):
        changed = pixels.copy()
        changed[130:180, 130:180] = other
        assert not khened_tissue(changed, 4)[120:190, 120:190].any()
    tinted = np.full((200, 200, 3), (250, 150, 250), np.uint8)
    tinted[:, :120] = (120, 120, 120)
    assert not khened_tissue(tinted, 4).any()


def test_empty_glass_has_no_tissue():
    assert not khened_tissue(np.full((64, 64, 3), 240, np.uint8), 2).any()


@pytest.mark.parametrize("level", [-1, 5, 8])
def test_other_levels_are_refused_as_released(level):
    with pytest.raises(ConfigError, match=f"level {level} "):
        khened_tissue(picture(), level)


def test_views_are_the_eight_symmetries_and_each_is_undone():
    probe = torch.arange(6.0).reshape(1, 1, 2, 3)
    kept = probe.clone()
    seen = {(tuple(made.shape), tuple(made.flatten().tolist())) for made in (turn.there(probe) for turn in views())}
    assert len(seen) == len(views()) == 8
    assert all(torch.equal(turn.back(turn.there(probe)), probe) for turn in views())
    assert torch.equal(probe, kept) and torch.equal(views()[0].there(probe), probe)


def test_eight_views_of_an_equivariant_net_average_to_itself():
    def net(batch):
        return nn.functional.avg_pool2d(batch[:, :1] - batch[:, 1:2], 3, stride=1, padding=1)

    batch = images(32)[..., :24]
    torch.testing.assert_close(mean_over_views(net, batch), torch.sigmoid(net(batch)))


def test_views_of_a_net_that_sees_directions_average_to_something_symmetric():
    def net(batch):
        return batch[:, :1].cumsum(dim=-1)

    batch = images(32, count=1)
    mean = mean_over_views(net, batch)
    assert not torch.allclose(mean, torch.sigmoid(net(batch)))
    for turn in views():
        torch.testing.assert_close(turn.back(mean_over_views(net, turn.there(batch))), mean)
