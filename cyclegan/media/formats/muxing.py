"""What an animation is written from, whatever its format: a plan, and of each frame what is new."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from cyclegan.media.formats.pixels import Pixels

Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True)
class Plan:
    """Hold what does not change from frame to frame; `plays` 0 is for ever.

    PIL is given `options` with every frame, `metadata` with the first.
    """

    width: int
    height: int
    plays: int = 0
    transparent: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Patch:
    """Hold pixels (h, w, 3) and alpha (h, w) or None, and where in the frame they lie."""

    pixels: Pixels
    alpha: Pixels | None = None
    left: int = 0
    top: int = 0

    def cut(self, box: Box) -> Self:
        """Return the part inside a box."""
        left, top, right, bottom = box
        alpha = None if self.alpha is None else self.alpha[top:bottom, left:right]
        return type(self)(self.pixels[top:bottom, left:right], alpha, self.left + left, self.top + top)


class Muxer(Protocol):
    """Writes frames into a file that is open, one after the other."""

    alone: bool  # every frame is given whole, not only what is new in it
    tick: Fraction | None  # of what times are whole numbers, in seconds; None: any fraction

    def add(self, patch: Patch, *, seconds: Fraction) -> None:
        """Write what is new in a frame, shown for so long."""

    def finish(self) -> None:
        """Write what stands at the end."""


def changed(frame: Patch, *, since: Patch | None) -> Patch:
    """Return what of a frame is new; of equal frames, one corner."""
    if since is None:
        return frame
    different = (frame.pixels != since.pixels).any(axis=-1)
    if frame.alpha is not None and since.alpha is not None:
        different |= frame.alpha != since.alpha
    return frame.cut(box_of(different))


def box_of(mask: NDArray[np.bool_]) -> Box:
    """Return the box around what is true in a mask (H, W), beginning at even places; of nothing, two pixels square."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return 0, 0, min(2, mask.shape[1]), min(2, mask.shape[0])
    return int(columns[0]) & ~1, int(rows[0]) & ~1, int(columns[-1]) + 1, int(rows[-1]) + 1
