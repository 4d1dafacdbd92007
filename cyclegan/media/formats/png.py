"""PNG, read so that a picture of which rows are missing is no picture: Pillow leaves them black without a word."""

import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from PIL.PngImagePlugin import PngImageFile

_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by the kind of colours
_PIECE = 1 << 20  # bytes


class StrictPng(PngImageFile):
    """A PNG or APNG whose load() raises OSError where the data of a frame end before its last row."""

    def _open(self) -> None:
        assert self.fp is not None
        head = self.fp.read(29)
        self.fp.seek(0)
        super()._open()
        self._bits = head[24] * _CHANNELS.get(head[25], 1)  # of a pixel
        self._interlaced = bool(head[28])
        self._data = list[bytes]()  # of the frame that is being decoded

    def load_read(self, read_bytes: int) -> bytes:
        """Return the next part of the compressed data."""
        self._data.append(super().load_read(read_bytes))
        return self._data[-1]

    def load(self) -> Any:
        """Decode the frame, once."""
        extents = self.tile[0].extents if self.tile else None
        loaded = super().load()
        data, self._data = self._data, []
        if extents is not None:
            left, top, right, bottom = extents
            if self._suspicious() and not _holds(data, self._expected(right - left, bottom - top)):
                raise OSError("image file is truncated: its last rows are missing")
        return loaded

    def _suspicious(self) -> bool:
        """Say whether rows may be missing, which would be black: only then the bytes need to be counted.

        Where rows are interlaced, Pillow itself notices.
        """
        if self._interlaced:
            return False
        return self.is_animated or not np.asarray(self.crop((0, self.height - 1, self.width, self.height))).any()

    def _expected(self, width: int, height: int) -> int:
        """Return how many bytes a frame has: each row begins with one that says how it is coded."""
        return height * (1 + -(-width * self._bits // 8))


def _holds(data: Iterable[bytes], expected: int) -> bool:
    """Say whether compressed data hold so many bytes; what stands behind them does not matter."""
    decoder, length = zlib.decompressobj(), 0
    try:
        for part in data:
            while part and length < expected:
                length += len(decoder.decompress(part, _PIECE))
                part = decoder.unconsumed_tail
    except zlib.error:
        return False
    return length >= expected or length + len(decoder.flush()) >= expected
