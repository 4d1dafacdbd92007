"""What is played: an objective owns its networks and yields one turn after the other."""

from collections.abc import Iterator, Mapping
from typing import ClassVar, NamedTuple

from torch import Tensor, nn


class Turn(NamedTuple):
    """One move: `player` lowers `loss` (a scalar); `terms` are its parts, for people to read."""

    player: str
    loss: Tensor
    terms: Mapping[str, Tensor]


class Objective(nn.Module):
    """A game of turns over the networks it owns; it knows nothing of loops, devices, optimisers or files.

    `players` names, for each player, the networks whose parameters that player moves.
    `averaged` names the networks people will use: the trainer keeps their moving average.
    `routes` gives, for each way through the objective (source, target as indices of domains), the network that goes it.
    `compared` gives, for some of these ways, a network that does not move and that people will want to compare with.
    `channels_last` says that its networks are faster with tensors that are laid out so.
    `step` and `progress` (0 to 1) say how far the training is; whoever plays sets them before each game.
    Two rules keep turns safe: never ``yield`` inside a ``with``, and nothing in `turns` may wait for the device.
    """

    players: Mapping[str, tuple[str, ...]]
    averaged: ClassVar[tuple[str, ...]]
    routes: ClassVar[Mapping[tuple[int, int], str]]
    compared: ClassVar[Mapping[tuple[int, int], str]] = {}
    channels_last = True
    step = 0
    progress = 0.0

    def turns(self, *batch: Tensor) -> Iterator[Turn]:
        """Yield the moves for one batch: one tensor (N, C, H, W) in [-1, 1] for each domain."""
        raise NotImplementedError

    def now(self, start: float, end: float) -> float:
        """Return a weight that goes in a line from `start` to `end` as the training goes on."""
        return start + (end - start) * self.progress

    def preview(self, *batch: Tensor) -> dict[str, Tensor]:
        """Return named rows of pictures (N, C, H, W) that show a person how far things are."""
        raise NotImplementedError
