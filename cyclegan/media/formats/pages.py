"""Pages of a TIFF: which of its pictures are pages, and pages written one at a time."""

from collections.abc import Mapping
from fractions import Fraction
from itertools import count
from typing import Any, BinaryIO

from PIL.TiffImagePlugin import AppendingTiffWriter, TiffImageFile

from cyclegan.media.formats.muxing import Patch, Plan
from cyclegan.media.formats.pixels import pil_of
from cyclegan.media.formats.timeline import Timeline

_KIND = 254  # the tag that says what a picture is for
_NO_PAGE = 1 | 4  # a smaller version of another, or a mask
_SHOWN = 1000  # milliseconds a page is shown where it must have a time


def timeline(image: TiffImageFile) -> Timeline:
    """Count the pages of a TIFF, as far as its directories can be read."""
    places, whole = [0], True
    for place in count(1):
        try:
            image.seek(place)
        except EOFError:  # behind the last
            break
        except Exception:  # of any type: here the file is damaged
            whole = False
            break
        kind = image.tag_v2.get(_KIND, 0)
        if not (isinstance(kind, int) and kind & _NO_PAGE):
            places.append(place)
    image.seek(0)
    return Timeline(len(places), (_SHOWN,) * len(places), places=places, whole=whole, moving=False)


class PageMuxer:
    """Writes the pages of a TIFF, which hold no times and may differ in size."""

    alone = True
    tick: Fraction | None = None

    def __init__(self, file: BinaryIO, plan: Plan) -> None:
        self._writer, self._plan = AppendingTiffWriter(file), plan
        self._extra: Mapping[str, Any] = plan.metadata

    def add(self, patch: Patch, *, seconds: Fraction) -> None:
        """Write one page."""
        pil_of(patch.pixels, alpha=patch.alpha).save(self._writer, "TIFF", **self._plan.options, **self._extra)
        self._extra = {}
        self._writer.newFrame()

    def finish(self) -> None:
        """Write the end."""
        self._writer.finalize()
