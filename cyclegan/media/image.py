"""A picture file becomes upright sRGB pixels, and pixels become a picture file."""

import contextlib
import io
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from cyclegan.errors import UsageError, out_of_memory
from cyclegan.files import atomic
from cyclegan.media.formats.encoders import encode, options
from cyclegan.media.formats.metadata import fitting, metadata_of
from cyclegan.media.formats.opening import complaints, first_of, open_file, open_header, timeline_of
from cyclegan.media.formats.palette import paletted
from cyclegan.media.formats.pixels import Picture, Pixels, decoded, on_white, picture_of, pil_of
from cyclegan.media.kinds import FORMATS

__all__ = [
    "Picture",
    "Pixels",
    "encode_picture",
    "picture_of",
    "pixels_of",
    "read_picture",
    "read_rgb",
    "write_picture",
]

_OPAQUE_FORMATS = ("JPEG", "BMP", "PPM")


def read_picture(path: Path) -> Picture:
    """Read a picture of any known format, or its first frame; raise InputError whatever is wrong with it.

    16 and 32 bits are scaled to 8, never clamped; all colours become sRGB; orientation is applied.
    """
    with complaints(path), open_file(path) as file:
        image = open_header(file, path)
        notes = first_of(image, timeline_of(image, file))
        return Picture(*decoded(image, notes), tuple(notes), metadata_of(image))


def read_rgb(path: Path) -> Pixels:
    """Read a picture, or its first frame, as (H, W, 3) uint8 in sRGB, transparent parts on white; raise InputError."""
    with complaints(path), open_file(path) as file:
        pixels, alpha = decoded(open_header(file, path), [])
    return pixels if alpha is None else on_white(pixels, alpha)


def pixels_of(path: Path) -> int:
    """Return how many pixels a picture has, by its header; raise InputError."""
    with complaints(path), open_file(path) as file:
        image = open_header(file, path)
        return image.width * image.height


def encode_picture(
    pixels: Pixels,
    *,
    suffix: str,
    alpha: Pixels | None = None,
    quality: int = 95,
    metadata: Mapping[str, Any] | None = None,
) -> bytes:
    """Encode (H, W, 3) sRGB pixels, and alpha (H, W), for a suffix such as ".png"; raise UsageError where it cannot.

    `quality` (1 to 100) is for JPEG, WEBP, AVIF, HEIF and JPEG XL. JPEG, BMP and PPM hold no alpha: there it is laid on
    white. `metadata` is that of a Picture.
    """
    buffer = io.BytesIO()
    _save(buffer, pixels, suffix=suffix, alpha=alpha, quality=quality, metadata=metadata or {})
    return buffer.getvalue()


def write_picture(
    path: Path,
    pixels: Pixels,
    *,
    alpha: Pixels | None = None,
    quality: int = 95,
    metadata: Mapping[str, Any] | None = None,
) -> tuple[str, ...]:
    """Write pixels as the format of the suffix of `path`, whole or not at all; raise UsageError or OSError.

    Returns notes about what the format cannot hold. For the rest see encode_picture.
    """
    format_of(path.suffix)  # refuses it before a folder is made
    with atomic(path) as temporary, temporary.open("xb") as file:
        return _save(file, pixels, suffix=path.suffix, alpha=alpha, quality=quality, metadata=metadata or {})


def format_of(suffix: str) -> str:
    """Return the format of a suffix such as ".png"; raise UsageError where it is not known."""
    name = FORMATS.get(suffix.lower())
    if name is None:
        raise UsageError(f"pictures cannot be written as {suffix!r}", hint=f"known: {' '.join(sorted(FORMATS))}")
    return name


def _save(
    file: BinaryIO | io.BytesIO,
    pixels: Pixels,
    *,
    suffix: str,
    alpha: Pixels | None,
    quality: int,
    metadata: Mapping[str, Any],
) -> tuple[str, ...]:
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    name = format_of(suffix)
    more, notes = fitting(metadata, name)
    notes += alpha_notes(alpha, name)
    with refusals(pixels, suffix):
        image, extra = _for_format(pixels, alpha, name)
        encode(image, file, name, suffix=suffix.lower(), **options(name, quality=quality), **more, **extra)
    return tuple(notes)


def _for_format(pixels: Pixels, alpha: Pixels | None, name: str) -> tuple[Image.Image, dict[str, Any]]:
    if name != "GIF":
        return pil_of(pixels, alpha=alpha, flat=name in _OPAQUE_FORMATS), {}
    indices, colours, hidden = paletted(pixels, alpha=alpha)
    image = Image.fromarray(indices)
    image.putpalette(colours)
    return image, {} if hidden is None else {"transparency": hidden}


def alpha_notes(alpha: Pixels | None, name: str) -> list[str]:
    """Return what becomes of alpha in a format that cannot hold it."""
    if alpha is None or name not in (*_OPAQUE_FORMATS, "GIF") or bool((alpha == 255).all()):
        return []
    if name != "GIF":
        return [f"transparent parts laid on white: {name} cannot hold them"]
    partial = bool(((alpha != 0) & (alpha != 255)).any())
    return ["half transparent parts made opaque or transparent: GIF cannot hold them"] if partial else []


@contextlib.contextmanager
def refusals(pixels: Pixels, suffix: str) -> Iterator[None]:
    """Turn the complaints of encoders into a UsageError, and leave those of the file system as they are."""
    try:
        yield
    except (OSError, ValueError, RuntimeError, struct.error) as error:
        if (isinstance(error, OSError) and error.errno) or out_of_memory(error):
            raise
        what = f"{pixels.shape[1]} × {pixels.shape[0]} pixels cannot be written as {suffix!r} ({error})"
        raise UsageError(what, hint="choose .png") from error
