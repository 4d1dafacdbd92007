"""Differentiable augmentation: critics see changed pictures, so that few are not learnt by heart."""

from collections.abc import Callable

from torch import Tensor, nn


class Augment(nn.Module):
    """Moves and covers a part of pictures, each with a chance (Zhao et al. 2020, DiffAugment: translation and cutout).

    Colours are left alone: they are part of what is translated. Gradients pass through. Chance is torch's generator's.
    """

    def __init__(self, chance: float) -> None:
        from kornia.augmentation import AugmentationSequential, RandomAffine, RandomErasing  # a second, if it is used

        super().__init__()
        self.change = AugmentationSequential(
            RandomAffine(degrees=0, translate=(0.125, 0.125), padding_mode="border", p=chance),
            RandomErasing(scale=(0.1, 0.25), ratio=(0.7, 1.4), p=chance),
        )

    def forward(self, pictures: Tensor) -> Tensor:
        """Return pictures (N, C, H, W), changed."""
        changed: Tensor = self.change(pictures)
        return changed

    def before(self, critic: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        """Return the critic as it judges pictures that were changed."""
        return lambda pictures: critic(self(pictures))
