"""A decoded PIL image of any mode becomes upright 8-bit sRGB, band by band: at 48 megapixels every copy counts."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from cyclegan.media.formats.colour_profile import to_srgb
from cyclegan.media.limits import our_limit

Pixels = NDArray[np.uint8]
Scaler = Callable[[Image.Image], Image.Image]

_BAND = 1 << 20  # pixels

# How the stored rows and columns lie in the upright picture: rows and columns exchanged, steps along both.
_STORED = {
    2: (False, 1, -1),
    3: (False, -1, -1),
    4: (False, -1, 1),
    5: (True, 1, 1),
    6: (True, -1, 1),
    7: (True, -1, -1),
    8: (True, 1, -1),
}
_UPRIGHT = (False, 1, 1)
_TURNED = ("HEIF", "JXL")  # formats whose decoders turn pictures upright, whatever EXIF says
_DEPTHS = {"HEIF": "bit_depth", "JXL": "bits_per_sample"}  # what readers call the bits that they scale to 8


@dataclass(frozen=True)
class Picture:
    """Hold what a file shows: pixels (H, W, 3) upright in sRGB, alpha (H, W) or None, what was done.

    `metadata` is what people wrote into the file (EXIF, XMP, text), for write_picture if it is to be kept.
    """

    pixels: Pixels
    alpha: Pixels | None
    notes: tuple[str, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)


def picture_of(image: Image.Image) -> Picture:
    """Return what a PIL image of any mode shows; raises what its decoder does, if it was not decoded yet."""
    frames = getattr(image, "n_frames", 1)
    notes = [f"first of {frames} frames"] if frames > 1 else []
    return Picture(*decoded(image, notes), tuple(notes))


def decoded(image: Image.Image, notes: list[str]) -> tuple[Pixels, Pixels | None]:
    """Return pixels (H, W, 3) and alpha (H, W) or None of the frame an image stands at; adds to `notes`.

    Nothing may be asked of an image before, such as its EXIF, that makes Pillow decode it: what cannot be decoded
    fails once only, and the second time Pillow returns what there is.
    """
    with our_limit(*image.size):
        layout = str(getattr(image, "tile", ""))  # names the bits per sample of the file; gone after load()
        image.load()
        return _upright(image, layout, notes)


def _upright(image: Image.Image, layout: str, notes: list[str]) -> tuple[Pixels, Pixels | None]:
    exchanged, down, across = _orientation(image, notes)
    eight_bits = _scaler(image, layout, notes)
    first = eight_bits(image.crop((0, 0, 1, 1)))  # is of the mode that all the bands will be of
    convert = to_srgb(first, image.info.get("icc_profile"), notes)
    shape = (image.width, image.height) if exchanged else (image.height, image.width)
    pixels = np.empty((*shape, 3), np.uint8)
    alpha = np.empty(shape, np.uint8) if first.has_transparency_data else None

    def stored(upright: Pixels) -> Pixels:  # a view: what is written as it lies in the file stands upright
        return (upright.swapaxes(0, 1) if exchanged else upright)[::down, ::across]

    for rows, band in _bands(image):
        narrow = eight_bits(band)
        stored(pixels)[rows] = np.asarray(convert(narrow))
        if alpha is not None:
            stored(alpha)[rows] = np.asarray(narrow.convert("RGBA").getchannel("A"))
    return pixels, alpha


def _bands(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    step = max(1, _BAND // image.width)
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def _orientation(image: Image.Image, notes: list[str]) -> tuple[bool, int, int]:
    if image.format in _TURNED:
        return _UPRIGHT
    try:
        return _STORED.get(image.getexif().get(ExifTags.Base.Orientation, 1), _UPRIGHT)
    except Exception:  # as when reading: any type, and the pixels are sound
        notes.append("broken EXIF ignored")
        return _UPRIGHT


def _scaler(image: Image.Image, layout: str, notes: list[str]) -> Scaler:
    """Return what scales wide samples; PIL itself would clamp them, and has already scaled those of colour pictures."""
    sixteen = image.mode.startswith("I;16") or (image.format == "PPM" and image.mode == "I")
    if image.format in _DEPTHS:
        bits = image.info.get(_DEPTHS[image.format], 8)
    else:
        bits = 16 if sixteen or (";16" in layout and image.mode != "I") else 8
    if bits > 8:
        notes.append(f"{bits} bits scaled to 8")
    if sixteen:
        top = 4095 if "I;12" in layout else 65535
        return lambda band: _from_integers(band, top)
    if image.mode in ("I", "F"):
        low, high = _range(image, notes)
        return lambda band: _from_range(band, low, high)
    if image.mode == "La":
        return lambda band: band.convert("LA")
    return lambda band: band


def _from_integers(band: Image.Image, top: int) -> Image.Image:
    values = np.array(band, np.uint32)
    scaled = Image.fromarray(((np.minimum(values, top) * 255 + top // 2) // top).astype(np.uint8))
    hidden = band.info.get("transparency")
    if hidden is not None:
        scaled.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
    return scaled


def _range(image: Image.Image, notes: list[str]) -> tuple[float, float]:
    finite = ((values := np.asarray(band, np.float64))[np.isfinite(values)] for _, band in _bands(image))
    found = [(values.min(), values.max()) for values in finite if values.size]
    if not found:
        raise ValueError("no finite value in it")
    low, high = float(min(low for low, _ in found)), float(max(high for _, high in found))
    if image.mode == "F" and low >= 0 and high <= 1:
        return 0.0, 1.0
    notes.append(f"values {low:g} to {high:g} scaled to 0 to 255")
    return low, high


def _from_range(band: Image.Image, low: float, high: float) -> Image.Image:
    values = np.nan_to_num(np.array(band, np.float64), nan=low, posinf=high, neginf=low)
    return Image.fromarray(np.rint((values - low) * (255 / max(high - low, 1e-300))).astype(np.uint8))


def on_white(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Return (H, W, 3) with what is transparent by alpha (H, W) laid on white."""
    opacity = alpha[..., None].astype(np.uint16)
    return ((pixels * opacity + 255 * (255 - opacity) + 127) // 255).astype(np.uint8)


def pil_of(pixels: Pixels, *, alpha: Pixels | None = None, flat: bool = False) -> Image.Image:
    """Return an RGB image of (H, W, 3), or RGBA with alpha (H, W); where `flat`, RGB with the alpha laid on white."""
    height, width = pixels.shape[:2]
    image = Image.new("RGB", (width, height))
    step = max(1, _BAND // max(1, width))
    for top in range(0, height, step):
        band = pixels[top : top + step]
        if flat and alpha is not None:
            band = on_white(band, alpha[top : top + step])
        image.paste(Image.fromarray(np.ascontiguousarray(band)), (0, top))
    if alpha is not None and not flat:
        image.putalpha(Image.fromarray(alpha))
    return image
