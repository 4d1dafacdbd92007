"""Boxes of AVIF, HEIF and JPEG 2000 (ISO base media files): what they say without being decoded."""

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO, NamedTuple

from cyclegan.media.formats.timeline import Timeline

_AVIF = {b"avif", b"avis"}
_HEIF = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}
_MOST = 10_000  # boxes side by side: more are damage
_LARGEST_TABLE = 1 << 26  # bytes


class _Box(NamedTuple):
    kind: bytes
    start: int  # of its content
    end: int


def format_of(head: bytes) -> str:
    """Return AVIF or HEIF by the brands with which a file begins, else nothing."""
    if head[4:8] != b"ftyp":
        return ""
    length = int.from_bytes(head[:4], "big")
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, min(length, len(head)), 4))]
    if brands[0] in _AVIF or (brands[0] in _HEIF and _AVIF & set(brands)):
        return "AVIF"
    return "HEIF" if _HEIF & set(brands) else ""


def timeline(file: BinaryIO, *, count: int) -> Timeline:
    """Read the times of the `count` frames of an AVIF."""
    media = _within(file, b"moov", b"trak", b"mdia") if count > 1 else None
    if media is None:
        return Timeline(count)
    header, table = _in(file, media, b"mdhd"), _in(file, media, b"minf", b"stbl", b"stts")
    delays = list[int]()
    body = _body(file, table)[8:]
    for number, delay in struct.iter_unpack(">II", body[: len(body) // 8 * 8]):
        delays += [delay] * min(number, count - len(delays))
    return Timeline(count, tuple(delays), clock=Fraction(1, _ticks(_body(file, header))))


def profile_of(file: BinaryIO) -> bytes:
    """Return the colour profile of a JPEG 2000, nothing where it has none."""
    colours = _body(file, _within(file, b"jp2h", b"colr"))
    return colours[3:] if colours[:1] == b"\2" else b""


def _ticks(header: bytes) -> int:
    """Return how many ticks a second has, as the header of a track says: its times take 32 or 64 bits."""
    place = 20 if header[:1] == b"\1" else 12
    return int.from_bytes(header[place : place + 4], "big") or 1000


def _within(file: BinaryIO, *path: bytes) -> _Box | None:
    return _in(file, _Box(b"", 0, file.seek(0, io.SEEK_END)), *path)


def _in(file: BinaryIO, box: _Box, *path: bytes) -> _Box | None:
    """Return the first box of a kind in the first of another, and so on."""
    for kind in path:
        found = next((inner for inner in _boxes(file, box) if inner.kind == kind), None)
        if found is None:
            return None
        box = found
    return box


def _boxes(file: BinaryIO, outer: _Box) -> Iterator[_Box]:
    at = outer.start
    for _ in range(_MOST):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8 or at + 8 > outer.end:
            return
        size, kind, long = int.from_bytes(head[:4], "big"), head[4:8], int.from_bytes(head[8:16], "big")
        start, size = (at + 16, long) if size == 1 else (at + 8, size or outer.end - at)
        if at + size < start:
            return
        yield _Box(kind, start, min(at + size, outer.end))
        at += size


def _body(file: BinaryIO, box: _Box | None) -> bytes:
    if box is None:
        return b""
    file.seek(box.start)
    return file.read(min(box.end - box.start, _LARGEST_TABLE))
