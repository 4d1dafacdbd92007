"""Networks: published sizes, true size requirements, live gradients, and layers equal to torch's."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cyclegan.networks import NETWORKS, PatchGAN, PatchHeads, ResNet, UNet, initialise, instance_norm
from cyclegan.networks.blocks import BlurHalve
from cyclegan.networks.instance_norm import InstanceNorm

TRANSLATORS: list[tuple[str, dict[str, Any]]] = [
    ("resnet", {"width": 4, "blocks": 2}),
    ("resnet", {"width": 4, "blocks": 1, "norm": "batch", "padding": "zero", "dropout": 0.5}),
    ("resnet", {"width": 4, "blocks": 1, "norm": "instance-affine", "resample": "antialiased"}),
    ("resnet", {"width": 4, "blocks": 1, "resample": "nearest", "padding": "zero"}),
    ("resnet", {"width": 4, "blocks": 1, "resample": "light", "separable": True, "kernel": 3}),
    ("resnet", {"blocks": 2, "separable": True, "widths": (4, 6, 10, 5, 7, 6, 3)}),
    ("unet", {"width": 4, "depth": 1}),
    ("unet", {"width": 4, "depth": 3, "norm": "batch"}),
    ("unet", {"width": 2, "depth": 6, "norm": "instance-affine", "dropout": 0.5}),
]
CRITICS: list[tuple[str, dict[str, Any]]] = [
    ("patchgan", {"width": 4, "layers": layers, "norm": norm})
    for layers in (0, 1, 3)
    for norm in ("instance", "instance-affine", "batch", "none")
]


def build(name: str, options: dict[str, Any]) -> nn.Module:
    torch.manual_seed(0)
    return NETWORKS[name](**options)


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


@pytest.mark.parametrize(
    ("name", "options", "published"),
    [
        ("resnet", {}, 11_378_179),
        ("resnet", {"blocks": 6}, 7_837_699),
        ("resnet", {"norm": "batch"}, 11_383_427),
        ("resnet", {"resample": "antialiased"}, 11_378_179),
        ("unet", {}, 54_409_603),
        ("unet", {"norm": "batch", "dropout": 0.5}, 54_413_955),
        ("unet", {"depth": 7}, 41_825_667),
        ("unet", {"depth": 7, "norm": "batch"}, 41_828_995),
        ("patchgan", {}, 2_764_737),
        ("patchgan", {"norm": "instance-affine"}, 2_766_529),
        ("patchgan", {"norm": "batch"}, 2_765_633),
        ("patchgan", {"layers": 0}, 8_705),
        ("patchgan", {"layers": 0, "norm": "batch"}, 8_832),
        ("patchgan", {"layers": 1}, 136_385),
        ("patchgan", {"layers": 2}, 662_977),
        ("patchgan", {"layers": 4}, 6_959_553),
        ("patchgan", {"layers": 5}, 11_154_369),
    ],
)
def test_parameters_are_as_many_as_published(name: str, options: dict[str, Any], published: int) -> None:
    with torch.device("meta"):
        assert count(NETWORKS[name](**options)) == published


@pytest.mark.parametrize(("name", "options"), TRANSLATORS)
def test_translators_keep_exactly_the_sizes_they_declare(name: str, options: dict[str, Any]) -> None:
    network = build(name, options)
    multiple, smallest = network.multiple, network.smallest
    assert smallest % multiple == 0
    for size in (smallest, smallest + multiple):
        for mode in (network.train(), network.eval()):
            x = torch.rand(1, 3, size, smallest) * 2 - 1
            y = mode(x)
            assert y.shape == x.shape
            assert y.abs().max() <= 1
    for size in range(smallest + multiple + 1, smallest + 2 * multiple):
        assert not keeps(network, size, smallest), f"{size} is no multiple of {multiple}"
    assert not keeps(network.train(), smallest - multiple, smallest - multiple)


def keeps(network: nn.Module, height: int, width: int) -> bool:
    x = torch.rand(1, 3, height, width)
    try:
        return network(x).shape == x.shape
    except (RuntimeError, ValueError):
        return False


@pytest.mark.parametrize(("name", "options"), CRITICS)
def test_critics_need_exactly_the_size_they_declare(name: str, options: dict[str, Any]) -> None:
    network = build(name, options)
    smallest = network.smallest
    scores = network(torch.rand(1, 3, smallest, smallest))
    assert scores.shape == ((1, 1, 1, 1) if options["layers"] else (1, 1, smallest, smallest))
    with pytest.raises((RuntimeError, ValueError)):
        network(torch.rand(1, 3, smallest - 1, smallest - 1))


@pytest.mark.parametrize(("name", "options"), TRANSLATORS + CRITICS)
def test_gradient_reaches_every_parameter(name: str, options: dict[str, Any]) -> None:
    network = initialise(build(name, options), gain=0.3).eval()  # eval: dropout must not hide a path
    size = 2 * network.smallest
    network(torch.randn(1, 3, size, size)).square().sum().backward()
    normed = [n.removesuffix("norm") for n, _ in network.named_modules() if n.endswith("norm")]
    useless = {f"{n}{conv}.bias" for n in normed for conv in ("conv", "conv.pointwise", "depthwise")}
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        # a bias before instance norm is subtracted again; it is there because the published files have it
        assert parameter_name in useless or parameter.grad.abs().max() > 0, parameter_name


@pytest.mark.parametrize(("layers", "pixels"), [(0, 1), (1, 16), (2, 34), (3, 70), (4, 142)])
def test_a_patch_has_the_published_size(layers: int, pixels: int) -> None:
    critic = PatchGAN(width=2, layers=layers, norm="none")
    for p in critic.parameters():
        p.data.fill_(0.1)  # all positive: nothing cancels, nothing is cut off
    x = torch.ones(1, 3, 192, 192, requires_grad=True)
    scores = critic(x)
    scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2].backward()
    assert x.grad is not None
    seen = x.grad[0].sum(0) != 0
    assert seen.any(0).sum() == pixels
    assert seen.any(1).sum() == pixels


def test_a_critic_without_norm_has_a_gradient_of_its_gradient() -> None:
    critic = PatchGAN(width=4, norm="none")
    x = torch.randn(2, 3, 32, 32, requires_grad=True)
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    slope.square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for n, p in critic.named_parameters() if "weight" in n)


LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("affine", [False, True])
def test_instance_norm_is_torchs_to_rounding(affine: bool, layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    ours, torchs = InstanceNorm(5, affine=affine), nn.InstanceNorm2d(5, affine=affine)
    ours = initialise(ours, gain=0.5)
    torchs.load_state_dict(ours.state_dict())
    x = (torch.randn(2, 5, 9, 7) * 3 + 1).to(memory_format=layout)
    torch.testing.assert_close(ours(x), torchs(x))
    assert ours(x).is_contiguous(memory_format=layout)
    exact = x.double().requires_grad_()
    assert torch.autograd.gradcheck(ours.double(), exact)
    assert torch.autograd.gradgradcheck(ours, exact)


@pytest.mark.parametrize(("rows", "columns"), [(1, 6), (2, 12), (4, 6)])  # even and uneven, one part and many
def test_instance_norm_in_parts_has_the_gradients_of_the_whole(
    rows: int, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instance_norm, "ROWS", rows)
    monkeypatch.setattr(instance_norm, "COLUMNS", columns)
    torch.manual_seed(0)
    ours = initialise(InstanceNorm(3, affine=True), gain=0.5).double()
    x = (torch.randn(2, 3, 5, 7).double() + 2).to(memory_format=torch.channels_last).requires_grad_()
    assert torch.autograd.gradcheck(ours, x)
    assert torch.autograd.gradgradcheck(ours, x)
    wanted = F.instance_norm(x, weight=ours.weight, bias=ours.bias, eps=ours.eps)
    torch.testing.assert_close(ours(x), wanted, rtol=1e-6, atol=1e-6)  # statistics are float32


@pytest.mark.parametrize(
    "shape", [(8, 6, 64, 64), (3, 8, 61, 127), (1, 64, 256, 256), (1, 2, 1024, 1024), (1, 1, 4096, 4096)]
)
@pytest.mark.parametrize("mean", [0.0, 10.0])
def test_instance_norm_is_exact_to_float32_at_every_size(shape: tuple[int, ...], mean: float) -> None:
    """torch's batch norm, which is as fast, is off by 4e-5 at 256² and by 1e-2 at 2048²."""
    torch.manual_seed(0)
    x = (torch.randn(shape) + mean).to(memory_format=torch.channels_last).requires_grad_()
    exact = x.detach().double().requires_grad_()
    gradient = torch.randn(shape) + 1 + 0.3 * (x.detach() - mean)
    found, wanted = InstanceNorm(shape[1])(x), F.instance_norm(exact)
    found.backward(gradient)
    wanted.backward(gradient.double())
    assert x.grad is not None
    assert exact.grad is not None
    assert (found - wanted).abs().max() < 1e-5
    assert (x.grad - exact.grad).abs().max() < 1e-5 * exact.grad.abs().max()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_instance_norm_rounds_bfloat16_once(layout: torch.memory_format) -> None:
    torch.manual_seed(0)
    coarse = (torch.randn(2, 5, 32, 32) + 50).bfloat16().to(memory_format=layout)  # far from its mean of zero
    found, exact = InstanceNorm(5)(coarse), F.instance_norm(coarse.double())
    assert found.dtype == torch.bfloat16
    assert ((found - exact).abs() <= exact.abs() * 2**-8 + 1e-4).all()  # torch's own: 0.06 off
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert InstanceNorm(5)(coarse).dtype == torch.bfloat16


def test_scores_are_float32_in_mixed_precision() -> None:
    critic = PatchGAN(width=4, layers=1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert critic.stem(torch.rand(1, 3, 16, 16)).dtype == torch.bfloat16
        assert critic(torch.rand(1, 3, 16, 16)).dtype == torch.float32


def test_halving_blurs_with_the_binomial_filter() -> None:
    x = torch.randn(2, 3, 9, 12)
    row = torch.tensor([1.0, 2.0, 1.0]) / 4
    kernel = torch.outer(row, row).expand(3, 1, 3, 3)
    expected = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=3)
    torch.testing.assert_close(BlurHalve()(x), expected)


def test_weights_begin_as_in_2017() -> None:
    torch.manual_seed(0)
    network = initialise(ResNet(blocks=2, width=32, norm="batch"))
    for name, module in network.named_modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            assert abs(module.weight.std() - 0.02) < 0.002, name
            assert abs(module.weight.mean()) < 0.002, name
        elif isinstance(module, nn.BatchNorm2d):
            assert abs(module.weight.mean() - 1) < 0.02, name
            assert 0.01 < module.weight.std() < 0.03, name
    assert all(not p.any() for n, p in network.named_parameters() if n.endswith(".bias"))
    assert initialise(PatchGAN(width=4), gain=1.0).layers[0].conv.weight.std() > 0.5


def test_the_shortcut_of_a_block_is_the_identity_and_is_not_activated() -> None:
    block = ResNet(width=2, blocks=1, norm="batch").blocks[0]
    for p in block.parameters():
        p.data.zero_()
    x = torch.randn(1, 8, 4, 4)
    assert torch.equal(block(x), x)  # negative values too


def test_every_skip_of_the_u_net_carries_something_to_the_picture() -> None:
    """Cut the way through the middle: the picture still follows the input, through each skip alone."""
    torch.manual_seed(0)
    network = initialise(UNet(width=4, depth=4), gain=0.2)
    for level in range(3):
        cut = [up.conv for i, up in enumerate(network.ups) if i == len(network.ups) - 1 - level]
        saved = [c.weight.data.clone() for c in cut]
        for c in cut:  # nothing from deeper than this level reaches the picture
            c.weight.data.zero_()
        assert difference(network) > 1e-4, level
        for c, weight in zip(cut, saved, strict=True):
            c.weight.data.copy_(weight)


def difference(network: nn.Module) -> Tensor:
    torch.manual_seed(1)
    return (network(torch.randn(1, 3, 16, 16)) - network(torch.randn(1, 3, 16, 16))).abs().max()


def test_dropout_works_while_training_only() -> None:
    x = torch.randn(1, 3, 64, 64)
    for network in (ResNet(width=4, blocks=1, dropout=0.5), UNet(width=2, depth=6, dropout=0.5)):
        initialise(network, gain=0.3)
        assert not torch.equal(network(x), network(x))
        network.eval()
        assert torch.equal(network(x), network(x))


def test_pruned_widths_survive_a_table() -> None:
    """A list, as JSON and TOML give it, is as good as a tuple."""
    with torch.device("meta"):
        network = ResNet(blocks=1, widths=[4, 8, 16, 5, 8, 4], separable=True)
    assert network.blocks[0].first.conv.pointwise.weight.shape == (5, 16, 1, 1)


WAYS: list[Callable[[], ResNet | UNet]] = [
    lambda: ResNet(width=4, blocks=6),
    lambda: ResNet(width=4, blocks=2, resample="antialiased", output="residual"),
    lambda: UNet(width=4, depth=3),
]


@pytest.mark.parametrize("build", WAYS)
def test_what_is_seen_on_the_way_changes_nothing(build: Callable[[], ResNet | UNet]) -> None:
    network, x = build().eval(), torch.randn(2, 3, 32, 24)
    translated, seen = network.layered(x)
    assert torch.equal(translated, network(x))
    assert tuple(layer.shape[1] for layer in seen) == network.seen_widths
    sides = [layer.shape[2] for layer in seen]
    assert sides == sorted(sides, reverse=True)
    assert sides[0] == 16, "the first is half as large: colours alone say too little"


def test_heads_give_unit_vectors_at_the_places_asked_for() -> None:
    heads, layer = PatchHeads(channels=[5], width=8), torch.randn(2, 5, 4, 3)
    (everywhere,), (chosen,) = (heads([layer], [places]) for places in (torch.arange(12), torch.tensor([7, 2])))
    assert chosen.shape == (2, 2, 8)
    torch.testing.assert_close(chosen.norm(dim=2), torch.ones(2, 2))
    torch.testing.assert_close(chosen, everywhere[:, [7, 2]])
    layer[:, :, 2, 1] += 1  # place 7 is row 2, column 1
    moved = heads([layer], [torch.tensor([7, 2])])[0]
    assert not torch.equal(moved[:, 0], chosen[:, 0])
    torch.testing.assert_close(moved[:, 1], chosen[:, 1])
