"""PIL images that a script holds in memory, to and from arrays."""

from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def is_pil(frame: Any) -> TypeGuard[Image.Image]:
    """Say whether a frame is a PIL image."""
    return isinstance(frame, Image.Image)


def from_pil(image: Image.Image) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
    """Return the colours (H, W, 3) of an image of any mode, and its alpha (H, W) where it has one."""
    alpha = np.asarray(image.convert("RGBA").getchannel("A")) if image.has_transparency_data else None
    return np.asarray(image.convert("RGB")), alpha


def to_pil(pixels: NDArray[np.uint8], *, alpha: NDArray[np.uint8] | None = None) -> Image.Image:
    """Return an RGB image, or RGBA where an alpha (H, W) is given."""
    image = Image.fromarray(pixels)
    if alpha is not None:
        image.putalpha(Image.fromarray(alpha))
    return image
