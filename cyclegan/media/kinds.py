"""Which files are pictures, films and sounds, by name, and what their translations are called."""

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
SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff"})
HEARD_SUFFIXES = SOUND_SUFFIXES | FILM_SUFFIXES  # films are heard, too
SUFFIXES = PICTURE_SUFFIXES | FILM_SUFFIXES
_ANIMATED = frozenset({".gif", ".webp", ".apng"})  # picture formats that hold a film


def is_film(path: Path) -> bool:
    """Tell whether a file is called as films are; .gif, .webp and .png may be films, which only reading tells."""
    return path.suffix.lower() in FILM_SUFFIXES


def is_sound(path: Path) -> bool:
    """Tell whether a file is called as sounds are; the sound of a film is in a film."""
    return path.suffix.lower() in SOUND_SUFFIXES


def renamed(wanted: str | None) -> Mapping[str, str]:
    """Return what becomes of each suffix where people want one format; raise UsageError for one that is not known.

    A film format is for films and for GIF; a picture format for pictures, and for films where it holds one; a sound
    format for sounds.
    """
    if wanted is None:
        return {}
    suffix = f".{wanted.lower().removeprefix('.')}"
    if suffix not in SUFFIXES | SOUND_SUFFIXES:
        names = sorted(known.removeprefix(".") for known in SUFFIXES | SOUND_SUFFIXES)
        raise UsageError(f"--format {wanted}: cannot be written", hint=did_you_mean(wanted.lower(), names))
    if suffix in SOUND_SUFFIXES:
        changed = SOUND_SUFFIXES
    elif suffix in FILM_SUFFIXES:
        changed = FILM_SUFFIXES | {".gif"}
    else:
        changed = SUFFIXES if suffix in _ANIMATED else PICTURE_SUFFIXES
    return dict.fromkeys(changed, suffix)
