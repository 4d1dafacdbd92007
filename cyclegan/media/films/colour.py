"""The colours of films: coded samples become upright 8-bit RGB and back, and HDR becomes SDR."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from numpy.typing import NDArray

from cyclegan.media.formats.pixels import Pixels

# Without FULL_CHR_H_INT swscale darkens 4:2:0 by 1 to 2 levels (measured); with these flags the mean error is 0.00.
# It may not write rgb48 with them: its colours are garbage, those of gbrp16 are right.
_EXACTLY = (
    Interpolation.BILINEAR
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
    | Interpolation.BITEXACT
)

# On the way to 8 bits of full range it cuts chroma off, half a level; by these formats it rounds (measured).
_ROUNDED = ("yuv444p12le", "yuv444p")

UNSPECIFIED, BT709, BT601, BT2020 = 2, 1, 6, 9  # numbers of ITU-T H.273
_MATRICES = {1, 4, 5, 6, 7, 9}  # those swscale computes with
_PQ, _HLG = 16, 18

_WHITE = 203.0  # cd/m² of diffuse white in HDR: ITU-R BT.2408
_PEAK = 1000.0 / _WHITE  # what is mapped to white
_KNEE = 0.75  # darker is left as it is, in units of diffuse white
_TO_709 = np.array(  # linear BT.2020 to BT.709 primaries: ITU-R BT.2087
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32
)
_LUMINANCE = np.array([0.2627, 0.6780, 0.0593], np.float32)  # of BT.2020
_WIDE_TOP = 65280  # swscale makes 16 bits of limited range by a shift: white is 255 · 256 (measured)


@dataclass(frozen=True)
class Tags:
    """Hold what a film says about its colours, as numbers of ITU-T H.273; `levels` 0 unsaid, 1 limited, 2 full."""

    matrix: int = UNSPECIFIED
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    levels: int = 0

    @property
    def hdr(self) -> bool:
        """Say whether the film is brighter than diffuse white."""
        return self.transfer in (_PQ, _HLG)

    def working(self, height: int) -> int:
        """Return the matrix to compute with; where the film says none, the one players take for this height."""
        return self.matrix if self.matrix in _MATRICES else (BT709 if height >= 720 else BT601)

    def carried(self, height: int) -> "Tags":
        """Return what the translated film says: the same, but for HDR and matrices that cannot be computed."""
        if self.hdr:
            return Tags(BT709, BT709, BT709, 1)
        return self if self.matrix in _MATRICES | {UNSPECIFIED} else replace(self, matrix=self.working(height))


def tags_of(frame: VideoFrame) -> Tags:
    """Read the colour tags of a decoded frame."""
    levels = 2 if frame.format.name.startswith("yuvj") else int(frame.color_range)
    matrix = UNSPECIFIED if frame.format.is_rgb else int(frame.colorspace)
    return Tags(matrix, int(frame.color_primaries), int(frame.color_trc), levels)


def bits(layout: VideoFormat) -> int:
    """Return the bits of the deepest sample of a pixel format."""
    return max(component.bits for component in layout.components)


def has_alpha(layout: VideoFormat) -> bool:
    """Say whether a pixel format holds transparency."""
    return any(component.is_alpha for component in layout.components)


@dataclass(frozen=True)
class Turn:
    """Turn coded pixels upright and back, as a display matrix of nine numbers says (None: they are upright)."""

    matrix: tuple[int, ...] | None = None

    @property
    def _axes(self) -> tuple[int, int, int, int]:
        a, b, _, c, d = (self.matrix or (1, 0, 0, 0, 1))[:5]
        return a, b, c, d

    @property
    def straight(self) -> bool:
        """Say whether the turn is one of the eight that only move pixels."""
        a, b, c, d = self._axes
        return (a == d == 0 and b != 0 != c) or (b == c == 0 and a != 0 != d)

    @property
    def mirrors(self) -> bool:
        """Say whether left and right change places, which a rotation cannot do."""
        a, b, c, d = self._axes
        return a * d - b * c < 0

    @property
    def transposes(self) -> bool:
        """Say whether width and height change places."""
        return self.straight and self._axes[0] == 0

    def upright(self, pixels: Pixels) -> Pixels:
        """Turn coded (H, W, …) pixels as they are to be seen."""
        if not self.straight:
            return pixels
        a, b, c, d = self._axes
        turned = pixels.swapaxes(0, 1) if self.transposes else pixels
        return np.ascontiguousarray(turned[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1])

    def coded(self, pixels: Pixels) -> Pixels:
        """Turn upright (H, W, …) pixels back as they are coded."""
        if not self.straight:
            return pixels
        a, b, c, d = self._axes
        turned = pixels[:: -1 if b + d < 0 else 1, :: -1 if a + c < 0 else 1]
        return np.ascontiguousarray(turned.swapaxes(0, 1) if self.transposes else turned)


def turn_of(frame: VideoFrame) -> Turn:
    """Read the display matrix of a decoded frame."""
    found: Any = frame.side_data.get("DISPLAYMATRIX")
    turn = Turn(tuple(int(n) for n in np.frombuffer(bytes(found), np.int32)) if found else None)
    a, b, c, d = turn._axes
    return Turn() if b == c == 0 and a > 0 and d > 0 else turn


def decoded(
    frame: VideoFrame, *, size: tuple[int, int], tags: Tags, reformatter: VideoReformatter
) -> tuple[Pixels, Pixels | None]:
    """Return coded RGB (H, W, 3) of `size` (width, height) in sRGB terms, and alpha (H, W) where the film has it."""
    frame.colorspace = tags.working(frame.height)
    frame.color_range = ColorRange.JPEG if tags.levels == 2 else ColorRange.MPEG
    if frame.format.is_rgb:
        frame.colorspace, frame.color_range = 0, ColorRange.JPEG
    alpha = has_alpha(frame.format)
    layout = "gbrp16le" if tags.hdr else "rgba" if alpha else "rgb24"
    made: Any = reformatter.reformat(
        frame, *size, format=layout, interpolation=_EXACTLY, dst_color_range=ColorRange.JPEG
    ).to_ndarray()
    if tags.hdr:
        return tone_mapped(made, hlg=tags.transfer == _HLG), None
    if alpha:
        return np.ascontiguousarray(made[..., :3]), np.ascontiguousarray(made[..., 3])
    return made, None


def coded(
    pixels: Pixels, alpha: Pixels | None, *, layout: str, tags: Tags, reformatter: VideoReformatter
) -> VideoFrame:
    """Return a frame of pixel format `layout` made of RGB (H, W, 3), tagged as the film is."""
    rgb = pixels if alpha is None else np.dstack([pixels, alpha])
    frame = VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24" if alpha is None else "rgba")
    if VideoFormat(layout).is_rgb:
        made = reformatter.reformat(frame, format=layout)
    else:
        matrix, full = tags.working(frame.height), tags.levels == 2
        for step in [*(_ROUNDED if full and bits(VideoFormat(layout)) == 8 and alpha is None else ()), layout]:
            frame = reformatter.reformat(
                frame,
                format=step,
                interpolation=_EXACTLY,
                dst_colorspace=matrix,
                dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
            )
        made = frame
        made.colorspace, made.color_range = tags.matrix, tags.levels
    made.color_primaries, made.color_trc = tags.primaries, tags.transfer
    return made


def tone_mapped(wide: NDArray[np.uint16], *, hlg: bool = False) -> Pixels:
    """Bring BT.2100 RGB (H, W, 3), PQ or HLG, white 65280, to SDR of BT.709: diffuse white is 241 of 255."""
    made = np.empty(wide.shape, np.uint8)
    for top in range(0, len(wide), 64):  # in strips that stay in the cache
        strip = _light(wide[top : top + 64], hlg=hlg) @ _TO_709.T
        np.maximum(strip, 0, out=strip)
        brightest = strip.max(axis=2, keepdims=True)
        strip *= _shoulder(brightest) / np.maximum(brightest, 1e-9)
        made[top : top + 64] = _gamma()[(np.sqrt(np.minimum(strip, 1)) * 4095 + 0.5).astype(np.uint16)]
    return made


def _light(wide: NDArray[np.uint16], *, hlg: bool) -> NDArray[np.float32]:
    if not hlg:
        return _pq()[wide]
    scene = _hlg()[wide]
    return np.asarray(scene * (scene @ _LUMINANCE)[..., None] ** 0.2 * np.float32(_PEAK))


def _shoulder(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bend what is brighter than the knee so that the peak becomes 1: Reinhard's extended curve, begun at the knee."""
    over = np.maximum(light - _KNEE, 0) / (1 - _KNEE)
    white = (_PEAK - _KNEE) / (1 - _KNEE)
    bent = over * (1 + over / white**2) / (1 + over)
    return np.where(light > _KNEE, _KNEE + (1 - _KNEE) * bent, light).astype(np.float32)


@cache
def _pq() -> NDArray[np.float32]:
    """Tabulate the EOTF of SMPTE ST 2084 for all 16-bit values, in units of diffuse white."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    signal = np.minimum(np.arange(65536) / _WIDE_TOP, 1) ** (1 / m2)
    return (10000 / _WHITE * (np.maximum(signal - c1, 0) / (c2 - c3 * signal)) ** (1 / m1)).astype(np.float32)


@cache
def _hlg() -> NDArray[np.float32]:
    """Tabulate the inverse OETF of ARIB STD-B67 for all 16-bit values: scene light from 0 to 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    signal = np.minimum(np.arange(65536) / _WIDE_TOP, 1)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)


@cache
def _gamma() -> Pixels:
    """Tabulate the inverse EOTF of ITU-R BT.1886 over the square root of light, which keeps the shadows apart."""
    return np.rint(255 * (np.arange(4096) / 4095) ** (2 / 2.4)).astype(np.uint8)
