"""What people wrote into a picture file: EXIF, XMP, text. Private, so it goes into an output on request only."""

import re
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

_Tag = ExifTags.Base

# Of the first directory what describes, nothing that lays out the file, and not the orientation: pixels are upright.
_DESCRIBING = {
    _Tag.ImageDescription, _Tag.Make, _Tag.Model, _Tag.Software, _Tag.DateTime, _Tag.Artist, _Tag.HostComputer,
    _Tag.Copyright, _Tag.Rating, _Tag.RatingPercent, _Tag.XPTitle, _Tag.XPComment, _Tag.XPAuthor, _Tag.XPKeywords,
    _Tag.XPSubject,
}  # fmt: skip
_DIRECTORIES = (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo)
_UNTRUE = {_Tag.ColorSpace, _Tag.ExifImageWidth, _Tag.ExifImageHeight}  # colours and orientation have changed

_TURNED = re.compile(rb"(tiff:Orientation(?:=[\"']|>))\d")
_PREVIEW = re.compile(rb"<(xmp:Thumbnails)\b.*?</\1>", re.DOTALL)  # shows the picture as it was
_XMP_TEXT = "XML:com.adobe.xmp"

_HELD = {  # what of it a format has a place for
    "JPEG": ("exif", "xmp"),
    "PNG": ("exif", "xmp", "text"),
    "WEBP": ("exif", "xmp"),
    "TIFF": ("exif", "xmp"),
    "AVIF": ("exif", "xmp"),
    "HEIF": ("exif", "xmp"),
    "JXL": ("exif", "xmp"),
}
_NAMES = {"exif": "EXIF", "xmp": "XMP", "text": "text"}
_JPEG_LIMIT = 65_000  # bytes of a segment


def metadata_of(image: Image.Image) -> Mapping[str, Any]:
    """Return the EXIF (without orientation, layout and thumbnail), XMP and text of an image whose file is open."""
    xmp = image.info.get("xmp")
    text = getattr(image, "text", {})
    found = {
        "exif": _exif(image),
        "xmp": _PREVIEW.sub(b"", _TURNED.sub(rb"\g<1>1", xmp)) if isinstance(xmp, bytes) else b"",
        "text": {k: str(v) for k, v in text.items() if k != _XMP_TEXT and not k.startswith("Raw profile type")},
    }
    return {name: value for name, value in found.items() if value}


def _exif(image: Image.Image) -> bytes:
    kept = Image.Exif()
    try:
        found = image.getexif()
        kept.update({tag: value for tag, value in found.items() if tag in _DESCRIBING})
        for directory in _DIRECTORIES:
            if entries := {tag: value for tag, value in found.get_ifd(directory).items() if tag not in _UNTRUE}:
                kept[directory] = entries
        return kept.tobytes() if kept else b""
    except Exception:  # as in decoded(), which has noted it: any type, and the pixels are sound
        return b""


def fitting(metadata: Mapping[str, Any], name: str) -> tuple[dict[str, Any], list[str]]:
    """Return the options that make PIL write metadata into a format such as "PNG", and notes on what it cannot hold."""
    held = {key: value for key, value in metadata.items() if key in _HELD.get(name, ())}
    if name == "JPEG":
        held = {key: value for key, value in held.items() if len(value) <= _JPEG_LIMIT}
    lost = [_NAMES[key] for key in metadata if key not in held]
    notes = [f"{' and '.join(lost)} left out: {name} cannot hold it"] if lost else []
    if name == "PNG" and held:
        return {"exif": held.get("exif", b""), "pnginfo": _png(held)}, notes
    if name == "TIFF" and held:
        return {"exif": _tiff(held)}, notes
    return held, notes


def _tiff(held: Mapping[str, Any]) -> Image.Exif:
    tags = Image.Exif()
    tags.load(held.get("exif", b""))
    if "xmp" in held:
        tags[_Tag.XMLPacket] = held["xmp"]
    return tags


def _png(held: Mapping[str, Any]) -> PngInfo:
    chunks = PngInfo()
    for key, value in held.get("text", {}).items():
        chunks.add_itxt(key, value)
    if "xmp" in held:
        chunks.add_itxt(_XMP_TEXT, held["xmp"].decode("utf-8", "replace"))
    return chunks
