"""The file of a film: opened no further than its header, only known containers, the stream that is the film."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from cyclegan.errors import InputError, shown
from cyclegan.media.folder import not_there
from cyclegan.media.formats.opening import PIXEL_LIMIT

# Words in other encodings than UTF-8 stop av 18 unless it is told otherwise; av 19 knows no other way.
LENIENT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}

# Playlists (m3u8, ffconcat) and addresses could name any other file or host: only these, and only local ones.
_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts",
    "protocol_whitelist": "file",
    "max_pixels": str(PIXEL_LIMIT),
}
_LIMIT = f"{PIXEL_LIMIT // 1_000_000} megapixels"
UNREADABLE = "its pictures are coded in a way that cannot be read"
DAMAGED = "if it does not open in a film player, replace or remove it"
_CLOCK_TIME = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2}(?:\.\d{1,9})?)", re.ASCII)


def open_container(path: Path) -> InputContainer:
    """Open a film's file; raise InputError in one line whatever is wrong with it."""
    if not path.exists():
        raise not_there(path)
    if not path.is_file():  # opening a pipe would wait for ever
        raise InputError(f"{shown(path)}: not a file", hint="name a film")
    try:
        found: InputContainer = av.open(str(path.resolve()), "r", options=dict(_OPTIONS), **LENIENT)
    except (OSError, ValueError, av.FFmpegError) as error:
        raise InputError(f"{shown(path)}: {_reason(path, error)}", hint=DAMAGED) from error
    return found


def _reason(path: Path, error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, ValueError) and error.strerror:
        return error.strerror
    if path.is_file() and path.stat().st_size == 0:
        return "empty file"
    return "not a film, or damaged beyond its header (mp4, mov, mkv, webm, avi and ts are read)"


def choose_stream(path: Path, container: InputContainer) -> VideoStream:
    """Return the film itself: not the cover, rather the default than another, rather the larger."""
    covers = Disposition.attached_pic | Disposition.timed_thumbnails
    films = [stream for stream in container.streams.video if not stream.disposition & covers]
    if not films:
        raise InputError(
            f"{shown(path)}: no film in it, only sound or a cover", hint="name a file with moving pictures"
        )
    usable = [stream for stream in films if stream.codec_context is not None and stream.width and stream.height]
    if not usable:
        raise InputError(f"{shown(path)}: {_why_unusable(path)}", hint=DAMAGED)
    best = max(usable, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index))
    if best.width * best.height > PIXEL_LIMIT:
        raise InputError(f"{shown(path)}: {best.width} × {best.height} pixels, more than the {_LIMIT} that are read")
    return best


def _why_unusable(path: Path) -> str:
    """Ask the header once more, without the limit that makes FFmpeg forget the size, and without decoding."""
    options = _OPTIONS | {"max_pixels": str(2**31 - 1), "probesize": "32", "analyzeduration": "1", "skip_frame": "all"}
    try:
        with av.open(str(path.resolve()), "r", options=options, **LENIENT) as container:
            size = max(((s.width, s.height) for s in container.streams.video if s.codec_context), default=(0, 0))
    except (OSError, ValueError, av.FFmpegError):
        size = 0, 0
    if size[0] * size[1] > PIXEL_LIMIT:
        return f"{size[0]} × {size[1]} pixels, more than the {_LIMIT} that are read"
    return UNREADABLE


def declared_seconds(stream: VideoStream) -> float | None:
    """Return how long the film itself lasts, as far as the file says; sound may last longer."""
    clock = stream.time_base or Fraction(0)
    if stream.duration:
        return float(stream.duration * clock)
    for name, text in stream.metadata.items():  # of Matroska: the end of the track
        match = _CLOCK_TIME.fullmatch(text) if name.startswith("DURATION") else None
        if match:
            hours, minutes, seconds = (float(part) for part in match.groups())
            return hours * 3600 + minutes * 60 + seconds - float((stream.start_time or 0) * clock)
    return None
