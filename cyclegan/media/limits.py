"""How many pixels a picture or a frame may have: one limit for all formats, held against headers."""

import contextlib
import math
import os
import threading
from collections.abc import Iterator

from PIL import Image

from cyclegan.errors import UsageError

VARIABLE = "STYL_MEGAPIXELS"  # of the environment: it also reaches the processes that read pictures for a training
_MEGAPIXELS = 200.0  # the largest sensors of cameras and phones


class TooLarge(ValueError):
    """More pixels than are read; `hint` is the next step."""

    def __init__(self, width: int, height: int) -> None:
        super().__init__(f"{width} × {height} pixels, more than the {megapixels():g} megapixels that are read")
        self.hint = f"{VARIABLE}={math.ceil(width * height / 1e6)} in the environment raises the limit"


def megapixels() -> float:
    """Return how many million pixels are read at most: 200, or $STYL_MEGAPIXELS; raise UsageError for a wrong one."""
    text = os.environ.get(VARIABLE) or str(_MEGAPIXELS)
    with contextlib.suppress(ValueError):
        if 0 < float(text) < math.inf:
            return float(text)
    raise UsageError(f"{VARIABLE}={text}: not a number of megapixels", hint=f"for example {VARIABLE}=400")


def pixel_limit() -> int:
    """Return how many pixels are read at most."""
    return int(megapixels() * 1e6)


def refuse_large(width: int, height: int) -> None:
    """Raise TooLarge for more pixels than are read, and ValueError for none."""
    if width * height > pixel_limit():
        raise TooLarge(width, height)
    if not width * height:
        raise ValueError(f"{width} × {height} pixels: nothing to see")


class _Ours:
    """Sets Pillow's limit aside for as long as anybody is inside."""

    def __init__(self) -> None:
        self._lock, self._inside, self._pillows = threading.Lock(), 0, Image.MAX_IMAGE_PIXELS

    def enter(self) -> None:
        """Set the limit aside."""
        with self._lock:
            if not self._inside:
                self._pillows, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
            self._inside += 1

    def leave(self) -> None:
        """Put it back behind the last."""
        with self._lock:
            self._inside -= 1
            if not self._inside:
                Image.MAX_IMAGE_PIXELS = self._pillows


_OURS = _Ours()


@contextlib.contextmanager
def our_limit(width: int, height: int) -> Iterator[None]:
    """Read a picture that `refuse_large` let through although Pillow would warn of it, or refuse it.

    Pillow knows no limit but that of the whole process. It is set aside for pictures larger than it, while they are
    read, and put back.
    """
    if width * height <= (Image.MAX_IMAGE_PIXELS or 0):
        yield
        return
    _OURS.enter()
    try:
        yield
    finally:
        _OURS.leave()
