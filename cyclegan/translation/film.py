"""Films and animations through a translator: read, follow the motion, translate, steady and write, all at once."""

import contextlib
import dataclasses
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

from cyclegan.devices import return_freed_memory
from cyclegan.media.frames import Frame, Reader, Writer
from cyclegan.media.image import Pixels
from cyclegan.translation.ahead import ahead, end
from cyclegan.translation.temporal import Flicker, Motion, motions, steady

LARGE = 30 << 20  # bytes of a frame, more than 4K has: what is freed between such frames is not kept
DEPTH = 4  # frames between two stages, and fewer where they are larger than those of 4K

Item = TypeVar("Item")
Key = TypeVar("Key")
Found = TypeVar("Found")
Stream = Callable[[Iterator[Pixels]], Iterator[Pixels]]
Translated = Generator[tuple[Frame, Pixels], None, None]


def translate_film(
    reader: Reader,
    writer: Writer,
    *,
    stream: Stream,
    steadily: bool = True,
    tick: Callable[[int], None] = lambda frames: None,
) -> Flicker | None:
    """Write the frames of a reader, translated by `stream`, in constant memory; return how much they flicker.

    Where neighbours show one scene they are steadied, unless `steadily` is False; then, and for pages, the result is
    None. `tick` gets the number of frames written. Decoding, motion, network and the rest work in threads of their own.
    """
    flicker = Flicker() if steadily and reader.moving else None
    with contextlib.closing(_translated(reader, stream, flicker)) as translated:
        for count, (frame, pixels) in enumerate(translated, start=1):
            writer.write(dataclasses.replace(frame, pixels=pixels))
            tick(count)
            if pixels.nbytes > LARGE:
                return_freed_memory()
    return flicker


def _translated(frames: Iterable[Frame], stream: Stream, flicker: Flicker | None) -> Translated:
    read = ahead(frames, depth=DEPTH)
    if flicker is None:
        yield from ahead(beside(stream, read, key=lambda frame: frame.pixels), depth=DEPTH)
        return
    moved = ahead(beside(motions, read, key=lambda frame: frame.pixels), depth=DEPTH)
    translated = ahead(_replaced(beside(stream, moved, key=lambda pair: pair[0].pixels)), depth=DEPTH)
    pairs = beside(lambda pairs: steady(pairs, flicker=flicker), translated, key=lambda pair: (pair[1], pair[0].pixels))
    yield from ((frame, pixels) for (frame, _), pixels in pairs)


def _replaced(found: Iterable[tuple[tuple[Frame, Motion], Pixels]]) -> Iterator[tuple[Frame, Motion]]:
    """Yield frames that hold their translation, so that the originals are not kept while frames are steadied."""
    try:
        for (frame, motion), pixels in found:
            yield dataclasses.replace(frame, pixels=pixels), motion
    finally:
        end(found)


def beside(
    stream: Callable[[Iterator[Key]], Iterator[Found]], items: Iterable[Item], *, key: Callable[[Item], Key]
) -> Iterator[tuple[Item, Found]]:
    """Yield each item beside what a stream, which gives one result for each thing in order, makes of its key."""
    waiting = deque[Item]()

    def keys() -> Iterator[Key]:
        for item in items:
            waiting.append(item)
            yield key(item)

    try:
        for found in stream(keys()):
            yield waiting.popleft(), found
    finally:
        end(items)
