"""A picture file becomes upright sRGB pixels, and pixels become a picture file."""

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageCms, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cyclegan.errors import InputError, UsageError, shown
from cyclegan.files import write_atomic

Pixels = NDArray[np.uint8]

PIXEL_LIMIT = 200_000_000

_DAMAGED = "if it does not open in a picture viewer, replace or remove it"

# Image.open is not used: it warns about large pictures in a way that only process-wide settings could silence,
# and these are all the formats that may be opened, by their first bytes. An MPO is read as the JPEG it begins with.
_READERS: dict[bytes, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"RIFF": WebPImageFile,
    b"GIF8": GifImageFile,
    b"BM": BmpImageFile,
    b"II": TiffImageFile,
    b"MM": TiffImageFile,
}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}
PICTURE_SUFFIXES = frozenset(_FORMATS)


@dataclass(frozen=True)
class Picture:
    """Hold what a file shows: pixels (H, W, 3) upright in sRGB, alpha (H, W) or None, what was done."""

    pixels: Pixels
    alpha: Pixels | None
    notes: tuple[str, ...]


def read_picture(path: Path) -> Picture:
    """Read a JPEG, PNG, WEBP, BMP, TIFF or GIF (its first frame); raise InputError whatever is wrong with it.

    16 and 32 bits are scaled to 8, never clamped; all colours become sRGB; orientation is applied.
    """
    try:
        if path.exists() and not path.is_file():  # opening a pipe would wait for ever
            raise InputError(f"{shown(path)}: not a file", hint="name a picture")
        with path.open("rb") as file:
            return picture_of(_open(file))
    except (InputError, MemoryError):
        raise
    except Exception as error:  # decoders raise a dozen types: measured RuntimeError, SyntaxError, ValueError, ...
        raise InputError(f"{shown(path)}: {_reason(error)}", hint=_DAMAGED) from error


def read_rgb(path: Path) -> Pixels:
    """Read a picture as (H, W, 3) uint8 in sRGB, transparent parts on white; raise InputError."""
    picture = read_picture(path)
    return picture.pixels if picture.alpha is None else _on_white(picture.pixels, picture.alpha)


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:  # from the file system, not from a decoder
        return error.strerror
    return f"cannot be decoded ({shown(' '.join(str(error).split())[:160]) or type(error).__name__})"


def _open(file: BinaryIO) -> ImageFile.ImageFile:
    """Parse the header only, and refuse from it what would not fit."""
    head = file.read(16)
    file.seek(0)
    for signature, reader in _READERS.items():
        if head.startswith(signature):
            image = reader(file)
            _refuse_large(image)
            return image
    raise ValueError("empty file" if not head else "not a JPEG, PNG, WEBP, BMP, TIFF or GIF")


def _refuse_large(image: Image.Image) -> None:
    if image.width * image.height > PIXEL_LIMIT:
        limit = f"{PIXEL_LIMIT // 1_000_000} megapixels"
        raise ValueError(f"{image.width} × {image.height} pixels, more than the {limit} that are read")


def picture_of(image: Image.Image) -> Picture:
    """Return what a PIL image of any mode shows; raises what its decoder does, if it was not decoded yet."""
    notes = list[str]()
    frames = getattr(image, "n_frames", 1)
    if frames > 1:
        notes.append(f"first of {frames} frames")
    layout = str(getattr(image, "tile", ""))  # names the bits per sample of the file; gone after load()
    image.load()
    profile = image.info.get("icc_profile")
    upright = _eight_bits(_upright(image, notes), layout, notes)
    return Picture(_srgb(upright, profile, notes), _alpha(upright), tuple(notes))


def _upright(image: Image.Image, notes: list[str]) -> Image.Image:
    try:
        method = _UPRIGHT.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # as in read_picture: any type, and the pixels are sound
        notes.append("broken EXIF ignored")
        return image
    return image if method is None else image.transpose(method)


def _eight_bits(image: Image.Image, layout: str, notes: list[str]) -> Image.Image:
    """Scale wide samples; PIL itself would clamp them, and has already scaled those of colour pictures."""
    if ";16" in layout and image.mode != "I":
        notes.append("16 bits scaled to 8")
    if image.mode.startswith("I;16"):
        return _from_integers(image, 4095 if "I;12" in layout else 65535)
    if image.mode in ("I", "F"):
        return _from_any_range(image, notes)
    return image.convert("LA") if image.mode == "La" else image


def _from_integers(image: Image.Image, top: int) -> Image.Image:
    values = np.array(image, np.uint32)
    scaled = Image.fromarray(((np.minimum(values, top) * 255 + top // 2) // top).astype(np.uint8))
    hidden = image.info.get("transparency")
    if hidden is not None:
        scaled.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return scaled


def _from_any_range(image: Image.Image, notes: list[str]) -> Image.Image:
    values = np.array(image, np.float64)
    finite = np.isfinite(values)
    if not finite.any():
        raise ValueError("no finite value in it")
    low, high = float(values[finite].min()), float(values[finite].max())
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    else:
        notes.append(f"values {low:g} to {high:g} scaled to 0 to 255")
    values = np.nan_to_num(values, nan=low, posinf=high, neginf=low)
    return Image.fromarray(np.rint((values - low) * (255 / max(high - low, 1e-300))).astype(np.uint8))


def _alpha(image: Image.Image) -> Pixels | None:
    return np.array(image.convert("RGBA").getchannel("A")) if image.has_transparency_data else None


def _srgb(image: Image.Image, profile: bytes | None, notes: list[str]) -> Pixels:
    colours = _opaque(image)
    if profile:
        try:
            return np.array(_through_profile(colours, profile))
        except Exception:  # a colour profile may hold anything; without it the colours are those of most viewers
            notes.append("broken or unfitting colour profile ignored")
    if colours.mode == "LAB":  # PIL has no plain conversion
        colours = _to_srgb(colours, ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")))
    return np.array(colours if colours.mode == "RGB" else colours.convert("RGB"))


def _opaque(image: Image.Image) -> Image.Image:
    """Drop alpha without mixing it in, in a mode that a colour profile may be about."""
    if image.mode in ("L", "RGB", "CMYK", "LAB"):
        return image
    if image.mode in ("1", "LA"):
        return image.convert("L")
    return image.convert("RGBA").convert("RGB")  # PIL warns when a palette with alpha goes straight to RGB


def _through_profile(image: Image.Image, profile: bytes) -> Image.Image:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if source.profile.xcolor_space == "RGB " and image.mode == "L":
        image = image.convert("RGB")
    return _to_srgb(image, source)


def _to_srgb(image: Image.Image, profile: ImageCms.ImageCmsProfile) -> Image.Image:
    srgb = ImageCms.ImageCmsProfile(io.BytesIO(_srgb_tag()))
    converted = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
    assert converted is not None  # None is for work in place
    return converted


@cache
def _srgb_tag() -> bytes:
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[:24] + bytes([7, 208, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]) + made[36:]  # made on 2000-01-01: equal bytes


def _on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    opacity = alpha[..., None].astype(np.uint16)
    return ((pixels * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def encode_picture(pixels: Pixels, *, suffix: str, alpha: Pixels | None = None, quality: int = 95) -> bytes:
    """Encode (H, W, 3) sRGB pixels, and alpha (H, W), for a suffix such as ".png"; raise UsageError where it cannot.

    `quality` (1 to 100) is for JPEG and WEBP. JPEG and BMP hold no alpha: there it is laid on white.
    """
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    name = _FORMATS.get(suffix.lower())
    if name is None:
        raise UsageError(f"pictures cannot be written as {suffix!r}", hint=f"known: {' '.join(sorted(_FORMATS))}")
    if alpha is not None:
        pixels = _on_white(pixels, alpha) if name in ("JPEG", "BMP") else np.dstack((pixels, alpha))
    buffer = io.BytesIO()
    try:
        Image.fromarray(pixels).save(buffer, name, **_options(name, quality))
    except (OSError, ValueError) as error:
        what = f"{pixels.shape[1]} × {pixels.shape[0]} pixels cannot be written as {suffix!r} ({error})"
        raise UsageError(what, hint="choose .png") from error
    return buffer.getvalue()


def _options(name: str, quality: int) -> dict[str, Any]:
    lossy = {"JPEG": {"quality": quality, "subsampling": 0}, "WEBP": {"quality": quality}}
    return {"icc_profile": _srgb_tag(), **lossy.get(name, {})}


def write_picture(path: Path, pixels: Pixels, *, alpha: Pixels | None = None, quality: int = 95) -> None:
    """Write pixels as the format of the suffix of `path`, whole or not at all; raise UsageError or OSError."""
    write_atomic(path, encode_picture(pixels, suffix=path.suffix, alpha=alpha, quality=quality))
