"""The nets against figures of the released code: parameters, multiply-adds, and outputs under made-up weights.

Every weight is a fixed function of its place (`fill`), so that a figure stands for the whole computation.
"""

import math

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmark.learning.nets.axial_attention import AxialBlock, AxialLayer
from benchmark.learning.nets.channel_transformer import ChannelAttention
from benchmark.learning.nets.kiu_net import KiuNet
from benchmark.learning.nets.medt import AxialUnet, MedT
from benchmark.learning.nets.res_unet import ResidualBlock, ResUnetNet
from benchmark.learning.nets.uctransnet import ChannelCrossAttention, UcTransNet
from benchmark.learning.nets.unet import UnetNet


@pytest.fixture(autouse=True)
def double_precision():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


K = torch.arange(1009)
G = ((37 * K**2 + 11 * K) % 1009).double() / 504.5 - 1


def g(count, start=0):
    return G[torch.arange(start, start + count) % 1009]


def fill(net):
    """Weights by their flat index; the net in evaluation mode."""
    for module in net.modules():
        norm = isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.LayerNorm)
        transposed = isinstance(module, nn.ConvTranspose2d)
        for name, value in module.named_parameters(recurse=False):
            size, shape = value.numel(), value.shape
            if not shape:
                continue
            if name == "bias":
                new = 0.1 * g(size, 3)
            elif norm:
                new = 1 + 0.1 * g(size)
            elif name == "weight":
                fan = shape[0] if transposed else size / shape[0]
                new = g(size) * math.sqrt(6 / fan)
            else:
                new = 0.1 * g(size)
            value.data = new.reshape(shape).clone()
    return net.eval()


def x(*shape):
    c, i, j = torch.meshgrid(*(torch.arange(side) for side in shape), indexing="ij")
    return ((7 * i + 3 * j + 5 * c) % 11).to(torch.float64) / 11


def batch(number, *shape):
    return torch.stack([(x(*shape) + 0.1 * b) % 1 for b in range(number)])


def sums(y, **expected):
    """Compare sum, sum of magnitudes, sum weighted by place, first and last value."""
    y = y.detach().flatten()
    figures = {"S": y.sum(), "A": y.abs().sum(), "D": (y * g(y.numel())).sum(), "a0": y[0], "aZ": y[-1]}
    for name, value in expected.items():
        assert figures[name].item() == pytest.approx(value, rel=1e-5, abs=1e-7), name


def near(y, expected, tolerance=2e-6):
    flat = y.detach().flatten()[: len(expected)]
    torch.testing.assert_close(flat, torch.tensor(expected), atol=tolerance, rtol=1e-5)


def size(net):
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize(
    ("make", "side", "parameters", "unused", "multiply_adds"),
    [
        (lambda: UnetNet(1), 224, 14_751_873, 0, 22.65e9),
        (lambda: ResUnetNet(1), 224, 15_317_825, 0, 25.84e9),
        (lambda: UcTransNet(1, side=224), 224, 66_430_657, 0, 38.6e9),
        (lambda: KiuNet(2), 128, 291_234, 74_112, 69.6e9),
        (lambda: KiuNet(2), 32, 291_234, 74_112, 4.35e9),
        (lambda: MedT(2, side=128), 128, 1_560_140, 35_570, 1.16e9),
        (lambda: AxialUnet(2, side=128), 128, 1_326_914, 0, 0.40e9),
        (lambda: AxialUnet(2, side=128, gated=False), 128, 1_326_850, 0, 0.40e9),
    ],
    ids=["unet", "res-unet", "uctransnet", "kiu-net", "kiu-net-32", "medt", "gated-axial", "axial"],
)
def test_parameters_and_cost_are_those_of_the_released_code(make, side, parameters, unused, multiply_adds):
    """`unused`: the released code's parameters that no forward pass reads, which are left out here."""
    with torch.device("meta"):
        net = make()
        images = torch.zeros(1, 3, side, side)
        with FlopCounterMode(display=False) as forward:
            net.eval()(images)
    assert size(net) + unused == parameters
    assert forward.get_total_flops() / 2 == pytest.approx(multiply_adds, rel=0.03)


@pytest.mark.parametrize(
    "make",
    [
        lambda: UnetNet(1),
        lambda: ResUnetNet(1),
        lambda: UcTransNet(1, side=32),
        lambda: KiuNet(2),
        lambda: MedT(2, side=32),
    ],
    ids=["unet", "res-unet", "uctransnet", "kiu-net", "medt"],
)
def test_a_training_step_costs_at_most_three_and_a_half_passes(make):
    with torch.device("meta"):
        net, images = make().train(), torch.zeros(2, 3, 32, 32)
        with FlopCounterMode(display=False) as forward:
            logits = net(images)
        with FlopCounterMode(display=False) as backward:
            logits.sum().backward()
    assert backward.get_total_flops() <= 2.5 * forward.get_total_flops()


def test_unet():
    net = fill(UnetNet(1))
    images = x(3, 32, 32)[None]
    for level, expected in zip(
        net.encoder(images), (19643.126251, 4209.620059, 977.439279, 330.941563, 86.105917), strict=True
    ):
        assert level.abs().sum().item() == pytest.approx(expected, rel=1e-5)
    logits = net(images)
    sums(logits, S=-339.7399201, A=368.4409923, D=6.7618889)
    sums(logits.sigmoid(), S=429.6198420, D=-6.0477631, a0=0.39823315, aZ=0.48296203)
    sums(net.train()(batch(2, 3, 32, 32)).sigmoid(), S=752.7951317, D=-21.0402846, a0=0.32208380, aZ=0.49529263)


def test_res_unet():
    net = fill(ResUnetNet(1))
    sums(net(x(3, 32, 32)[None]), S=-4475.0773590, A=5551.0446616, D=49.8809908, a0=-5.86789640)
    sums(net.train()(batch(2, 3, 32, 32)), S=-1849.3247984, A=2406.8048298)
    wider = [0, 0, 0, 0, 0, 0, 0.142537, 0, 0, 0, 0, 0, 0.899243, 1.862487, 0.662433, 0.924154, 1.361969, 1.443906]
    near(fill(ResidualBlock(2, 3))(x(2, 2, 3)[None]), wider)
    same = [0, 0, 0.8143, 1.089481, 0.781864, 0.84336, 0, 0.283246, 0.978583, 0.714236, 0.832148, 1.256627]
    near(fill(ResidualBlock(3, 3))(x(3, 2, 2)[None]), same)


@pytest.mark.parametrize(
    ("layer", "shape", "expected"),
    [
        (
            AxialLayer(4, 3, "height", groups=2),
            (4, 3, 3),
            "0.142227 0.11662 0.113386 0.136101 0.146477 0.102573 0.14517 0.106473 0.130001 -0.388449 -0.494941"
            " -0.432291 -0.390976 -0.500661 -0.432449 -0.392122 -0.495523 -0.440883 -1.430331 -1.690529 -1.450703"
            " -1.414642 -1.667019 -1.50647 -1.380711 -1.667356 -1.459086 -0.868465 -1.099923 -0.850669 -0.872145"
            " -0.999802 -0.960157 -0.874359 -0.99116 -0.865865",
        ),
        (
            AxialLayer(4, 3, "width", groups=2),
            (4, 3, 3),
            "0.160351 0.164236 0.156865 0.092082 0.139308 0.078017 0.134478 0.12612 0.148571 -0.453929 -0.458906"
            " -0.455739",
        ),
        (
            AxialLayer(4, 4, "width", groups=2, stride=2),
            (4, 4, 4),
            "0.120291 0.120076 0.031089 0.038915 -0.439423 -0.447768 -0.440205 -0.444844 -1.562892 -1.577314 -1.507016"
            " -1.508945 -0.999532 -1.061424 -1.0241 -1.035631",
        ),
        (
            AxialLayer(4, 3, "height", groups=2, position=False),
            (4, 3, 3),
            "0.114582 0.089904 0.08494 0.111918 0.120088 0.07888 0.123023 0.082555 0.105826",
        ),
        (
            AxialLayer(4, 3, "height", groups=2, gated=False),
            (4, 3, 3),
            "0.155459 0.1212 0.13411 0.119445 0.149089 0.081413 0.109486 0.087573 0.113251",
        ),
    ],
    ids=["height", "width", "stride", "no-position", "ungated"],
)
def test_axial_attention(layer, shape, expected):
    near(fill(layer.double())(x(*shape)[None]), [float(value) for value in expected.split()])


def test_axial_block():
    sums(fill(AxialBlock(8, 16, 8))(x(8, 8, 8)[None]), S=556.2928714, D=-5.4772994)


def test_axial_unet():
    net = fill(AxialUnet(2, side=32))
    sums(net(x(3, 32, 32)[None]), S=-3830.9875302, A=5820.8020221, D=65.1376140, a0=0.33619478)
    sums(net.train()(batch(2, 3, 32, 32)), S=-1989.4209218, A=3380.2979490)
    sums(fill(AxialUnet(2, side=128))(x(3, 128, 128)[None]), S=3306.4322105, A=92338.3077965, a0=0.21984821)


def test_medt():
    net = fill(MedT(2, side=128))
    images = x(3, 128, 128)[None]
    stem = net.whole.stem(images)
    sums(stem, S=3119.9152545)
    first = net.whole.layers[0](stem)
    sums(first, S=15236.0978654)
    sums(net.whole.layers[1](first), S=22800.8083807)
    logits = net(images)
    sums(logits, S=-205985.8818063, A=206962.5479542, D=2651.8695401, a0=-0.68924776, aZ=-2.99701206)


def test_patches_of_medt_go_through_the_local_branch_one_by_one_in_training():
    """BatchNorm sees one place at a time: a batch of equal patches is normalised by that patch alone."""
    torch.manual_seed(0)
    net = MedT(2, side=64).train()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        whole = net._local(images)
        corner = net.local(images[:, :, 32:, :32])
    torch.testing.assert_close(whole[:, :, 32:, :32], corner)


def test_gates_of_medt_are_constant_until_they_are_released():
    net = MedT(2, side=32)
    gates = [value for name, value in net.named_parameters() if "gates" in name]
    assert len(gates) == 24 and not any(gate.requires_grad for gate in gates)
    net.train_gates(True)
    assert all(gate.requires_grad for gate in gates)


def test_kiu_net():
    net = fill(KiuNet(2, head_relu=True))
    images = x(3, 16, 16)[None]
    y = net(images)
    sums(y, S=400.0319800, D=39.8641818)
    assert (y == 0).double().mean().item() == pytest.approx(0.474609, abs=1e-6)
    y = net(x(3, 32, 32)[None])
    sums(y, S=1866.4340170, D=-10.3043537)
    assert (y == 0).double().mean().item() == pytest.approx(0.517090, abs=1e-6)
    net.head_relu = False
    sums(net(images), S=-281.7446954, A=1081.8086554, a0=-1.57562560)
    net.head_relu = True
    sums(net.train()(batch(2, 3, 16, 16)), S=213.7582979, D=-14.0906038)


def test_maps_inside_kiu_net():
    net = fill(KiuNet(2))
    seen = {}
    watched = {
        "U1": net.u_down[0].norm,
        "K1": net.k_down[0].norm,
        "U3": net.u_down[2].norm,
        "K3": net.k_down[2].norm,
        "from K": net.fuse_down[2].from_k[1],
        "from U": net.fuse_down[2].from_u[1],
        "U up": net.u_up[2].norm,
        "K up": net.k_up[2].norm,
    }
    for name, norm in watched.items():
        norm.register_forward_hook(lambda _, __, y, name=name: seen.update({name: (y.sum().item(), [*y.shape[1:]])}))
    net(x(3, 16, 16)[None])
    expected = {
        "U1": (437.62422, [16, 8, 8]),
        "K1": (-1395.83927, [16, 32, 32]),
        "U3": (146.38474, [64, 2, 2]),
        "K3": (-437219.73483, [64, 128, 128]),
        "from K": (-390908.14925, [64, 128, 128]),
        "from U": (-90.62740, [64, 2, 2]),
        "U up": (252.79531, [8, 16, 16]),
        "K up": (744.32737, [8, 16, 16]),
    }
    for name, (total, shape) in expected.items():
        assert seen[name] == (pytest.approx(total, rel=1e-6), shape), name


def test_uctransnet():
    net = fill(UcTransNet(1, side=32))
    images = x(3, 32, 32)[None]
    *maps, deep = net.encoder(images)
    skips = net.transformer(maps)
    for skip, expected in zip(skips, (55677.395609, 23396.891013, 12092.823990, 6514.470450), strict=True):
        sums(skip, S=expected)
    sums(net.ups[0](deep, skips[-1]), S=272.5589414)
    sums(net(images).sigmoid(), S=434.3051067, D=-6.2869554, a0=0.45175530, aZ=0.43246676)


def test_parts_of_uctransnet_have_the_size_of_the_released_code():
    with torch.device("meta"):
        net = UcTransNet(1, side=224)
    parts = net.transformer
    embeddings = [size(conv) + place.numel() for conv, place in zip(parts.embed, parts.positions, strict=True)]
    assert embeddings == [1_061_184, 1_073_792, 1_099_008, 1_149_440]
    assert [size(part) for part in parts.reconstruct] == [4_288, 16_768, 66_304, 263_680]
    assert [size(layer) for layer in parts.layers] == 4 * [11_909_440]
    assert [size(up) for up in net.ups] == [3_475_968, 869_632, 217_728, 119_296]


def test_channel_attention():
    widths = (1, 2, 4, 8)
    tokens = []
    for width in widths:
        t, c = torch.meshgrid(torch.arange(3), torch.arange(width), indexing="ij")
        tokens.append(((5 * t + 2 * c + width) % 7).double()[None] / 7)
    attention = fill(ChannelAttention(widths, heads=2, dropout=0.0))
    expected = [
        [1.440044, 1.567677, 1.45105],
        [2.362562, 1.22775, 1.611839, 0.83605, 1.696673, 0.861313],
        [1.311377, -0.328658, -0.568851, 0.390695, 0.732334, -0.108239, -0.496137, 0.187605, 1.051281],
        [0.450423, 0.816807, -0.67842, 1.66941, -0.013143, 0.978506, -0.455106, 0.429728],
    ]
    for y, values in zip(attention(tokens, torch.cat(tokens, dim=2)), expected, strict=True):
        near(y, values)
    for heads in (*attention.queries, attention.keys, attention.values):
        for number, head in enumerate(heads):
            width = head.weight.shape[0]
            head.weight.data = (g(width * width, 17 * number) * math.sqrt(6 / width)).reshape(width, width)
    distinct = attention(tokens, torch.cat(tokens, dim=2))
    near(distinct[0], [0.71263, 0.166008, 0.161622])
    near(distinct[1], [1.374088, 0.746709, 0.812143, 0.496646, 0.604058, 0.253924])


def test_channel_cross_attention():
    y = fill(ChannelCrossAttention(4))(x(4, 3, 3)[None], 1 - x(4, 3, 3)[None])
    sums(y, S=6.66563443, D=-0.87732015)
    near(y, [0, 0.03975881, 0.07951763, 0.09277057])
