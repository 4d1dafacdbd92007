"""A folder of numbered pictures as a film: frame-9 before frame-10, read one at a time, written under their names."""

import contextlib
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Self

from cyclegan.errors import InputError, shown
from cyclegan.media.folder import no_pictures, pictures
from cyclegan.media.frames import Frame
from cyclegan.media.image import pixels_of, read_picture, write_picture
from cyclegan.media.kinds import FORMATS


class Sequence:
    """Reads the pictures of a folder as the frames of a film; a damaged one is left out and named in `lost`."""

    moving = True

    def __init__(self, folder: Path, *, rate: Fraction = Fraction(24)) -> None:
        self.folder, self.clock = folder, 1 / rate
        self.paths = sorted(pictures(folder), key=lambda path: numbered(path.relative_to(folder)))
        if not self.paths:
            raise no_pictures(folder)
        self.count: int | None = len(self.paths)
        self.seconds: float | None = float(len(self.paths) * self.clock)
        self.notes = list[str]()
        self.lost: str | None = None
        self._damaged = list[str]()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames; a frame's `pts` is its place in the folder."""
        self._damaged.clear()
        for place, path in enumerate(self.paths):
            try:
                picture = read_picture(path)
            except InputError as error:
                self._damaged.append(error.what)
                self.lost = f"{len(self._damaged)} of {self.count} frames; first {self._damaged[0]}"
                continue
            yield Frame(picture.pixels, picture.alpha, pts=place, duration=1)

    @property
    def pixels(self) -> int:
        """Return how many pixels the first frame has whose header can be read; 0 where none can."""
        for path in self.paths:
            with contextlib.suppress(InputError):
                return pixels_of(path)
        return 0

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height of the first frame; raise InputError where none can be read."""
        first = next(iter(self), None)
        if first is None:
            raise InputError(f"{shown(self.folder)}: not one frame can be read", hint="look at the pictures in it")
        return first.pixels.shape[1], first.pixels.shape[0]

    def close(self) -> None:
        """Do nothing: a picture is open only while it is read."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


class SequenceWriter:
    """Writes frames as pictures into another folder, each under the name it has in the sequence."""

    def __init__(self, folder: Path, *, like: Sequence, suffix: str | None = None, quality: int = 95) -> None:
        self.folder, self.suffix, self.quality = folder, suffix, quality
        self.names = [path.relative_to(like.folder) for path in like.paths]
        self.notes = list[str]()
        targets = {self._target(place).as_posix().casefold() for place in range(len(self.names))}
        if folder.resolve() == like.folder.resolve():
            raise InputError(f"{shown(folder)}: would overwrite its own frames", hint="choose another output")
        if len(targets) < len(self.names):
            raise InputError(f"{shown(like.folder)}: two frames of one name", hint="rename one, or write a film")

    def write(self, frame: Frame) -> None:
        """Write one frame, whole or not at all; raises OSError."""
        write_picture(self._target(frame.pts), frame.pixels, alpha=frame.alpha, quality=self.quality)

    def _target(self, place: int) -> Path:
        name = self.names[place]
        suffix = self.suffix or (name.suffix if name.suffix.lower() in FORMATS else ".png")
        return self.folder / name.with_suffix(suffix)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        """Do nothing: every frame was whole when it was written."""


def numbered(path: Path) -> list[tuple[int, int, str]]:
    """Return a key that sorts the numbers in a name by value."""
    parts = re.split(r"(\d+)", path.as_posix())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts]
