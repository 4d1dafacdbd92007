"""A history of fakes, so that critics do not forget what they have seen through."""

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn

from cyclegan.chance import seed_for


def _alone(fakes: Tensor) -> list[Tensor]:
    return [fakes]


class History(nn.Module):
    """Gives back old fakes for new ones (Shrivastava et al. 2017, §2.3; CycleGAN §4: the last 50).

    Until `size` fakes are kept, each is kept and comes straight back; from then on each is, with even odds, either
    exchanged for one kept earlier or returned as it is. What happens to a fake depends only on how many came before
    it. Processes that play together keep one history: `gather` brings the fakes of all, in the order of their `rank`.
    Whoever plays settles it after every step, so that none is kept of a step that was skipped.
    """

    kept: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.count = size, 0
        self.gather: Callable[[Tensor], list[Tensor]] = _alone
        self.rank = 0
        self.added = 0  # since it was settled last
        self.replaced: dict[int, Tensor] = {}  # since then, by place
        self.register_buffer("kept", torch.empty(0))

    def swap(self, fakes: Tensor) -> Tensor:
        """Return as many fakes as were given, (N, C, H, W), detached, some of them from earlier calls."""
        if not self.size:
            return fakes.detach()
        if len(self.kept) and self.kept.shape[1:] != fakes.shape[1:]:  # a run that goes on with another size
            self.kept = self.kept[:0]
        swapped = [torch.stack([self._swap(fake) for fake in theirs]) for theirs in self.gather(fakes.detach())]
        return torch.empty_like(fakes).copy_(swapped[self.rank])  # laid out in memory as they came

    def _swap(self, fake: Tensor) -> Tensor:
        chance = random.Random(seed_for("history", self.count))
        self.count += 1
        if len(self.kept) < self.size:
            self.kept = torch.cat([self.kept, fake[None]]) if len(self.kept) else fake[None].clone()
            self.added += 1
            return fake
        if chance.random() < 0.5:
            return fake
        place = chance.randrange(self.size)
        old = self.kept[place].clone()
        self.replaced.setdefault(place, old)
        self.kept[place] = fake
        return old

    def settle(self, skipped: Tensor) -> None:
        """Give back what was kept before the step where it was skipped (1, else 0).

        Waits for the device only while the history is being filled, since its length must be known.
        """
        if self.added and skipped > 0:
            self.kept = self.kept[: -self.added]
        for place, old in self.replaced.items():
            if place < len(self.kept):  # else it came in this step
                self.kept[place] = torch.where(skipped > 0, old, self.kept[place])
        self.added, self.replaced = 0, {}

    def get_extra_state(self) -> Tensor:
        """Return how many fakes came by."""
        return torch.tensor(self.count)

    def set_extra_state(self, state: Tensor) -> None:
        """Take up the count."""
        self.count = int(state)

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
        """Take the kept fakes as they come: how many there are is part of the state."""
        self.kept = state[f"{prefix}kept"].to(self.kept.device).clone()
        self.set_extra_state(state[f"{prefix}_extra_state"])
