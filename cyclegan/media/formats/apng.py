"""APNG: what its chunks say without being decoded, and frames written one at a time."""

import io
import math
import struct
import zlib
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

from cyclegan.media.formats.muxing import Patch, Plan
from cyclegan.media.formats.pixels import pil_of
from cyclegan.media.formats.timeline import MILLISECONDS, Timeline

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_FINEST = 100_000  # ticks a second


def timeline(file: BinaryIO) -> Timeline:
    """Read how many frames a PNG has, and their times."""
    count, plays, first, delays = 1, 0, 0, list[Fraction]()
    for kind, body in _chunks(file):
        if kind == b"acTL" and len(body) == 8:
            count, plays = struct.unpack(">II", body)
        elif kind == b"fcTL" and len(body) == 26:
            over, under = struct.unpack_from(">HH", body, 20)
            delays.append(Fraction(over, under or 100))
        elif kind == b"IDAT" and not delays:
            first = 1  # this picture is for viewers that know no animations
    if not 1 < count < 1 << 31:  # a still
        return Timeline()
    clock = _clock(delays)
    ticks = tuple(round(delay / clock) for delay in delays)
    places = range(first, first + count)
    return Timeline(count, ticks, clock=clock, plays=plays, places=places)


def _clock(delays: list[Fraction]) -> Fraction:
    """Return a clock that counts all delays exactly, unless it would be finer than anything that is shown."""
    rate = math.lcm(*(delay.denominator for delay in delays))
    return MILLISECONDS if 1000 % rate == 0 or rate > _FINEST else Fraction(1, rate)


def _chunks(file: BinaryIO, *, limit: int | None = 32) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of the chunks of a PNG, of content no more than `limit` bytes."""
    file.seek(len(_SIGNATURE))
    while len(head := file.read(8)) == 8:
        size, kind = struct.unpack(">I4s", head)
        body = file.read(size if limit is None else min(size, limit))
        file.seek(size - len(body) + 4, io.SEEK_CUR)
        yield kind, body


class ApngMuxer:
    """Writes the frames of an APNG; the first stands whole, where viewers that know no animations look."""

    alone = False
    tick: Fraction | None = None

    def __init__(self, file: BinaryIO, plan: Plan) -> None:
        self._file, self._plan = file, plan
        self._frames = self._numbered = 0
        self._count_at = 0  # where the number of frames stands

    def add(self, patch: Patch, *, seconds: Fraction) -> None:
        """Write one frame."""
        coded = io.BytesIO()
        extra = {} if self._frames else self._plan.metadata
        pil_of(patch.pixels, alpha=patch.alpha).save(coded, "PNG", **self._plan.options, **extra)
        data = b"".join(body for kind, body in _chunks(coded, limit=None) if kind == b"IDAT")
        if not self._frames:
            self._head(coded)
        height, width = patch.pixels.shape[:2]
        self._numbers(b"fcTL", struct.pack(">4IHHBB", width, height, patch.left, patch.top, *_delay(seconds), 0, 0))
        if self._frames:
            self._numbers(b"fdAT", data)
        else:
            self._chunk(b"IDAT", data)
        self._frames += 1

    def _head(self, coded: BinaryIO) -> None:
        """Write what stands before the first frame."""
        self._file.write(_SIGNATURE)
        for kind, body in _chunks(coded, limit=None):
            if kind == b"IDAT":
                return
            self._chunk(kind, body)
            if kind == b"IHDR":
                self._count_at = self._file.tell()
                self._animation()

    def _animation(self) -> None:
        self._chunk(b"acTL", struct.pack(">II", max(1, self._frames), self._plan.plays))

    def _numbers(self, kind: bytes, body: bytes) -> None:
        """Write a chunk that carries its number."""
        self._chunk(kind, struct.pack(">I", self._numbered) + body)
        self._numbered += 1

    def _chunk(self, kind: bytes, body: bytes) -> None:
        self._file.write(
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(body, zlib.crc32(kind)))
        )

    def finish(self) -> None:
        """Write the end, and at the beginning how many frames there are."""
        self._chunk(b"IEND", b"")
        self._file.seek(self._count_at)
        self._animation()


def _delay(seconds: Fraction) -> tuple[int, int]:
    """Return the nearest fraction of two numbers of 16 bits."""
    near = seconds.limit_denominator(max(1, min(65535, int(65535 / max(seconds, Fraction(1))))))
    return min(near.numerator, 65535), near.denominator
