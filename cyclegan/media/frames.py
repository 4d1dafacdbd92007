"""What a file with several frames holds, and how it is written again: a film, an animation, pages."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, Self

from cyclegan.media.formats.pixels import Pixels


@dataclass(frozen=True)
class Frame:
    """Hold one frame: pixels (H, W, 3) upright in sRGB, alpha (H, W) or None, and when it is shown.

    `pts` (when) and `duration` (how long, 0 where the file does not say) count ticks of the reader's own clock, which a
    writer made for that reader knows.
    """

    pixels: Pixels
    alpha: Pixels | None = None
    pts: int = 0
    duration: int = 0


class Reader(Protocol):
    """Yields the frames of an open file once, in order, in constant memory; to be closed, or used in a with."""

    moving: bool  # neighbours show one scene: not so the pages of a document
    count: int | None  # how many frames to expect, as far as the file says
    seconds: float | None  # how long it is shown, as far as the file says
    notes: list[str]  # what a person should know, complete behind the last frame
    lost: str | None  # what could not be read, with times, known behind the last frame; None: nothing

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *failure: object) -> None: ...


class Writer(Protocol):
    """Takes the frames of the reader it was made for; the file appears under its name when a with ends well."""

    notes: list[str]  # what a person should know: what the format could not hold

    def write(self, frame: Frame) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *failure: object) -> None: ...
