"""A history of fakes, so that critics do not forget what they have seen through."""

import torch
from torch import Tensor, nn


class History(nn.Module):
    """Gives back old fakes for new ones (Shrivastava et al. 2017, §2.3; CycleGAN §4: the last 50).

    Until `size` fakes are kept, each is kept and comes straight back; from then on each is, with even odds, either
    exchanged for one kept earlier or returned as it is. Chance comes from torch's host generator, so that it is
    whatever the caller seeded, on every device.
    """

    kept: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("kept", torch.empty(0))

    def swap(self, fakes: Tensor) -> Tensor:
        """Return as many fakes as were given, (N, C, H, W), detached, some of them from earlier calls."""
        return torch.stack([self._swap(fake) for fake in fakes.detach()]) if self.size else fakes.detach()

    def _swap(self, fake: Tensor) -> Tensor:
        if len(self.kept) < self.size:
            self.kept = torch.cat([self.kept, fake[None]]) if len(self.kept) else fake[None].clone()
            return fake
        if torch.rand(()) < 0.5:
            return fake
        place = int(torch.randint(self.size, ()))
        old = self.kept[place].clone()
        self.kept[place] = fake
        return old

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: object) -> None:
        """Take the kept fakes as they come: how many there are is part of the state."""
        self.kept = state[f"{prefix}kept"].to(self.kept.device).clone()
