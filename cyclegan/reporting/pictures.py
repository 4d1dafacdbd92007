"""Pictures that a page carries inside, no larger than they are seen."""

import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from cyclegan.errors import InputError
from cyclegan.media.formats.pixels import pil_of
from cyclegan.media.image import Pixels, encode_picture, read_rgb
from cyclegan.reporting.document import address

LARGEST = 250_000  # bytes
STEPS = ((1056, 90), (1056, 75), (800, 75), (640, 65), (480, 50), (320, 30))  # the page's width and less, quality
Step = tuple[int, int]
A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True)
class Image:
    """A picture that the page carries: its address, what is read out in its place, and its size in pixels."""

    uri: str
    alt: str
    width: int
    height: int


def picture(path: Path, *, alt: str, largest: int = LARGEST, steps: Sequence[Step] = STEPS) -> Image | None:
    """Return a file as a picture of about so many bytes at most, None where it is missing or none."""
    try:
        pixels = read_rgb(path)
    except (InputError, OSError, MemoryError):
        return None
    for width, quality in steps:
        shown = _narrowed(pixels, width)
        data = encode_picture(shown, suffix=".webp", quality=quality)
        if len(data) <= largest:
            break
    return Image(address(data, kind="image/webp"), alt, shown.shape[1], shown.shape[0])


def at_once(items: Iterable[A], work: Callable[[A], B]) -> dict[A, B]:
    """Return what becomes of each item, once; decoders leave Python alone, so that threads use all cores."""
    every = list(dict.fromkeys(items))
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        return dict(zip(every, pool.map(work, every), strict=True))


def _narrowed(pixels: Pixels, width: int) -> Pixels:
    if pixels.shape[1] <= width:
        return pixels
    image = pil_of(pixels)
    image.thumbnail((width, image.height))
    return np.asarray(image)
