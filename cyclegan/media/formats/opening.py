"""Opening a picture file: only known formats, only as far as its header, and every complaint in one line."""

import contextlib
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.QoiImagePlugin import QoiImageFile
from PIL.TgaImagePlugin import TgaImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cyclegan.errors import InputError, StylError, out_of_memory, shown
from cyclegan.media.formats import apng, boxes, gif, pages, webp
from cyclegan.media.formats.png import StrictPng
from cyclegan.media.formats.timeline import Timeline
from cyclegan.media.kinds import EXTRAS, RAW_SUFFIXES
from cyclegan.media.limits import TooLarge, our_limit, refuse_large
from cyclegan.reading import open_regular

DAMAGED = "if it does not open in a picture viewer, replace or remove it"
_READ = "JPEG, PNG, WEBP, GIF, TIFF, BMP, AVIF, HEIF, JPEG XL, JPEG 2000, PPM, TGA or QOI"
_IN_MEMORY = ("WEBP", "AVIF", "HEIF", "JXL")  # their readers take the file as a whole
_LARGEST_FILE = 2 << 30  # bytes
_LARGEST_ANY = 1 << 50

Opener = Callable[[BinaryIO], ImageFile.ImageFile]


def _jpeg2000(file: BinaryIO) -> ImageFile.ImageFile:
    image = Jpeg2KImageFile(file)
    if profile := boxes.profile_of(file):  # Pillow does not look for it
        image.info["icc_profile"] = profile
    return image


def _heif(file: BinaryIO) -> ImageFile.ImageFile:
    image: ImageFile.ImageFile = import_module("pillow_heif").HeifImageFile(file)
    return image


def _jxl(file: BinaryIO) -> ImageFile.ImageFile:
    image: ImageFile.ImageFile = import_module("pylibjxl.pillow_plugin").JxlImageFile(file)
    return image


# Image.open is not used: it warns about large pictures in a way that only process-wide settings could silence,
# and these are all the formats that may be opened, by their first bytes. An MPO is read as the JPEG it begins with.
_OPENERS: dict[str, Opener] = {
    "JPEG": JpegImageFile,
    "PNG": StrictPng,
    "WEBP": lambda file: WebPImageFile(webp.mended(file)),
    "GIF": GifImageFile,
    "BMP": BmpImageFile,
    "TIFF": TiffImageFile,
    "JPEG2000": _jpeg2000,
    "PPM": PpmImageFile,
    "QOI": QoiImageFile,
    "TGA": TgaImageFile,
    "AVIF": AvifImageFile,
    "HEIF": _heif,
    "JXL": _jxl,
}
_SIGNATURES = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"RIFF": "WEBP",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II": "TIFF",
    b"MM": "TIFF",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\0\0\0\x0cjP  \r\n\x87\n": "JPEG2000",
    b"qoif": "QOI",
    b"\xff\x0a": "JXL",
    b"\0\0\0\x0cJXL \r\n\x87\n": "JXL",
    **dict.fromkeys((b"P1", b"P2", b"P3", b"P4", b"P5", b"P6", b"Pf"), "PPM"),
}


@contextlib.contextmanager
def complaints(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with a picture file into an InputError."""
    try:
        yield
    except TooLarge as error:
        raise InputError(f"{shown(path)}: {error}", hint=error.hint) from error
    except Exception as error:  # decoders raise a dozen types: measured RuntimeError, SyntaxError, ValueError, ...
        if isinstance(error, StylError) or out_of_memory(error):
            raise
        raise InputError(f"{shown(path)}: {reason(error)}", hint=DAMAGED) from error


def reason(error: Exception) -> str:
    """Return in one line why a file cannot be read."""
    if isinstance(error, OSError) and error.strerror:  # from the file system, not from a decoder
        return error.strerror
    if isinstance(error, TooLarge):
        return str(error)
    return f"cannot be decoded ({shown(' '.join(str(error).split())[:160]) or type(error).__name__})"


def open_file(path: Path) -> BinaryIO:
    """Open the file of a picture; raise InputError for what is no regular file, and for a raw photograph."""
    if path.suffix.lower() in RAW_SUFFIXES:
        raise InputError(f"{shown(path)}: a raw photograph", hint="develop it first, and save it as TIFF, PNG or JPEG")
    return open_regular(path, most=_LARGEST_ANY)


def open_header(file: BinaryIO, path: Path) -> ImageFile.ImageFile:
    """Parse the header only, and refuse from it what would not fit."""
    head = file.read(64)
    file.seek(0)
    name = _format_of(head, path)
    if name in _IN_MEMORY and path.stat().st_size > _LARGEST_FILE:
        raise ValueError(f"larger than {_LARGEST_FILE >> 30} GiB")
    width, height = _size(file, name)
    with our_limit(width, height):
        image = _OPENERS[name](file)
    refuse_large(*image.size)
    return image


def _format_of(head: bytes, path: Path) -> str:
    """Return the format of a file by its first bytes, a TGA's by its name; raise where it cannot be read."""
    found = [name for signature, name in _SIGNATURES.items() if head.startswith(signature)]
    name = found[0] if found else boxes.format_of(head) or ("TGA" if path.suffix.lower() == ".tga" and head else "")
    for extra in EXTRAS:
        if extra.format == name and not extra.installed:
            raise InputError(f"{shown(path)}: {name} pictures need a package that is missing", hint=extra.install)
    if not name:
        raise ValueError(f"not a {_READ}" if head else "empty file")
    return name


def _size(file: BinaryIO, name: str) -> tuple[int, int]:
    """Return the width and height where opening is not safe or possible without them, else one pixel."""
    if name not in ("WEBP", "GIF"):
        return 1, 1
    width, height = webp.size(file) if name == "WEBP" else gif.size(file)
    refuse_large(width, height)
    file.seek(0)
    return width, height


def timeline_of(image: ImageFile.ImageFile, file: BinaryIO) -> Timeline:
    """Read what a file that is open says about its frames; the image stands at the first one before and after."""
    here = file.tell()
    try:
        if isinstance(image, TiffImageFile):
            return pages.timeline(file)
        if isinstance(image, GifImageFile):
            return gif.timeline(file)
        if isinstance(image, WebPImageFile):
            return webp.timeline(file)
        if isinstance(image, AvifImageFile):
            return boxes.timeline(file, count=image.n_frames)
        return apng.timeline(file) if isinstance(image, StrictPng) and image.is_animated else Timeline()
    finally:
        file.seek(here)


def first_of(image: Image.Image, timeline: Timeline) -> list[str]:
    """Return a note where a file holds more than the picture that is read of it."""
    if timeline.count > 1:
        return [f"first of {timeline.count} frames"]
    if image.format == "HEIF" and getattr(image, "n_frames", 1) > 1:
        return ["the main one of several pictures"]
    return ["first frame of an animation"] if image.format == "JXL" and getattr(image, "is_animated", False) else []
