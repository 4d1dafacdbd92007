"""Gated networks: nothing changes at first, everything learns, any length goes through, and only as said."""

import pytest
import torch
from torch import nn

from cyclegan.networks import NETWORKS, GatedPatchGAN, TwoOneTwo, initialise
from cyclegan.networks.precision import lowered

TINY = {"height": 12, "width": 4, "inner": 8, "blocks": 2, "kernel": 5}


def translator(*, awake: bool = True, **options: int) -> TwoOneTwo:
    """Return a small translator; awake, its last convolution no longer holds zeros."""
    torch.manual_seed(0)
    network = TwoOneTwo(**(TINY | options))
    if awake:
        nn.init.normal_(network.head.conv.weight, std=0.1)
    return network


@pytest.mark.parametrize("frames", [64, 128])
def test_a_new_translator_changes_nothing_at_all(frames: int) -> None:
    network = initialise(translator(awake=False, height=36, kernel=15))
    x = torch.randn(2, 1, 36, frames)
    for signal in (x, x.to(memory_format=torch.channels_last)):
        assert torch.equal(network(signal), x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(network(signal), x), "what is not changed is not rounded either"
    assert not torch.equal(translator(height=36)(x), x)


def test_gradient_reaches_every_parameter_from_the_second_step_on() -> None:
    """At first the last layer, which holds zeros, lets nothing through to those before it."""
    network, goal = translator(awake=False), torch.randn(2, 1, 12, 16)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    x = torch.randn(2, 1, 12, 16)
    for reached in (False, True):
        optimizer.zero_grad()
        (network(x) - goal).square().mean().backward()
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert bool(parameter.grad.any()) is (reached or name.startswith("head")), name
        optimizer.step()


def test_as_many_frames_come_out_as_go_in_if_they_are_a_multiple_of_four() -> None:
    network = translator()
    for frames in (network.smallest, 36, 64, 100, 128):
        assert network(torch.randn(1, 1, 12, frames)).shape == (1, 1, 12, frames)
    for frames in (9, 10, 11, 66):
        with pytest.raises(RuntimeError):
            network(torch.randn(1, 1, 12, frames))
    with pytest.raises(RuntimeError):
        network(torch.randn(1, 1, 16, 64))


def test_a_signal_without_a_mask_is_heard_in_full() -> None:
    network, x = translator(), torch.randn(2, 1, 12, 16)
    whole = torch.ones_like(x)
    assert torch.equal(network(x), network(x, whole))
    whole[0, :, :, 3:7] = 0
    assert not torch.equal(network(x)[0], network(x, whole)[0])
    torch.testing.assert_close(network(x)[1], network(x, whole)[1])  # each signal has its own


def test_a_longer_signal_is_heard_everywhere() -> None:
    network = translator()
    x = torch.randn(1, 1, 12, 400, requires_grad=True)
    network(x).square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().amax((0, 1, 2)) > 0).all()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_results_do_not_depend_on_the_layout_nor_much_on_the_precision(layout: torch.memory_format) -> None:
    network, critic, x = translator(), GatedPatchGAN(width=4, layers=2), torch.randn(2, 1, 12, 16)
    expected, scores = network(x), critic(x)
    laid_out = x.to(memory_format=layout)
    torch.testing.assert_close(network.to(memory_format=layout)(laid_out), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(critic.to(memory_format=layout)(laid_out), scores, rtol=1e-4, atol=1e-4)
    change = (expected - x).abs().mean()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse, judged = network(laid_out), critic(laid_out)
    assert coarse.dtype == judged.dtype == torch.float32
    for found in (coarse, lowered(network)(laid_out)):
        assert (found - expected).abs().mean() < 0.03 * change


def test_what_the_optimised_graph_computes_is_the_same() -> None:
    network, x = translator(), torch.randn(2, 1, 12, 16)
    mask = (torch.rand(2, 1, 1, 16) > 0.3).float().expand_as(x)
    graph = torch.compile(network, backend="aot_eager", fullgraph=True)
    torch.testing.assert_close(graph(x * mask, mask), network(x * mask, mask))
    torch.testing.assert_close(graph(x), network(x))


def test_every_place_of_the_enlarged_has_filters_of_its_own() -> None:
    """One frame in the middle becomes four that can be told apart, which a repeated frame could not."""
    network = translator()
    doubled = network.ups[0](torch.ones(1, 8, 3, 4))[0, :, 2:4, 2:4].flatten(1)
    assert (doubled.std(1) > 0.05).all()


@pytest.mark.parametrize("layers", [0, 1, 3])
def test_a_critic_needs_exactly_the_size_it_declares_and_sees_as_much_as_it_says(layers: int) -> None:
    critic = GatedPatchGAN(width=2, layers=layers)
    smallest = critic.smallest
    assert critic(torch.randn(1, 1, smallest, smallest)).shape[:2] == (1, 1)
    if layers:
        with pytest.raises(ValueError):
            critic(torch.randn(1, 1, smallest - 1, smallest - 1))
    for module in critic.modules():  # norms look at the whole signal, in mean and variance only
        if hasattr(module, "norm"):
            module.norm = nn.Identity()
    for parameter in critic.parameters():
        parameter.data.fill_(0.1)
    x = torch.ones(1, 1, 96, 96, requires_grad=True)
    scores = critic(x)
    assert scores.shape == (1, 1, 96 >> layers, 96 >> layers)
    (slope,) = torch.autograd.grad(scores[0, 0, scores.shape[2] // 2, scores.shape[3] // 2], x)
    assert (slope[0, 0] != 0).any(0).sum() == {0: 5, 1: 9, 3: 33}[layers]


def test_a_critic_has_a_gradient_of_its_gradient() -> None:
    critic, x = GatedPatchGAN(width=4, layers=2), torch.randn(2, 1, 12, 16, requires_grad=True)
    (slope,) = torch.autograd.grad(critic(x).sum(), x, create_graph=True)
    slope.square().sum().backward()  # type: ignore[no-untyped-call]
    for name, parameter in critic.named_parameters():
        assert name == "head.conv.bias" or (parameter.grad is not None and parameter.grad.any()), name


def test_networks_that_published_ones_are_compared_with_are_of_their_size() -> None:
    with torch.device("meta"):
        counts = {name: sum(p.numel() for p in NETWORKS[name]().parameters()) for name in ("2-1-2d", "gated-patchgan")}
        x = torch.empty(2, 1, 36, 128)
        assert TwoOneTwo()(x).shape == x.shape
        assert GatedPatchGAN()(x).shape == (2, 1, 5, 16)
    assert 12e6 < counts["2-1-2d"] < 16e6
    assert 2e6 < counts["gated-patchgan"] < 4e6
