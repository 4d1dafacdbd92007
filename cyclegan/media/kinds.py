"""Which files are pictures, films and sounds, by name, and what their translations are called."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from cyclegan.errors import UsageError, did_you_mean


@dataclass(frozen=True)
class Extra:
    """A picture format that a package of its own reads and writes: its suffixes, that package, what installs it."""

    format: str
    suffixes: tuple[str, ...]
    module: str
    install: str

    @property
    def installed(self) -> bool:
        """Say whether the package is there; it is not imported."""
        return find_spec(self.module) is not None


EXTRAS = (
    Extra("AVIF", (".avif", ".avifs"), "PIL._avif", "pip install 'pillow>=11.3'"),
    Extra("HEIF", (".heic", ".heif", ".hif"), "pillow_heif", "pip install 'styl[heif]'"),
    Extra("JXL", (".jxl",), "pylibjxl", "pip install 'styl[jxl]'"),
)
FORMATS = {  # the suffix of a picture that is read and written, and what PIL calls its format
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".jpe": "JPEG",
    ".jfif": "JPEG",
    ".png": "PNG",
    ".apng": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".gif": "GIF",
    ".jp2": "JPEG2000",
    ".jpx": "JPEG2000",
    ".jpf": "JPEG2000",
    ".j2k": "JPEG2000",
    ".j2c": "JPEG2000",
    ".jpc": "JPEG2000",
    ".ppm": "PPM",
    ".pnm": "PPM",
    ".tga": "TGA",
    ".qoi": "QOI",
} | {suffix: extra.format for extra in EXTRAS if extra.installed for suffix in extra.suffixes}
_WITHOUT_COLOUR = frozenset({".pgm", ".pbm", ".pfm"})  # read as PPM, and written as PNG
PICTURE_SUFFIXES = frozenset(FORMATS) | _WITHOUT_COLOUR
FILM_SUFFIXES = frozenset({".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts"})
SOUND_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".aac", ".aif", ".aiff"})
HEARD_SUFFIXES = SOUND_SUFFIXES | FILM_SUFFIXES  # films are heard, too
SUFFIXES = PICTURE_SUFFIXES | FILM_SUFFIXES
WRITTEN_SUFFIXES = frozenset(FORMATS) | FILM_SUFFIXES | SOUND_SUFFIXES
_ANIMATED = frozenset({".gif", ".webp", ".apng"})  # picture formats that hold a film

_RAW = (
    ".3fr .arw .bay .cr2 .cr3 .crw .dcr .dng .erf .fff .gpr .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef .raf"
    " .rw2 .rwl .sr2 .srf .srw .x3f"
)
_OTHER_PICTURES = (
    ".ai .bpg .cur .dds .dib .djvu .emf .eps .exr .flif .hdr .heics .heifs .ico .icns .jls .jng .jxr .kra .mng .mpo"
    " .pam .pcx .pic .pict .psb .psd .ras .rgb .sgi .svg .svgz .wdp .wmf .xbm .xcf .xpm"
)
_OTHER_FILMS = (
    ".264 .265 .3g2 .3gp .asf .braw .divx .dv .f4v .flv .h264 .h265 .hevc .insv .m2v .mpe .mpeg .mpg .mxf .ogm .ogv"
    " .qt .r3d .rm .rmvb .vob .wmv .y4m"
)
_OTHER_SOUNDS = (
    ".3ga .ac3 .aifc .amr .ape .au .caf .dff .dsf .dts .eac3 .m4b .m4r .mka .mp2 .mpc .ra .snd .spx .tta .w64 .weba"
    " .wma .wv"
)
RAW_SUFFIXES = frozenset(_RAW.split())  # many are a TIFF that begins with a small preview, not with the photograph
UNREAD_SUFFIXES = (  # of files that look like pictures, films or sounds, and cannot be read by what is installed
    RAW_SUFFIXES
    | frozenset(f"{_OTHER_PICTURES} {_OTHER_FILMS} {_OTHER_SOUNDS}".split())
    | frozenset(suffix for extra in EXTRAS if not extra.installed for suffix in extra.suffixes)
)


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
    if suffix not in WRITTEN_SUFFIXES:
        raise UsageError(f"--format {wanted}: cannot be written", hint=_instead(suffix))
    if suffix in SOUND_SUFFIXES:
        changed = SOUND_SUFFIXES
    elif suffix in FILM_SUFFIXES:
        changed = FILM_SUFFIXES | {".gif"}
    else:
        changed = SUFFIXES if suffix in _ANIMATED else PICTURE_SUFFIXES
    return dict.fromkeys(changed, suffix)


def _instead(suffix: str) -> str:
    for extra in EXTRAS:
        if suffix in extra.suffixes:
            return extra.install
    return did_you_mean(suffix.removeprefix("."), sorted(known.removeprefix(".") for known in WRITTEN_SUFFIXES))
