"""Geometry of one picture on the CPU, on uint8: resize, crop, mirror."""

import os

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for a newer version when imported

import albumentations
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from cyclegan.experiment import Data

LONGEST = 16  # times the short side: a line of pixels would fill the memory once it is as high as the others


class Geometry:
    """Brings pictures of any size to the training size: at random for training, by the middle for sheets.

    Resizing is torchvision's bicubic with antialiasing, which equals the original's (Pillow's); albumentations, which
    would resize without antialiasing, crops and mirrors.
    """

    def __init__(self, data: Data) -> None:
        self.data = data
        self.random = albumentations.Compose(
            [albumentations.RandomCrop(data.size, data.size), albumentations.HorizontalFlip(p=0.5 if data.flip else 0)]
        )
        self.middle = albumentations.CenterCrop(data.size, data.size)

    def draw(self, pixels: NDArray[np.uint8], *, seed: int) -> Tensor:
        """Return a random view of (H, W, C) as uint8 (C, size, size): a function of the picture and the seed."""
        large = self._resize(pixels, round(self.data.size * self.data.enlarge))
        self.random.set_random_seed(seed % 2**32)  # without it, every worker would repeat the same draws
        return _to_tensor(self.random(image=large)["image"])

    def fixed(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return the middle of (H, W, C) as uint8 (C, size, size), nothing left to chance."""
        return _to_tensor(self.middle(image=self._resize(pixels, self.data.size))["image"])

    def _resize(self, pixels: NDArray[np.uint8], short: int) -> NDArray[np.uint8]:
        height, width = pixels.shape[:2]
        if self.data.fit == "stretch":
            wanted = [short, short]
        else:
            scale = short / min(height, width)
            wanted = [min(max(short, round(side * scale)), LONGEST * short) for side in (height, width)]
        if wanted == [height, width]:
            return pixels
        view = torch.from_numpy(pixels.copy()).permute(2, 0, 1)  # channels last, as it lies: several times faster
        resized = resize(view, wanted, interpolation=InterpolationMode.BICUBIC, antialias=True)
        return np.asarray(resized.permute(1, 2, 0))


def _to_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(np.array(pixels, copy=True, order="C")).permute(2, 0, 1).contiguous()
