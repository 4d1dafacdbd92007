"""Picture formats as they are encoded: the options of each, and those that Pillow does not write by itself."""

import io
from collections.abc import Mapping
from importlib import import_module
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from cyclegan.media.formats.colour_profile import srgb_tag

_CODESTREAMS = (".j2k", ".j2c", ".jpc")  # JPEG 2000 without the boxes of a file


def options(name: str, *, quality: int) -> dict[str, Any]:
    """Return the options that `encode` and Pillow write a format with; JPEG 2000 is written without loss."""
    lossy: dict[str, dict[str, Any]] = {
        "JPEG": {"quality": quality, "subsampling": 0},
        "AVIF": {"quality": quality, "subsampling": "4:4:4"},
        "WEBP": {"quality": quality},
        "HEIF": {"quality": quality},
        "JXL": {"quality": quality},
    }
    return {"icc_profile": srgb_tag(), **lossy.get(name, {})}


def encode(image: Image.Image, file: BinaryIO, name: str, *, suffix: str, **how: Any) -> None:
    """Write an image of mode RGB, RGBA or P into a file; raises whatever the encoder does."""
    if name == "HEIF":
        import_module("pillow_heif").encode(image.mode, image.size, image.tobytes(), file, **how)
    elif name == "JXL":
        _jxl(image, file, how)
    elif name == "JPEG2000":
        whole = io.BytesIO()  # into a file on a full disk Pillow would write without end
        image.save(whole, name, no_jp2=suffix in _CODESTREAMS, **how)
        file.write(whole.getvalue())
    else:
        image.save(file, name, **how)


def _jxl(image: Image.Image, file: BinaryIO, how: Mapping[str, Any]) -> None:
    data: bytes = import_module("pylibjxl").encode(
        np.asarray(image),
        distance=_distance(how["quality"]),
        icc=how["icc_profile"],
        exif=how.get("exif", b"").removeprefix(b"Exif\0\0") or None,
        xmp=how.get("xmp"),
    )
    file.write(data)


def _distance(quality: int) -> float:
    """Return the distance of libjxl for a quality of JPEG, as cjxl maps it; 0 is without loss."""
    if quality >= 100:
        return 0.0
    return 0.1 + (100 - quality) * 0.09 if quality >= 30 else 53 / 3000 * quality**2 - 23 / 20 * quality + 25
