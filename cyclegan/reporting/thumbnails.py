"""Small copies of pictures that a page carries inside."""

import base64
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from cyclegan.errors import InputError
from cyclegan.media.formats.pixels import pil_of
from cyclegan.media.image import Pixels, encode_picture, read_rgb

SIDE = 128  # pixels, the longer one
LARGEST = 8_000  # bytes; of noise only the coarsest quality comes near it
QUALITIES = (80, 50, 25, 10)


def thumbnails(paths: Iterable[str]) -> dict[str, str]:
    """Return a JPEG of at most SIDE pixels for every path, as an address that holds it; "" for what cannot be read."""
    every = list(dict.fromkeys(paths))
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:  # decoders leave Python alone
        return dict(zip(every, pool.map(_thumbnail, every), strict=True))


def _thumbnail(path: str) -> str:
    try:
        image = pil_of(read_rgb(Path(path)))
    except (InputError, MemoryError):  # it may have gone or changed since; the page says so in its place
        return ""
    image.thumbnail((SIDE, SIDE))
    return f"data:image/jpeg;base64,{base64.b64encode(_encoded(np.asarray(image))).decode()}"


def _encoded(pixels: Pixels) -> bytes:
    """Return a JPEG in the best quality that is small enough."""
    data = b""
    for quality in QUALITIES:
        data = encode_picture(pixels, suffix=".jpg", quality=quality)
        if len(data) <= LARGEST:
            break
    return data
