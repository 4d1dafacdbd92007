"""Which files are pictures and which are films, by name, and what their translations are called."""

from collections.abc import Mapping
from pathlib import Path

from cyclegan.errors import UsageError, did_you_mean

FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gif": "GIF",
}
PICTURE_SUFFIXES = frozenset(FORMATS)
FILM_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts"})
SUFFIXES = PICTURE_SUFFIXES | FILM_SUFFIXES
_ANIMATED = frozenset({".gif", ".webp", ".apng"})  # picture formats that hold a film


def is_film(path: Path) -> bool:
    """Tell whether a file is called as films are; .gif, .webp and .png may be films, which only reading tells."""
    return path.suffix.lower() in FILM_SUFFIXES


def renamed(wanted: str | None) -> Mapping[str, str]:
    """Return what becomes of each suffix where people want one format; raise UsageError for one that is not known.

    A film format is for films and for GIF; a picture format for pictures, and for films where it holds one.
    """
    if wanted is None:
        return {}
    suffix = f".{wanted.lower().removeprefix('.')}"
    if suffix not in SUFFIXES:
        names = sorted(known.removeprefix(".") for known in SUFFIXES)
        raise UsageError(f"--format {wanted}: cannot be written", hint=did_you_mean(wanted.lower(), names))
    if suffix in FILM_SUFFIXES:
        changed = FILM_SUFFIXES | {".gif"}
    else:
        changed = SUFFIXES if suffix in _ANIMATED else PICTURE_SUFFIXES
    return dict.fromkeys(changed, suffix)
