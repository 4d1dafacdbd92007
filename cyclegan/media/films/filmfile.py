"""The file of a film: opened no further than its header, only known containers, the stream that is the film."""

from fractions import Fraction
from pathlib import Path

import av
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from cyclegan.errors import InputError, shown
from cyclegan.media.container import LENIENT, Kind, told_seconds
from cyclegan.media.limits import TooLarge, pixel_limit

# Playlists (m3u8, ffconcat) and addresses could name any other file or host: only these, and only local ones.
_OPTIONS = {
    "format_whitelist": "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts",
    "protocol_whitelist": "file",
}
UNREADABLE = "its pictures are coded in a way that cannot be read"
DAMAGED = "if it does not open in a film player, replace or remove it"


def film() -> Kind:
    """Return what films are opened as, with the limit of pixels as it is now."""
    options = _OPTIONS | {"max_pixels": str(pixel_limit())}
    return Kind("film", "mp4, mov, mkv, webm, avi and ts", DAMAGED, options)


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
        _refuse_large(path, *_size_without_limit(path))
        raise InputError(f"{shown(path)}: {UNREADABLE}", hint=DAMAGED)
    best = max(usable, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index))
    _refuse_large(path, best.width, best.height)
    return best


def _refuse_large(path: Path, width: int, height: int) -> None:
    if width * height > pixel_limit():
        error = TooLarge(width, height)
        raise InputError(f"{shown(path)}: {error}", hint=error.hint)


def _size_without_limit(path: Path) -> tuple[int, int]:
    """Ask the header once more, without the limit that makes FFmpeg forget the size, and without decoding."""
    options = _OPTIONS | {"max_pixels": str(2**31 - 1), "probesize": "32", "analyzeduration": "1", "skip_frame": "all"}
    try:
        with av.open(str(path.resolve()), "r", options=options, **LENIENT) as container:
            return max(((s.width, s.height) for s in container.streams.video if s.codec_context), default=(0, 0))
    except (OSError, ValueError, av.FFmpegError):
        return 0, 0


def declared_seconds(stream: VideoStream) -> float | None:
    """Return how long the film itself lasts, as far as the file says; sound may last longer."""
    clock = stream.time_base or Fraction(0)
    if stream.duration:
        return float(stream.duration * clock)
    return told_seconds(stream)
