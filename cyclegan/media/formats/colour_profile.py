"""Colours of any kind become sRGB, through the profile of the file where it carries one."""

import io
from collections.abc import Callable
from functools import cache
from typing import Any

from PIL import Image, ImageCms


def to_srgb(sample: Image.Image, profile: bytes | None, notes: list[str]) -> Callable[[Image.Image], Image.Image]:
    """Return what turns images of the mode of `sample` into RGB in sRGB; adds to `notes` where it ignores the profile.

    Alpha is dropped without mixing it in.
    """
    colours = _opaque(sample)
    if profile:
        try:
            return _through_profile(colours.mode, profile)
        except Exception:  # a colour profile may hold anything; without it the colours are those of most viewers
            notes.append("broken or unfitting colour profile ignored")
    if colours.mode == "LAB":  # PIL has no plain conversion
        lab = _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB")
        return lambda image: _transformed(image, lab)
    return lambda image: _opaque(image).convert("RGB")


def _opaque(image: Image.Image) -> Image.Image:
    """Drop alpha without mixing it in, in a mode that a colour profile may be about."""
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image
    if image.mode in ("1", "LA"):
        return image.convert("L")
    return image.convert("RGBA").convert("RGB")  # PIL warns when a palette with alpha goes straight to RGB


def _through_profile(mode: str, profile: bytes) -> Callable[[Image.Image], Image.Image]:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    grey_in_colour = source.profile.xcolor_space == "RGB " and mode == "L"
    taken = "RGB" if grey_in_colour else mode
    transform = _transform(source, taken)
    return lambda image: _transformed(_opaque(image).convert(taken) if grey_in_colour else _opaque(image), transform)


def _transform(source: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    srgb = ImageCms.ImageCmsProfile(io.BytesIO(srgb_tag()))
    return ImageCms.buildTransform(source, srgb, mode, "RGB")


def _transformed(image: Image.Image, transform: ImageCms.ImageCmsTransform) -> Image.Image:
    converted: Any = ImageCms.applyTransform(image, transform)
    assert isinstance(converted, Image.Image)  # None is for work in place
    return converted


@cache
def srgb_tag() -> bytes:
    """Return the profile of sRGB that every output carries; equal bytes on any day."""
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[:24] + bytes([7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]) + made[36:]  # made on 2000-01-01
