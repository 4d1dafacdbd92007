"""CycleGAN as most people run it, in plain float32 eager torch: what styl's speed is measured against.

The networks of 2017 in the layout of their published files, one step of their training, and the straightforward
script around a translator, which this file is when it is run:

    python tools/reference.py PHOTOGRAPHS OUTPUT --weights generator.safetensors

loads each picture, resizes it to a multiple of four, translates it, and saves it under its own name. Nothing is
shared with styl.
"""

import argparse
import itertools
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn


class Block(nn.Module):
    """Two convolutions beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels), nn.ReLU(True)]
        second = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3), nn.InstanceNorm2d(channels)]
        self.conv_block = nn.Sequential(*first, *second)

    def forward(self, x: Tensor) -> Tensor:
        """Return a tensor of the shape of x."""
        return x + self.conv_block(x)


class Generator(nn.Module):
    """The residual generator (Zhu et al. 2017, §7.1)."""

    def __init__(self, *, width: int = 64, blocks: int = 9) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.ReflectionPad2d(3), *finished(nn.Conv2d(3, width, 7))]
        for n in (width, 2 * width):
            layers += finished(nn.Conv2d(n, 2 * n, 3, stride=2, padding=1))
        layers += [Block(4 * width) for _ in range(blocks)]
        for n in (4 * width, 2 * width):
            layers += finished(nn.ConvTranspose2d(n, n // 2, 3, stride=2, padding=1, output_padding=1))
        self.model = nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        """Translate (N, 3, H, W) in [-1, 1]."""
        return self.model(x)


class Critic(nn.Module):
    """The critic of patches (Isola et al. 2017, §3.2.2); three layers see 70 × 70 pixels."""

    def __init__(self, *, width: int = 64, layers: int = 3) -> None:
        super().__init__()
        parts: list[nn.Module] = [nn.Conv2d(3, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
        widths = [width * min(2**level, 8) for level in range(layers + 1)]
        for level, (n_in, n_out) in enumerate(itertools.pairwise(widths), start=1):
            conv = nn.Conv2d(n_in, n_out, 4, stride=1 if level == layers else 2, padding=1)
            parts += [conv, nn.InstanceNorm2d(n_out), nn.LeakyReLU(0.2, True)]
        self.model = nn.Sequential(*parts, nn.Conv2d(widths[-1], 1, 4, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        """Return a score for each patch."""
        return self.model(x)


def finished(conv: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """Return a convolution with what follows it."""
    return [conv, nn.InstanceNorm2d(conv.out_channels), nn.ReLU(True)]


class Game:
    """The step of 2017: least squares, cycle 10, identity 5, critics that are reminded of 50 fakes, two Adams."""

    def __init__(
        self, *, width: int = 64, blocks: int = 9, critic_width: int = 64, layers: int = 3, device: str = "cpu"
    ) -> None:
        with torch.device(device):
            self.G, self.F = (Generator(width=width, blocks=blocks) for _ in range(2))
            self.D_x, self.D_y = (Critic(width=critic_width, layers=layers) for _ in range(2))
        self.translators = [*self.G.parameters(), *self.F.parameters()]
        self.critics = [*self.D_x.parameters(), *self.D_y.parameters()]
        self.step_G = torch.optim.Adam(self.translators, lr=2e-4, betas=(0.5, 0.999))
        self.step_D = torch.optim.Adam(self.critics, lr=2e-4, betas=(0.5, 0.999))
        self.past_x, self.past_y = History(50), History(50)
        self.same, self.square = nn.L1Loss(), nn.MSELoss()

    def play(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Take a step with one batch (N, 3, H, W) in [-1, 1] of each domain; return the losses, unweighted."""
        fake_y = self.G(x)
        back_x = self.F(fake_y)
        fake_x = self.F(y)
        back_y = self.G(fake_x)

        for parameter in self.critics:
            parameter.requires_grad_(False)
        self.step_G.zero_grad()
        terms = {"identity_y": self.same(self.G(y), y), "identity_x": self.same(self.F(x), x)}
        terms |= {"G": self.judged(self.D_y(fake_y), 1.0), "F": self.judged(self.D_x(fake_x), 1.0)}
        terms |= {"cycle_x": self.same(back_x, x), "cycle_y": self.same(back_y, y)}
        cycle, identity = terms["cycle_x"] + terms["cycle_y"], terms["identity_x"] + terms["identity_y"]
        (terms["G"] + terms["F"] + 10 * cycle + 5 * identity).backward()
        self.step_G.step()

        for parameter in self.critics:
            parameter.requires_grad_(True)
        self.step_D.zero_grad()
        terms["D_y"] = self.learn(self.D_y, y, self.past_y.swap(fake_y))
        terms["D_x"] = self.learn(self.D_x, x, self.past_x.swap(fake_x))
        self.step_D.step()
        return {name: term.detach() for name, term in terms.items()}

    def judged(self, scores: Tensor, wanted: float) -> Tensor:
        """Return how far scores are from what is wanted."""
        return self.square(scores, torch.full_like(scores, wanted))

    def learn(self, critic: Critic, real: Tensor, fake: Tensor) -> Tensor:
        """Add a critic's gradients."""
        loss = 0.5 * (self.judged(critic(real), 1.0) + self.judged(critic(fake.detach()), 0.0))
        loss.backward()
        return loss


class History:
    """Gives back old fakes for new ones, half of the time."""

    def __init__(self, size: int) -> None:
        self.size, self.kept = size, list[Tensor]()

    def swap(self, fakes: Tensor) -> Tensor:
        """Return as many fakes, some of them from earlier calls."""
        return torch.cat([self.swap_one(fake[None]) for fake in fakes.detach()])

    def swap_one(self, fake: Tensor) -> Tensor:
        """Return a fake, this one or one kept earlier."""
        if len(self.kept) < self.size:
            self.kept.append(fake)
            return fake
        if random.random() < 0.5:
            return fake
        place = random.randrange(self.size)
        old, self.kept[place] = self.kept[place], fake
        return old


@torch.no_grad()
def translate(network: nn.Module, pixels: np.ndarray, *, device: str = "cpu") -> np.ndarray:
    """Translate one picture, uint8 (H, W, 3)."""
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None].to(device).float() / 127.5 - 1
    y = (network(x)[0].permute(1, 2, 0) + 1) * 127.5
    return y.clamp(0, 255).byte().cpu().numpy()


def take_weights(target: nn.Module, source: nn.Module) -> None:
    """Give a network here the weights of one of styl's: the same convolutions in the same order."""
    pairs: Iterable[Sequence[Any]] = zip(convolutions(target), convolutions(source), strict=True)
    with torch.no_grad():
        for ours, theirs in pairs:
            ours.weight.copy_(theirs.weight)
            ours.bias.zero_() if theirs.bias is None else ours.bias.copy_(theirs.bias)


def convolutions(network: nn.Module) -> list[nn.Module]:
    """Return a network's convolutions."""
    return [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.ConvTranspose2d)]


def main() -> None:
    """Translate a folder."""
    import safetensors.torch
    from PIL import Image

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="named as in the published files")
    parser.add_argument("--device", default="cpu")
    asked = parser.parse_args()
    state = safetensors.torch.load_file(asked.weights)
    blocks = sum(name.endswith("conv_block.1.weight") for name in state)
    network = Generator(width=len(state["model.1.weight"]), blocks=blocks).to(asked.device)
    network.load_state_dict(state)
    asked.output.mkdir(exist_ok=True, parents=True)
    for path in sorted(asked.source.iterdir()):
        picture = Image.open(path).convert("RGB")
        width, height = (max(4, round(side / 4) * 4) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        result = translate(network, np.array(picture), device=asked.device)
        Image.fromarray(result).save(asked.output / path.name)


if __name__ == "__main__":
    main()
