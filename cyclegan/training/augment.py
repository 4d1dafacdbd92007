"""Geometry of one picture on the CPU, on uint8: resize, crop, mirror."""

import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")  # it asks the network for a newer version when imported

import albumentations
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2.functional import resize

from cyclegan import __version__
from cyclegan.experiment import Data
from cyclegan.media.image import read_rgb
from cyclegan.media.kinds import PICTURE_SUFFIXES

LONGEST = 16  # times the short side: a line of pixels would fill the memory once it is as high as the others


class Geometry:
    """Brings pictures of any size to the training size: at random for training, by the middle for sheets.

    A draw is settled where it is no larger and cut no otherwise than what a translator is shown in use: only mirrored.
    Resizing is torchvision's bicubic with antialiasing, the original's (Pillow's) but for rounding; albumentations,
    which would resize without antialiasing, crops and mirrors.
    """

    called, suffixes = "pictures", PICTURE_SUFFIXES

    def __init__(self, data: Data) -> None:
        self.data = data
        mirror = albumentations.HorizontalFlip(p=0.5 if data.flip else 0)
        self.middle = albumentations.CenterCrop(data.size, data.size)
        self.random = albumentations.Compose([albumentations.RandomCrop(data.size, data.size), mirror])
        self.settled = albumentations.Compose([self.middle, mirror])

    @property
    def weight(self) -> int:
        """Bytes of one draw."""
        return 3 * self.data.size**2

    def made_of(self) -> list[Any]:
        """Return what resized pictures depend on besides the file's content."""
        made_by = [__version__, *(version(name) for name in ("torch", "torchvision", "pillow"))]
        return [*made_by, self.data.fit]

    def read(self, path: Path) -> NDArray[np.uint8]:
        """Decode a picture as (H, W, 3); raises InputError."""
        return read_rgb(path)

    def facts(self, path: Path, pixels: NDArray[np.uint8]) -> dict[str, Any]:
        """Return a picture's size, and how much of tones and colours it has."""
        height, width, _ = pixels.shape
        sized = self.resize(pixels, short=self.short_side())
        return {
            "height": height,
            "width": width,
            "spread": round(_spread(sized), 2),
            "colour": round(_colour(sized), 2),
        }

    def short_side(self, *, settled: bool = False) -> int:
        """Return how many pixels the short side has from which a draw is cut."""
        return self.data.size if settled else round(self.data.size * self.data.enlarge)

    def short_sides(self) -> list[int]:
        """Return every short side that the draws of a training are cut from, the usual one first."""
        settled = [self.short_side(settled=True)] if self.data.settle else []
        return list(dict.fromkeys([self.short_side(), *settled]))

    def draw(self, pixels: NDArray[np.uint8], *, seed: int, settled: bool = False) -> Tensor:
        """Return a random view of (H, W, C) as uint8 (C, size, size): a function of the picture and the seed."""
        large = self.resize(pixels, short=self.short_side(settled=settled))
        chance = self.settled if settled else self.random
        chance.set_random_seed(seed % 2**32)  # without it, every worker would repeat the same draws
        return _to_tensor(chance(image=large)["image"])

    def fixed(self, pixels: NDArray[np.uint8]) -> Tensor:
        """Return the middle of (H, W, C) as uint8 (C, size, size), nothing left to chance."""
        return _to_tensor(self.middle(image=self.resize(pixels, short=self.data.size))["image"])

    def resize(self, pixels: NDArray[np.uint8], *, short: int) -> NDArray[np.uint8]:
        """Return (H, W, C) with a short side of `short` pixels, or squashed to a square; once resized, it stays so."""
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
    return torch.from_numpy(np.stack(cv2.split(pixels)))  # several times faster than turning the axes


def _spread(pixels: NDArray[np.uint8]) -> float:
    """Return the largest standard deviation of a channel; channel by channel is ten times faster than at once."""
    return max(float(pixels[..., c].std(dtype=np.float32)) for c in range(pixels.shape[2]))


def _colour(pixels: NDArray[np.uint8]) -> float:
    """Return the mean distance between the largest and the smallest channel."""
    red, green, blue = (pixels[..., c] for c in range(3))
    largest, smallest = (choose(choose(red, green), blue) for choose in (np.maximum, np.minimum))
    return float((largest - smallest).mean())
