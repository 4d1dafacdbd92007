"""GIF: what its blocks say without being decoded, and frames written one at a time."""

import io
import struct
from collections.abc import Iterator
from fractions import Fraction
from typing import BinaryIO

from PIL import Image

from cyclegan.media.formats.muxing import Patch, Plan, box_of
from cyclegan.media.formats.palette import OPAQUE, paletted
from cyclegan.media.formats.pixels import Pixels
from cyclegan.media.formats.timeline import Timeline

_EXTENSION, _PICTURE, _END = b"!", b",", b";"
_CONTROL, _APPLICATION, _CUT = 0xF9, 0xFF, -1
_STRANGE = 10_000  # bytes between blocks, of which viewers take no notice
_KEEP, _CLEAR = 1, 2  # what becomes of a frame before the next is shown


def timeline(file: BinaryIO) -> Timeline:
    """Read how many frames a GIF has, and their times, and find out whether it ends too soon."""
    plays, delay, whole, delays = 1, 0, True, list[int]()
    for kind, body in _blocks(file):
        if kind == _CONTROL and len(body) >= 4:
            delay = struct.unpack_from("<H", body, 1)[0] * 10
        elif kind == _APPLICATION and body.startswith(b"NETSCAPE2.0\1"):
            repeated = struct.unpack_from("<H", body + bytes(2), 12)[0]
            plays = repeated + 1 if repeated else 0
        elif kind == _PICTURE[0]:
            delays.append(delay)
            delay = 0
        whole &= kind != _CUT
    return Timeline(len(delays), tuple(delays), plays=plays, whole=whole)


def size(file: BinaryIO) -> tuple[int, int]:
    """Return the width and height of a GIF: those of the screen, or of the first picture where that is larger."""
    file.seek(6)
    width, height = struct.unpack("<HH", file.read(4).ljust(4, b"\0"))
    for kind, body in _blocks(file):
        if kind == _PICTURE[0]:
            left, top, across, down = struct.unpack("<4H", body[:8].ljust(8, b"\0"))
            return max(width, left + across), max(height, top + down)
    return width, height


def _blocks(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield kind and beginning of the blocks of a GIF: label of extensions, comma of pictures, and where one is cut."""
    file.seek(0)
    head = file.read(13)
    file.seek(_table(head[10]) if len(head) == 13 else 0, io.SEEK_CUR)
    strange = 0
    while (kind := file.read(1)) and kind != _END:  # many a GIF lacks its last byte
        whole = True
        if kind == _EXTENSION:
            label, (body, whole) = file.read(1), _body(file)
            if label:
                yield label[0], body
        elif kind == _PICTURE:
            descriptor = file.read(9)
            yield kind[0], descriptor
            file.seek(1 + (_table(descriptor[8]) if len(descriptor) == 9 else 0), io.SEEK_CUR)  # palette, code size
            _, whole = _body(file)
        else:  # some have zeros between the blocks
            strange += 1
            whole = strange < _STRANGE
        if not whole:
            yield _CUT, b""
            return


def _table(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def _body(file: BinaryIO) -> tuple[bytes, bool]:
    """Return the first two blocks of data, step over the others, and say whether they come to an end."""
    kept = list[bytes]()
    while (size := file.read(1)) and size[0]:
        if len(kept) < 2:
            kept.append(file.read(size[0]))
        else:
            file.seek(size[0], io.SEEK_CUR)
    return b"".join(kept), bool(size)


class GifMuxer:
    """Writes the frames of a GIF, each with a palette of its own; where some have alpha, each replaces the last."""

    tick: Fraction | None = Fraction(1, 100)

    def __init__(self, file: BinaryIO, plan: Plan) -> None:
        self.alone = plan.transparent
        self._file = file
        file.write(b"GIF89a" + struct.pack("<HH3B", plan.width, plan.height, 0xF0, 0, 0) + bytes(6))
        if plan.plays != 1:
            file.write(b"!\xff\x0bNETSCAPE2.0\3\1" + struct.pack("<HB", min(max(0, plan.plays - 1), 65535), 0))

    def add(self, patch: Patch, *, seconds: Fraction) -> None:
        """Write one frame."""
        if patch.alpha is not None:
            patch = patch.cut(box_of(patch.alpha >= OPAQUE))
        indices, colours, hidden = paletted(patch.pixels, alpha=patch.alpha)
        flags = (_CLEAR if self.alone else _KEEP) << 2 | (hidden is not None)
        delay = min(round(seconds * 100), 65535)
        self._file.write(struct.pack("<4BHBB", _EXTENSION[0], _CONTROL, 4, flags, delay, hidden or 0, 0))
        self._file.write(_picture(indices, colours, left=patch.left, top=patch.top))

    def finish(self) -> None:
        """Write the end."""
        self._file.write(_END)


def _picture(indices: Pixels, colours: bytes, *, left: int, top: int) -> bytes:
    """Return descriptor, palette and data, taken from a GIF of this picture alone."""
    image, buffer = Image.fromarray(indices), io.BytesIO()
    image.putpalette(colours)
    image.save(buffer, "GIF", optimize=False, interlace=False)
    alone = buffer.getvalue()
    begin = 13 + _table(alone[10])
    assert alone[begin : begin + 1] == _PICTURE
    descriptor = struct.pack("<4HB", left, top, image.width, image.height, 0x80 | alone[10] & 7)
    return _PICTURE + descriptor + alone[13:begin] + alone[begin + 10 : -1]
