"""Small copies of pictures that a page carries inside."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from cyclegan.errors import InputError
from cyclegan.media.formats.pixels import pil_of
from cyclegan.media.image import Pixels, encode_picture, read_rgb
from cyclegan.reporting.document import address
from cyclegan.reporting.pictures import at_once

SIDE = 128  # pixels, the longer one
LARGEST = 8_000  # bytes; of noise only the coarsest quality comes near it
QUALITIES = (80, 50, 25, 10)


def thumbnails(paths: Iterable[str]) -> dict[str, str]:
    """Return a JPEG of at most SIDE pixels for every path, as an address that holds it; "" for what cannot be read."""
    return at_once(paths, _thumbnail)


def _thumbnail(path: str) -> str:
    try:
        image = pil_of(read_rgb(Path(path)))
    except (InputError, MemoryError):  # it may have gone or changed since; the page says so in its place
        return ""
    image.thumbnail((SIDE, SIDE))
    return address(_encoded(np.asarray(image)), kind="image/jpeg")


def _encoded(pixels: Pixels) -> bytes:
    """Return a JPEG in the best quality that is small enough."""
    data = b""
    for quality in QUALITIES:
        data = encode_picture(pixels, suffix=".jpg", quality=quality)
        if len(data) <= LARGEST:
            break
    return data
