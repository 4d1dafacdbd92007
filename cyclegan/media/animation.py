"""Animated GIF, WebP and APNG, and the pages of a TIFF, as frames with their times."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np
from PIL import ImageFile

from cyclegan.errors import InputError, StylError, UsageError, out_of_memory, shown
from cyclegan.files import atomic
from cyclegan.media.formats.apng import ApngMuxer
from cyclegan.media.formats.encoders import options
from cyclegan.media.formats.gif import GifMuxer
from cyclegan.media.formats.metadata import fitting, metadata_of
from cyclegan.media.formats.muxing import Muxer, Patch, Plan, changed
from cyclegan.media.formats.opening import complaints, first_of, open_file, open_header, reason, timeline_of
from cyclegan.media.formats.pages import PageMuxer
from cyclegan.media.formats.pixels import Pixels, decoded, on_white
from cyclegan.media.formats.timeline import MILLISECONDS, Timeline
from cyclegan.media.formats.webp import WebpMuxer
from cyclegan.media.frames import Frame, Reader
from cyclegan.media.image import Picture, alpha_notes, refusals
from cyclegan.media.kinds import FORMATS
from cyclegan.media.limits import our_limit, refuse_large

_MUXERS: dict[str, Callable[[BinaryIO, Plan], Muxer]] = {
    "GIF": GifMuxer,
    "PNG": ApngMuxer,
    "WEBP": WebpMuxer,
    "TIFF": PageMuxer,
}
ANIMATION_SUFFIXES = frozenset(suffix for suffix, name in FORMATS.items() if name in _MUXERS)
_FASTEST = Fraction(2, 100)  # seconds: frames that a GIF shows for less, viewers show for a tenth


def open_animation(path: Path) -> "Animation":
    """Open a picture file for reading its frames; raise InputError whatever is wrong with its header."""
    with complaints(path), ExitStack() as stack:
        file = stack.enter_context(open_file(path))
        image = open_header(file, path)
        animation = Animation(path, file, image, timeline_of(image, file))
        stack.pop_all()
        return animation


class Animation:
    """Reads frames once and in order, as a viewer composes them; times count ticks of `clock` seconds.

    A page of a TIFF may have a size of its own; all other frames have that of the first.
    """

    def __init__(self, path: Path, file: BinaryIO, image: ImageFile.ImageFile, timeline: Timeline) -> None:
        self.path, self.timeline = path, timeline
        self.moving, self.clock = timeline.moving, timeline.clock
        self.count: int | None = timeline.count
        self.seconds: float | None = timeline.seconds if timeline.moving else None
        self.several = timeline.count > 1 or not timeline.whole
        self.pixels = image.width * image.height  # of the first frame, from the header
        self.notes = list[str]()
        self.lost: str | None = None
        self._file, self._image = file, image
        self._ahead: tuple[Pixels, Pixels | None] | None = None  # the first frame, until it is asked for
        self._shape: tuple[int, int] | None = None

    def still(self) -> Picture:
        """Return the first frame as a picture; raise InputError."""
        notes = first_of(self._image, self.timeline)
        with complaints(self.path):
            return Picture(*decoded(self._image, notes), tuple(notes), metadata_of(self._image))

    @property
    def size(self) -> tuple[int, int]:
        """Return the width and height of the first frame, which is decoded for it; raise InputError."""
        self._begin()
        assert self._shape
        return self._shape[1], self._shape[0]

    @property
    def metadata(self) -> Mapping[str, Any]:
        """Return what people wrote into the file, as far as it stands before the second frame; raise InputError."""
        self._begin()  # some of it stands behind the pixels
        return metadata_of(self._image)

    def _begin(self) -> None:
        if self._shape is None:
            with complaints(self.path):
                self._ahead = self._read(0)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames as far as they are sound, then say in `lost` where that was; raise InputError if at once."""
        for place, (pts, duration) in enumerate(self.timeline.shown()):
            try:
                pixels, alpha = self._ahead or self._read(place)
                self._ahead = None
            except Exception as error:  # as in complaints()
                if isinstance(error, StylError) or out_of_memory(error):
                    raise
                self._end(place, error)
                return
            yield Frame(pixels, alpha, pts, duration)
        if not self.timeline.whole:
            self._end(self.timeline.count, None)

    def _read(self, place: int) -> tuple[Pixels, Pixels | None]:
        image, notes = self._image, list[str]()
        with our_limit(*image.size):
            image.seek(self.timeline.places[place])
        refuse_large(*image.size)
        pixels, alpha = decoded(image, notes)
        self.notes += [note for note in notes if note not in self.notes]
        self._shape = self._shape or pixels.shape[:2]
        if not self.moving:
            return pixels, alpha
        height, width = self._shape  # a GIF may draw beyond it; viewers cut that off
        return pixels[:height, :width], None if alpha is None else alpha[:height, :width]

    def _end(self, read: int, error: Exception | None) -> None:
        why = reason(error) if error else "truncated"
        if not read:
            with complaints(self.path):
                raise error or ValueError(why)
        kind = "frame" if self.moving else "page"
        more = "" if self.timeline.whole else "at least "
        of = self.timeline.count + (error is None)
        self.lost = f"input ends at {kind} {read} of {more}{of} ({why})"

    def close(self) -> None:
        """Close the file."""
        self._image.close()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def create_animation(path: Path, *, like: Reader, quality: int = 95, keep_metadata: bool = False) -> "AnimationWriter":
    """Begin a GIF, WebP or APNG, or a TIFF of pages, for the frames of a reader; raise UsageError for other formats.

    `quality` (1 to 100) is for WebP. The times of the reader count ticks of its `clock`, in seconds.
    """
    name = FORMATS.get(path.suffix.lower())
    if name not in _MUXERS:
        what = f"{shown(path.name)}: holds one picture, but there are {like.count or 'several'}"
        raise UsageError(what, hint=f"formats that hold several: {' '.join(sorted(ANIMATION_SUFFIXES))} .mp4")
    return AnimationWriter(path, name, like=like, quality=quality, keep_metadata=keep_metadata)


class AnimationWriter:
    """Writes an animation, frame by frame; it appears under its name when the with ends well, else nothing is left."""

    def __init__(self, path: Path, name: str, *, like: Reader, quality: int, keep_metadata: bool) -> None:
        self.path, self.notes = path, list[str]()
        self._name, self._options = name, options(name, quality=quality)
        source = like if isinstance(like, Animation) else None
        self._plays = source.timeline.plays if source else 0
        self._clock: Fraction = getattr(like, "clock", MILLISECONDS)
        self._shortest = _FASTEST if name == "GIF" and not source else Fraction(0)
        self._metadata, notes = fitting(source.metadata if source and keep_metadata else {}, name)
        self._note(*notes, *([] if like.moving == (name != "TIFF") else [_timing(name)]))
        self._stack = ExitStack()
        self._muxer: Muxer | None = None
        self._last: Patch | None = None
        self._count, self._elapsed, self._written = 0, Fraction(0), Fraction(0)  # frames, and seconds of them

    def write(self, frame: Frame) -> None:
        """Write one frame; raises UsageError where the format cannot hold it, and OSError."""
        with refusals(frame.pixels, self.path.suffix):
            patch = self._fitted(frame)
            muxer = self._muxer = self._muxer or self._begin(patch)
            new = patch if muxer.alone else changed(patch, since=self._last)
            muxer.add(new, seconds=self._seconds(frame, muxer.tick))
        self._last, self._count = patch, self._count + 1

    def _begin(self, first: Patch) -> Muxer:
        height, width = first.pixels.shape[:2]
        plan = Plan(width, height, self._plays, first.alpha is not None, self._options, self._metadata)
        return _MUXERS[self._name](self._file, plan)

    def _fitted(self, frame: Frame) -> Patch:
        """Give every frame the size of the first, or refuse it, and alpha where the first has it."""
        pixels, alpha = frame.pixels, frame.alpha
        self._note(*alpha_notes(alpha, self._name))
        if self._name == "TIFF":
            return Patch(pixels, alpha)
        if self._last is not None and pixels.shape != self._last.pixels.shape:
            sizes = f"{_size(pixels)}, not {_size(self._last.pixels)} as the first"
            what = f"{shown(self.path.name)}: picture {self._count + 1} is {sizes}"
            raise UsageError(what, hint="choose .tif, which holds pages of any size")
        transparent = alpha is not None if self._last is None else self._last.alpha is not None
        if transparent:
            return Patch(pixels, np.full(pixels.shape[:2], 255, np.uint8) if alpha is None else alpha)
        if alpha is None:
            return Patch(pixels)
        self._note("transparent parts laid on white, as the first frame has none")
        return Patch(on_white(pixels, alpha))

    def _seconds(self, frame: Frame, tick: Fraction | None) -> Fraction:
        """Return how long a frame is shown; what rounding takes from one is given to the next."""
        exact = frame.duration * self._clock
        if tick is None:
            return exact
        self._elapsed += exact
        seconds = round((self._elapsed - self._written) / tick) * tick
        if seconds < self._shortest:
            seconds = self._shortest
            self._note(f"{self._name} shows at most {1 / self._shortest} frames a second: slower than the original")
        self._written += seconds
        return seconds

    def _note(self, *notes: str) -> None:
        self.notes += [note for note in notes if note not in self.notes]

    def __enter__(self) -> Self:
        temporary = self._stack.enter_context(atomic(self.path))
        self._file = self._stack.enter_context(temporary.open("x+b"))
        return self

    def __exit__(self, *failure: object) -> None:
        error = next((part for part in failure if isinstance(part, BaseException)), None)
        if error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            return
        with self._stack:
            if self._muxer is None:
                raise InputError(f"{shown(self.path)}: not one frame to write", hint="look at the source")
            self._muxer.finish()


def _size(pixels: Pixels) -> str:
    return f"{pixels.shape[1]} × {pixels.shape[0]}"


def _timing(name: str) -> str:
    return "a TIFF holds no times" if name == "TIFF" else "pages became frames of a second each"
