"""The VAE: closed forms, true densities, what free bits and the gate keep still; and its network."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cyclegan import catalog
from cyclegan.checkpoint import Checkpoint
from cyclegan.curation.source import Source
from cyclegan.errors import UsageError
from cyclegan.experiment import Experiment, Training
from cyclegan.networks import Autoencoder, initialise
from cyclegan.networks.autoencoder import Encoded
from cyclegan.objectives import Turn
from cyclegan.objectives.vae import VAE, draw, kl, log_likelihood
from cyclegan.training.trainer import Trainer

# --- closed forms


@pytest.mark.parametrize(
    ("mean", "variance", "wanted"),
    [(0.0, 1.0, 0.0), (1.0, 1.0, 0.5), (0.0, math.e, (math.e - 2) / 2), (3.0, 0.25, (0.25 + 9 - 1 + math.log(4)) / 2)],
)
def test_kl_by_hand(mean: float, variance: float, wanted: float) -> None:
    assert float(kl(torch.tensor(mean), torch.tensor(variance).log())) == pytest.approx(wanted, abs=1e-6)


def test_kl_is_what_draws_say() -> None:
    """Monte Carlo: KL = E_q[log q(z) - log p(z)], each latent for itself."""
    torch.manual_seed(0)
    mean, log_variance = torch.tensor([0.8, -1.5, 0.3]), torch.tensor([-1.0, 0.7, -4.0])
    z = draw(mean.expand(200_000, 3), log_variance.expand(200_000, 3))
    normal = torch.distributions.Normal
    q, p = normal(mean, (log_variance / 2).exp()), normal(0.0, 1.0)
    torch.testing.assert_close((q.log_prob(z) - p.log_prob(z)).mean(0), kl(mean, log_variance), rtol=0.01, atol=0)


def test_a_draw_has_its_mean_and_variance_and_hands_gradients_on() -> None:
    """E z² = μ² + σ²: its gradient is 2μ by μ, and σ² by log σ²."""
    torch.manual_seed(0)
    mean, log_variance = torch.tensor([1.2, -0.4], requires_grad=True), torch.tensor([0.5, -1.0], requires_grad=True)
    z = draw(mean.expand(100_000, 2), log_variance.expand(100_000, 2))
    torch.testing.assert_close(z.mean(0), mean, atol=0.02, rtol=0)
    torch.testing.assert_close(z.var(0), log_variance.exp(), atol=0, rtol=0.02)
    by_mean, by_log = torch.autograd.grad(z.square().mean(0).sum(), [mean, log_variance])
    torch.testing.assert_close(by_mean, 2 * mean, atol=0.02, rtol=0.01)
    torch.testing.assert_close(by_log, log_variance.exp(), atol=0.02, rtol=0.01)


# --- the game, with coders anyone can follow


class Fixed(nn.Module):
    """Encodes any picture as the same Gaussian and decodes any latent as the same picture; all of it can be moved."""

    noise: Tensor

    def __init__(self, *, latent: int = 2, labels: int = 0, picture: float = 0.0) -> None:
        super().__init__()
        self.mean, self.log_variance = nn.Parameter(torch.zeros(latent)), nn.Parameter(torch.zeros(latent))
        self.logits, self.picture = nn.Parameter(torch.zeros(labels)), nn.Parameter(torch.tensor(picture))
        self.register_buffer("noise", torch.ones(()))
        self.decoded = 0

    def encode(self, x: Tensor) -> Encoded:
        rows = [p.expand(len(x), -1) for p in (self.mean, self.log_variance, self.logits)]
        return Encoded(*rows)

    def decode(self, z: Tensor) -> Tensor:
        self.decoded += len(z)
        return self.picture + 0 * z.sum() + torch.zeros(len(z), 3, 4, 4)


def turn(V: nn.Module, *batch: Tensor, step: int = 0, **options: Any) -> Turn:
    game = VAE(V=V, **options)
    game.step = step
    (only,) = game.turns(*batch)
    assert only.player == "model"
    return only


def told(only: Turn, name: str) -> float:
    return only.terms[name].item()


def test_the_calibrated_loss_is_the_normal_likelihood_with_the_best_variance() -> None:
    """min over σ of -log N(x; decoded, σ²) = D/2 (log MSE + 1 + log 2π): nats and a constant (σ-VAE, eq. 5)."""
    torch.manual_seed(0)
    x = torch.randn(5, 3, 4, 4) * 0.3
    V = Fixed(picture=0.1)
    nats = told(turn(V, x, beta=0), "nats")
    sigmas = torch.linspace(0.2, 0.6, 4001)
    likelihoods = torch.stack([-torch.distributions.Normal(0.1, s).log_prob(x).sum((1, 2, 3)).mean() for s in sigmas])
    assert float(likelihoods.min()) == pytest.approx(nats + 48 / 2 * (1 + math.log(2 * math.pi)), abs=1e-3)
    assert float(sigmas[likelihoods.argmin()] ** 2) == pytest.approx(float((x - 0.1).square().mean()), rel=1e-2)
    assert float(V.noise) == pytest.approx(float((x - 0.1).square().mean())), "the first error is all that is known"


def test_the_noise_is_the_mean_at_first_and_then_follows() -> None:
    V = Fixed()
    for step, level in enumerate((1.0, 2.0, 3.0)):
        turn(V, torch.full((2, 3, 4, 4), level), step=step, beta=0)
    assert float(V.noise) == pytest.approx((1 + 4 + 9) / 3)
    turn(V, torch.full((2, 3, 4, 4), 10.0), step=5000, beta=0)
    assert float(V.noise) == pytest.approx(0.99 * 14 / 3 + 0.01 * 100)


def test_the_error_is_told_in_levels_of_255() -> None:
    assert told(turn(Fixed(), torch.full((2, 3, 4, 4), 2 / 255)), "error") == pytest.approx(1.0)


def test_the_autoencoder_draws_nothing_and_pays_nothing() -> None:
    class Means(Fixed):
        def decode(self, z: Tensor) -> Tensor:
            assert torch.equal(z, self.mean.expand_as(z))
            return super().decode(z)

    x, V = torch.rand(4, 3, 4, 4), Means()
    state = torch.random.get_rng_state()
    only = turn(V, x, beta=0)
    assert torch.equal(torch.random.get_rng_state(), state)
    assert set(only.terms) == {"error", "nats"}
    assert torch.equal(only.loss, only.terms["nats"])
    with pytest.raises(AssertionError):
        turn(V, x)  # the VAE does draw


@pytest.mark.parametrize("beta", [1.0, 4.0])
def test_the_loss_is_nats_and_beta_times_the_kl_of_a_picture(beta: float) -> None:
    V = Fixed()
    V.mean.data = torch.tensor([1.0, 2.0])
    only = turn(V, torch.rand(4, 3, 4, 4), beta=beta)
    assert told(only, "kl") == pytest.approx(0.5 + 2.0)
    assert only.loss.item() == pytest.approx(told(only, "nats") + beta * 2.5, rel=1e-6)


def test_latents_below_the_free_bits_are_not_pulled() -> None:
    V = Fixed(latent=3)
    V.mean.data = torch.tensor([0.1, 2.0, 0.4])  # 0.005, 2, 0.08 nats
    only = turn(V, torch.rand(4, 3, 4, 4), free_bits=0.05)
    by_mean, by_log = torch.autograd.grad(only.loss, [V.mean, V.log_variance])
    torch.testing.assert_close(by_mean, torch.tensor([0.0, 2.0, 0.4]))
    assert not by_log.any(), "σ = 1 is where the KL is flat"
    assert only.loss.item() - told(only, "nats") == pytest.approx(0.05 + 2 + 0.08, abs=1e-4)
    assert told(only, "kl") == pytest.approx(0.005 + 2 + 0.08), "what is told is the KL itself"


def test_free_bits_are_those_of_a_batch_and_not_of_each_picture() -> None:
    """Kingma et al. 2016, eq. 15: the bound is on what a latent tells on average; 0 and 0.08 nats are 0.04."""

    class Seeing(Fixed):
        def encode(self, x: Tensor) -> Encoded:
            found = super().encode(x)
            return found._replace(mean=found.mean * x[:, 0, 0, :1])

    V = Seeing(latent=1)
    V.mean.data.fill_(0.4)
    only = turn(V, torch.stack([torch.zeros(3, 4, 4), torch.ones(3, 4, 4)]), free_bits=0.03)
    assert only.loss.item() - told(only, "nats") == pytest.approx(0.04, abs=1e-5)


@pytest.mark.parametrize(("gate", "decoded"), [("first", 3), ("all", 8)])
def test_the_gate_decodes_the_first_folder_only_and_the_label_sees_both(gate: Any, decoded: int) -> None:
    """The pictures' gradients say who was compared with what was decoded; cross-entropy by hand."""
    V = Fixed(labels=2)
    V.logits.data = torch.tensor([0.0, math.log(3.0)])  # 1/4 and 3/4
    x, y = torch.rand(3, 3, 4, 4, requires_grad=True), torch.rand(5, 3, 4, 4, requires_grad=True)
    only = turn(V, x, y, label=2.0, gate=gate)
    assert V.decoded == decoded
    of_x, of_y, of_logits = torch.autograd.grad(only.loss, [x, y, V.logits], allow_unused=True, materialize_grads=True)
    assert of_x.abs().min() > 0
    assert bool(of_y.any()) == (gate == "all")
    entropy = (3 * math.log(4) + 5 * math.log(4 / 3)) / 8
    assert told(only, "folder") == pytest.approx(entropy)
    assert only.loss.item() == pytest.approx(told(only, "nats") + told(only, "kl") + 2 * entropy, rel=1e-6)
    torch.testing.assert_close(of_logits, 2 * torch.tensor([1 / 4 - 3 / 8, 3 / 4 - 5 / 8]))


def test_without_a_label_folders_are_not_told() -> None:
    x, y = torch.rand(3, 3, 4, 4), torch.rand(5, 3, 4, 4)
    torch.manual_seed(0)
    apart = turn(Fixed(), x, y)
    torch.manual_seed(0)
    assert torch.equal(apart.loss, turn(Fixed(), torch.cat([x, y])).loss)
    assert set(apart.terms) == {"error", "nats", "kl"}


# --- the bound, where the truth is known

NUMBERS, HIDDEN, NOISE = 10, 2, 0.3


class Linear(nn.Module):
    """The right coder for what is linear and normal: its optimum is the truth (Tipping and Bishop 1999)."""

    noise: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.to_mean, self.back = nn.Linear(NUMBERS, HIDDEN), nn.Linear(HIDDEN, NUMBERS)
        self.log_variance = nn.Parameter(torch.zeros(HIDDEN))
        self.register_buffer("noise", torch.ones(()))

    def encode(self, x: Tensor) -> Encoded:
        mean = self.to_mean(x.flatten(1))
        return Encoded(mean, self.log_variance.expand_as(mean), mean[:, :0])

    def decode(self, z: Tensor) -> Tensor:
        return self.back(z)[:, None, None]


class Truth:
    """x = W h + σ ε, with h and ε normal: log p(x) is that of N(0, W Wᵀ + σ² I)."""

    def __init__(self) -> None:
        chance = torch.Generator().manual_seed(1)
        self.weights = torch.randn(NUMBERS, HIDDEN, generator=chance) * 0.6
        self.density = torch.distributions.MultivariateNormal(
            torch.zeros(NUMBERS), self.weights @ self.weights.T + NOISE**2 * torch.eye(NUMBERS)
        )

    def pictures(self, count: int, *, seed: int) -> Tensor:
        chance = torch.Generator().manual_seed(seed)
        x = torch.randn(count, HIDDEN, generator=chance) @ self.weights.T
        return (x + NOISE * torch.randn(count, NUMBERS, generator=chance))[:, None, None]

    def log_prob(self, x: Tensor) -> Tensor:
        return self.density.log_prob(x.flatten(1))


@pytest.fixture(scope="module")
def learnt() -> tuple[Truth, Linear]:
    """A coder that our trainer taught what is linear and normal."""
    torch.manual_seed(0)
    truth, V, batch, steps = Truth(), Linear(), 128, 500
    training = Training(images=batch * steps, learning_rate=0.03, betas=(0.9, 0.99), decay=0.7, compile="off")
    trainer = Trainer(VAE(V=V), training)
    for _ in trainer.reports([truth.pictures(batch, seed=step + 10)] for step in range(steps)):
        pass
    return truth, V


@torch.no_grad()
def test_the_bound_is_below_the_true_density_and_close(learnt: tuple[Truth, Linear]) -> None:
    truth, V = learnt
    x = truth.pictures(2000, seed=5)
    exact, elbo, close = truth.log_prob(x), log_likelihood(V, x, samples=1), log_likelihood(V, x, samples=64)
    for bound in (elbo, close):
        error = (bound - exact).std() / len(x) ** 0.5
        assert bound.mean() <= exact.mean() + 3 * error
    assert exact.mean() - close.mean() < 0.05
    assert float(V.noise) == pytest.approx(NOISE**2, rel=0.1)


@torch.no_grad()
def test_the_loss_that_is_told_is_the_bound(learnt: tuple[Truth, Linear]) -> None:
    """-(nats + KL) and the constant of the normal density is the ELBO of the very variance that suits best."""
    truth, V = learnt
    x = truth.pictures(20_000, seed=6)
    elbo = log_likelihood(V, x, samples=1).mean()
    only = turn(V, x, step=10**6)
    constant = NUMBERS / 2 * (1 + math.log(2 * math.pi))
    assert only.loss.item() == pytest.approx(told(only, "nats") + told(only, "kl"))
    assert -only.loss.item() - constant == pytest.approx(float(elbo), abs=0.1)


@torch.no_grad()
def test_more_samples_never_lower_the_bound(learnt: tuple[Truth, Linear]) -> None:
    """With a q that is wrong, so that there is something to gain; by much, and still below the truth."""
    truth, V = learnt
    x = truth.pictures(1000, seed=7)
    V.log_variance.data += 2
    try:
        torch.manual_seed(0)
        bounds = [float(log_likelihood(V, x, samples=count).mean()) for count in (1, 4, 16, 64)]
    finally:
        V.log_variance.data -= 2
    assert bounds == sorted(bounds)
    assert bounds[-1] > bounds[0] + 1
    assert bounds[-1] < float(truth.log_prob(x).mean()) + 0.05


# --- the network

SIZES = [(4, 1), (6, 1), (16, 4), (20, 4), (24, 4), (28, 4), (64, 16)]


@pytest.mark.parametrize(("size", "multiple"), SIZES)
def test_the_network_takes_its_size_and_says_what_it_must_be(size: int, multiple: int) -> None:
    """Halved until four to seven pixels are left: any size that is not 4 to 7 times a power of two is refused."""
    network = Autoencoder(size=size, width=2, latent=3, labels=2, channels_in=1, channels_out=2)
    assert (network.multiple, network.size, network.latent) == (multiple, size, 3)
    found = network.encode(torch.rand(5, 1, size, size))
    assert [tuple(part.shape) for part in found] == [(5, 3), (5, 3), (5, 2)]
    assert network.decode(found.mean).shape == network(torch.rand(5, 1, size, size)).shape == (5, 2, size, size)


@pytest.mark.parametrize("size", range(4, 70))
def test_the_declared_multiple_is_the_true_one(size: int) -> None:
    fits = any(size == side << halvings for side in range(4, 8) for halvings in range(6))
    tried = Experiment.load("vae").replace(data__size=max(16, size), translator__width=1)
    if not fits:
        with pytest.raises(AssertionError, match="no multiple"):
            Autoencoder(size=size, width=1)
        if size >= 16:  # the least that data.size can be
            with pytest.raises(UsageError, match=r"data\.size"):
                tried.settled(1)
        return
    tried.settled(1)
    with torch.device("meta"):
        network = Autoencoder(size=size, width=1)
        assert network(torch.empty(1, 3, size, size)).shape == (1, 3, size, size)
        assert network.inner[1] in (4, 5, 6, 7)


def test_gradient_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    network = initialise(Autoencoder(size=16, width=3, latent=4, labels=2), gain=0.3)
    x, y = torch.rand(4, 3, 16, 16), torch.rand(4, 3, 16, 16)
    turn(network, x, y, label=1.0).loss.backward()
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_a_saved_network_is_built_again_with_its_noise_and_the_rest() -> None:
    torch.manual_seed(0)
    spec = {"name": "autoencoder", "size": 16, "width": 3, "latent": 4, "labels": 1, "channels_in": 3}
    network = Autoencoder(**{k: v for k, v in spec.items() if k != "name"})  # type: ignore[arg-type]
    network.noise.fill_(0.25)
    network(torch.rand(8, 3, 16, 16))  # batch norm takes notes
    tensors = {f"V.{name}": tensor for name, tensor in network.state_dict().items()}
    again = catalog.build(Checkpoint({"networks": {"V": spec}}, tensors), "V")
    assert isinstance(again, Autoencoder)
    assert float(again.noise) == 0.25
    x = torch.rand(2, 3, 16, 16)
    assert torch.equal(again.eval()(x), network.eval()(x))


def test_a_source_draws_from_where_the_latents_are() -> None:
    """Far from N(0, I): the mixture goes where the pictures are, and the same generator draws the same."""
    torch.manual_seed(0)
    network = Autoencoder(size=8, width=2, latent=2).eval()
    network.to_latent.bias.data[:2] = torch.tensor([30.0, -20.0])
    batches = [torch.rand(50, 3, 8, 8) * 2 - 1 for _ in range(3)]
    source = Source.fitted(network, batches)
    means = torch.cat([network.encode(batch).mean for batch in batches]).detach()
    drawn = source.latents(4000, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(drawn.mean(0), means.mean(0), rtol=0, atol=0.1 * float(means.std(0).max()))
    torch.testing.assert_close(drawn.std(0), means.std(0), rtol=0.15, atol=0)
    assert torch.equal(drawn, source.latents(4000, generator=torch.Generator().manual_seed(3)))
    assert source.pictures(drawn[:70]).shape == (70, 3, 8, 8)


def test_what_has_no_way_in_is_drawn_from_the_normal_density() -> None:
    class Generator(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.latent, self.paint = 5, nn.Linear(5, 3 * 8 * 8)

        def forward(self, z: Tensor) -> Tensor:
            return self.paint(z).view(-1, 3, 8, 8)

    source = Source.fitted(Generator(), [torch.rand(4, 3, 8, 8)])
    assert source.mixture is None
    drawn = source.latents(20_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.T.cov(), torch.eye(5), rtol=0, atol=0.05)
    assert not source.pictures(drawn[:3]).requires_grad
