"""Opening a picture file: only known formats, only as far as its header, and every complaint in one line."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from PIL import Image, ImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from cyclegan.errors import InputError, out_of_memory, shown
from cyclegan.media.formats import apng, gif, pages, webp
from cyclegan.media.formats.timeline import Timeline

PIXEL_LIMIT = 200_000_000

DAMAGED = "if it does not open in a picture viewer, replace or remove it"

# Image.open is not used: it warns about large pictures in a way that only process-wide settings could silence,
# and these are all the formats that may be opened, by their first bytes. An MPO is read as the JPEG it begins with.
_READERS: dict[bytes, Callable[[BinaryIO], ImageFile.ImageFile]] = {
    b"\xff\xd8\xff": JpegImageFile,
    b"\x89PNG\r\n\x1a\n": PngImageFile,
    b"RIFF": lambda file: WebPImageFile(webp.mended(file)),
    b"GIF8": GifImageFile,
    b"BM": BmpImageFile,
    b"II": TiffImageFile,
    b"MM": TiffImageFile,
}


@contextlib.contextmanager
def complaints(path: Path) -> Iterator[None]:
    """Turn whatever is wrong with a picture file into an InputError."""
    try:
        yield
    except Exception as error:  # decoders raise a dozen types: measured RuntimeError, SyntaxError, ValueError, ...
        if isinstance(error, InputError) or out_of_memory(error):
            raise
        raise InputError(f"{shown(path)}: {reason(error)}", hint=DAMAGED) from error


def reason(error: Exception) -> str:
    """Return in one line why a file cannot be read."""
    if isinstance(error, OSError) and error.strerror:  # from the file system, not from a decoder
        return error.strerror
    return f"cannot be decoded ({shown(' '.join(str(error).split())[:160]) or type(error).__name__})"


def open_file(path: Path) -> BinaryIO:
    """Open a file, and nothing that is none: opening a pipe would wait for ever."""
    if path.exists() and not path.is_file():
        raise InputError(f"{shown(path)}: not a file", hint="name a picture")
    return path.open("rb")


def open_header(file: BinaryIO) -> ImageFile.ImageFile:
    """Parse the header only, and refuse from it what would not fit."""
    head = file.read(16)
    file.seek(0)
    for signature, reader in _READERS.items():
        if head.startswith(signature):
            image = reader(file)
            refuse_large(image)
            return image
    raise ValueError("empty file" if not head else "not a JPEG, PNG, WEBP, BMP, TIFF or GIF")


def refuse_large(image: Image.Image) -> None:
    """Raise ValueError for more pixels than are read, or none."""
    if image.width * image.height > PIXEL_LIMIT:
        limit = f"{PIXEL_LIMIT // 1_000_000} megapixels"
        raise ValueError(f"{image.width} × {image.height} pixels, more than the {limit} that are read")
    if not image.width * image.height:
        raise ValueError(f"{image.width} × {image.height} pixels: nothing to see")


def timeline_of(image: ImageFile.ImageFile, file: BinaryIO) -> Timeline:
    """Read what a file that is open says about its frames; the image stands at the first one before and after."""
    here = file.tell()
    try:
        if isinstance(image, TiffImageFile):
            return pages.timeline(image)
        if isinstance(image, GifImageFile):
            return gif.timeline(file)
        if isinstance(image, WebPImageFile):
            return webp.timeline(file)
        return apng.timeline(file) if getattr(image, "is_animated", False) else Timeline()
    finally:
        file.seek(here)
