"""Animated WebP: what its chunks say without being decoded, and frames written one at a time."""

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import BinaryIO

from cyclegan.media.formats.muxing import Patch, Plan
from cyclegan.media.formats.pixels import pil_of
from cyclegan.media.formats.timeline import MILLISECONDS, Timeline

_ALPHA, _ANIMATED = 0x10, 0x02  # flags of VP8X
_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}
_PICTURE = {b"ALPH", b"VP8 ", b"VP8L"}
_OVERWRITE = 0x02  # of a frame: nothing below it shines through
_LONGEST = (1 << 24) - 1  # milliseconds


@dataclass(frozen=True)
class _Chunk:
    kind: bytes
    head: bytes  # the first bytes of its content
    start: int  # of the content
    size: int
    whole: bool

    @property
    def end(self) -> int:
        """Return where the next one begins."""
        return self.start + self.size + self.size % 2


def timeline(file: BinaryIO) -> Timeline:
    """Read how many whole frames a WebP has, and their times, and find out whether it ends too soon."""
    plays, flags, whole, delays = 0, 0, True, list[int]()
    for chunk in _chunks(file):
        if chunk.kind == b"VP8X" and chunk.head:
            flags = chunk.head[0]
        elif chunk.kind == b"ANIM" and len(chunk.head) >= 6:
            plays = struct.unpack_from("<H", chunk.head, 4)[0]
        elif chunk.kind == b"ANMF" and chunk.whole and len(chunk.head) == 16:
            delays.append(int.from_bytes(chunk.head[12:15], "little"))
        whole &= chunk.whole
    if not flags & _ANIMATED:
        return Timeline()
    return Timeline(len(delays), tuple(delays), plays=plays, whole=whole)


def size(file: BinaryIO) -> tuple[int, int]:
    """Return the width and height of a WebP; raise ValueError where it does not say."""
    for chunk in _chunks(file):
        head = chunk.head
        if chunk.kind == b"VP8X" and len(head) >= 10:
            return int.from_bytes(head[4:7], "little") + 1, int.from_bytes(head[7:10], "little") + 1
        if chunk.kind == b"VP8L" and len(head) >= 5:
            bits = int.from_bytes(head[1:5], "little")
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        if chunk.kind == b"VP8 " and len(head) >= 10:
            width, height = struct.unpack_from("<HH", head, 6)
            return width & 0x3FFF, height & 0x3FFF
    raise ValueError("no picture in it")


def mended(file: BinaryIO) -> BinaryIO:
    """Return the whole frames of an animation that ends too soon, which no decoder would take; else the file itself."""
    end = 0
    for chunk in _chunks(file):
        if chunk.whole:
            end = chunk.end
            continue
        found = timeline(file)
        if found.whole or not found.count:  # a still, or not one frame: Pillow refuses it
            break
        file.seek(0)
        data = bytearray(file.read(end))
        struct.pack_into("<I", data, 4, end - 8)
        return io.BytesIO(data)
    file.seek(0)
    return file


def _chunks(file: BinaryIO) -> Iterator[_Chunk]:
    size = file.seek(0, io.SEEK_END)
    file.seek(4)
    end = 8 + int.from_bytes(file.read(4), "little")
    at = 12
    while at + 8 <= min(end, size):
        file.seek(at)
        kind, length = struct.unpack("<4sI", file.read(8))
        yield _Chunk(kind, file.read(min(length, 16)), at + 8, length, whole=at + 8 + length <= size)
        at += 8 + length + length % 2
    if at < end:
        yield _Chunk(b"", b"", at, 0, whole=False)


class WebpMuxer:
    """Writes the frames of an animated WebP."""

    alone = False
    tick: Fraction | None = MILLISECONDS

    def __init__(self, file: BinaryIO, plan: Plan) -> None:
        self._file, self._plan = file, plan
        self._behind = list[tuple[bytes, bytes]]()  # chunks that stand behind the last frame
        self._flags = _ANIMATED | (_ALPHA if plan.transparent else 0)
        self._begun = False

    def add(self, patch: Patch, *, seconds: Fraction) -> None:
        """Write one frame."""
        chunks = self._coded(patch)
        if not self._begun:
            self._begin(chunks)
        height, width = patch.pixels.shape[:2]
        milliseconds = min(round(seconds / MILLISECONDS), _LONGEST)
        places = (patch.left // 2, patch.top // 2, width - 1, height - 1, milliseconds)
        head = b"".join(number.to_bytes(3, "little") for number in places) + bytes([_OVERWRITE])
        self._chunk(b"ANMF", head + b"".join(_packed(kind, body) for kind, body in chunks if kind in _PICTURE))

    def _coded(self, patch: Patch) -> list[tuple[bytes, bytes]]:
        coded = io.BytesIO()
        extra = {} if self._begun else self._plan.metadata
        pil_of(patch.pixels, alpha=patch.alpha).save(coded, "WEBP", **self._plan.options, **extra)
        data = coded.getvalue()
        return [(chunk.kind, data[chunk.start : chunk.start + chunk.size]) for chunk in _chunks(coded)]

    def _begin(self, chunks: list[tuple[bytes, bytes]]) -> None:
        """Write what stands before the first frame; its flags and the size of the file are filled in at the end."""
        self._begun = True
        self._file.write(b"RIFF\0\0\0\0WEBP")
        self._describe()
        for kind, body in chunks:
            self._flags |= _FLAGS.get(kind, 0)
            if kind == b"ICCP":
                self._chunk(kind, body)
            elif kind in _FLAGS:
                self._behind.append((kind, body))
        self._chunk(b"ANIM", struct.pack("<IH", 0, min(self._plan.plays, 65535)))

    def _describe(self) -> None:
        size = b"".join((side - 1).to_bytes(3, "little") for side in (self._plan.width, self._plan.height))
        self._chunk(b"VP8X", bytes([self._flags, 0, 0, 0]) + size)

    def _chunk(self, kind: bytes, body: bytes) -> None:
        self._file.write(_packed(kind, body))

    def finish(self) -> None:
        """Write what stands behind the frames, and fill in the beginning."""
        for kind, body in self._behind:
            self._chunk(kind, body)
        size = self._file.tell() - 8
        self._file.seek(4)
        self._file.write(size.to_bytes(4, "little"))
        self._file.seek(12)
        self._describe()


def _packed(kind: bytes, body: bytes) -> bytes:
    return kind + len(body).to_bytes(4, "little") + body + bytes(len(body) % 2)
