"""Pixels become the at most 256 colours of a GIF."""

import math

import numpy as np
from PIL import Image

from cyclegan.media.formats.pixels import Pixels

OPAQUE = 128  # alpha from here on counts as opaque
_SAMPLE = 96 * 96  # pixels that the palette is made from: more are slower and measured no better
_SETTLED = 100  # of them still changing their colour; fewer are twice as slow for 0.1 dB


def paletted(pixels: Pixels, *, alpha: Pixels | None = None) -> tuple[Pixels, bytes, int | None]:
    """Return indices (H, W), RGB triples for them, and, where there is alpha, the index that is transparent.

    At most 256 colours, 255 beside alpha, are kept to the last bit; more are brought to as many and dithered.
    """
    if alpha is None:
        return *_indexed(pixels, 256), None
    hidden = alpha < OPAQUE
    visible = pixels[~hidden]
    filling = visible[0] if visible.size else np.zeros(3, np.uint8)
    indices, colours = _indexed(np.where(hidden[..., None], filling, pixels), 255)
    transparent = len(colours) // 3
    return np.where(hidden, np.uint8(transparent), indices), colours + bytes(3), transparent


def _indexed(pixels: Pixels, limit: int) -> tuple[Pixels, bytes]:
    image = Image.fromarray(pixels)
    if image.getcolors(limit) is None:
        return _dithered(image, limit)
    packed = pixels.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    colours, indices = np.unique(packed, return_inverse=True)
    triples = np.stack((colours >> 16, colours >> 8 & 255, colours & 255), axis=-1)
    return indices.reshape(packed.shape).astype(np.uint8), triples.astype(np.uint8).tobytes()


def _dithered(image: Image.Image, limit: int) -> tuple[Pixels, bytes]:
    """Use one palette of the picture's own and Floyd-Steinberg.

    Measured on 480p of a riding film, against the nearest colour alone: no bands in the sky, 44.4 dB instead of 40.2 as
    seen from afar, files a quarter larger, and what stands still changes by 2.5 levels a frame instead of 2.0.
    """
    step = math.ceil((image.width * image.height / _SAMPLE) ** 0.5)
    size = max(1, image.width // step), max(1, image.height // step)
    sample = image.resize(size, Image.Resampling.NEAREST)
    palette = sample.quantize(limit, method=Image.Quantize.MEDIANCUT, kmeans=_SETTLED)
    chosen = image.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    return np.asarray(chosen), bytes(palette.getpalette() or [])[: 3 * limit]
