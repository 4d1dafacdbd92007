"""Pages of a TIFF: which of its pictures are pages, and pages written one at a time."""

import io
import struct
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, BinaryIO

from PIL.TiffImagePlugin import AppendingTiffWriter

from cyclegan.media.formats.muxing import Patch, Plan
from cyclegan.media.formats.pixels import pil_of
from cyclegan.media.formats.timeline import Timeline

_KIND = 254  # the tag that says what a picture is for
_SHORT = 3  # the form of a number of 16 bits, in the first bytes of its place
_NO_PAGE = 1 | 4  # a smaller version of another, or a mask
_SHOWN = 1000  # milliseconds a page is shown where it must have a time


def timeline(file: BinaryIO) -> Timeline:
    """Count the pages of a TIFF, as far as its directories can be read."""
    places, whole = list[int](), True
    try:
        for place, kind in enumerate(_kinds(file)):
            if not (place and kind & _NO_PAGE):
                places.append(place)
    except (ValueError, OverflowError, struct.error):  # here the file is damaged
        whole = False
    places = places or [0]
    return Timeline(len(places), (_SHOWN,) * len(places), places=places, whole=whole, moving=False)


def _kinds(file: BinaryIO) -> Iterator[int]:
    """Yield what the picture of each directory is for; Pillow goes through them in quadratic time.

    Raises ValueError, OverflowError or struct.error where one is damaged.
    """
    left = file.seek(0, io.SEEK_END)  # bytes that directories can take, as they do not overlap
    file.seek(0)
    head = file.read(16)
    order = ">" if head.startswith(b"M") else "<"
    big = b"\x2b" in head[2:4]
    count, entry, pointer = ("Q", "HHQL4x", "Q") if big else ("H", "HHLL", "L")
    (at,) = struct.unpack_from(order + pointer, head, 8 if big else 4)
    seen = set[int]()
    while at and at not in seen:
        seen.add(at)
        file.seek(at)
        (number,) = struct.unpack(order + count, file.read(struct.calcsize(order + count)))
        size = number * struct.calcsize(order + entry)
        left -= size
        if left < 0:
            raise ValueError("directories that overlap")
        table = file.read(size)
        (at,) = struct.unpack(order + pointer, file.read(struct.calcsize(order + pointer)))
        yield _kind(table, order, entry)


def _kind(table: bytes, order: str, entry: str) -> int:
    for tag, form, _, value in struct.iter_unpack(order + entry, table):
        if tag == _KIND:
            return int(value >> 16 if form == _SHORT and order == ">" else value)
    return 0


class _Pages(AppendingTiffWriter):
    """Appends pages to a TIFF in linear time: Pillow follows the chain of all pages for every new one."""

    _end: int | None = None  # where the place of the next page is to be written

    def skipIFDs(self) -> None:
        """Go to the end of the chain, from where it was found the last time."""
        if self._end is not None:
            self.f.seek(self._end)
        super().skipIFDs()
        self._end = self.whereToWriteNewIFDOffset


class PageMuxer:
    """Writes the pages of a TIFF, which hold no times and may differ in size."""

    alone = True
    tick: Fraction | None = None

    def __init__(self, file: BinaryIO, plan: Plan) -> None:
        self._writer, self._plan = _Pages(file), plan
        self._extra: Mapping[str, Any] = plan.metadata

    def add(self, patch: Patch, *, seconds: Fraction) -> None:
        """Write one page."""
        pil_of(patch.pixels, alpha=patch.alpha).save(self._writer, "TIFF", **self._plan.options, **self._extra)
        self._extra = {}
        self._writer.newFrame()

    def finish(self) -> None:
        """Write the end."""
        self._writer.finalize()
