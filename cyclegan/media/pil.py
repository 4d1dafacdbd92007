"""PIL images that a script holds in memory."""

from typing import Any, TypeGuard

from PIL import Image

from cyclegan.media.image import Picture, Pixels


def is_pil(frame: Any) -> TypeGuard[Image.Image]:
    """Say whether a frame is a PIL image."""
    return isinstance(frame, Image.Image)


def to_pil(pixels: Pixels, *, like: Picture) -> Image.Image:
    """Return an RGB image of (H, W, 3), or RGBA with the alpha of the picture it was made from."""
    image = Image.fromarray(pixels)
    if like.alpha is not None:
        image.putalpha(Image.fromarray(like.alpha))
    return image
