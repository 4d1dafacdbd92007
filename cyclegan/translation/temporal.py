"""Films without flicker: each translated frame averaged with its neighbours, aligned by the motion of the input.

    O_t = Σ_k M_k g_k warp(P_{t+k}) / Σ_k M_k g_k        k = -reach … reach, g a Gaussian of sigma frames
    M_k = exp(-50 · box3(‖I_t - warp(I_{t+k})‖²))        of the input I in [0, 1]; M_0 = 1
    R_t = O_t + (√(V / var(O_t)) - 1) (O_t - soft(O_t))  V = Σ_k M_k g_k warp(var(P_{t+k})) / Σ_k M_k g_k

The second step gives back what an average takes: where a texture slides over the thing it is on, as stripes do on a
running horse, it averages out to grey. Its contrast var, the local variance, is what the frames had.

Only raw translations P are averaged, never results, and each is resampled once: nothing drifts and little blurs. Where
the input shows something else (behind a thing that moved) M is near 0 and the translation stays as it was. Past a cut
that is not near enough: pictures that have nothing in common still share some pixels, which would be mixed, by up to 16
levels of 255. So a cut is recognised by the mean of M, and nothing is averaged over it.

The motion is found in the input alone, so that it can be worked out in another thread than the network's: OpenCV lets
other threads of Python run while it works. tools/flicker.py measures all this on a film whose truth is known.
"""

import itertools
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.media.image import Pixels

Flow = NDArray[Any]  # float32 (h, w, 2): how many pixels to the right and down

STRICTNESS = 50.0  # of M, as Lai et al. 2018 have it; 30 and 100 cost up to 0.1 dB
SHORT_SIDE = 480  # of the picture in which motion is found
FINE_BELOW = 256  # of the short side: here the motion is found to the finest scale, which costs four times as much
SMALLEST = 16  # a side that OpenCV finds motion in
LARGEST = 32766  # a side that OpenCV resamples
CUT = 0.25  # mean of M; neighbours of one scene have 0.8 to 0.95, those of two scenes 0.01 to 0.2
CLOSE = (9, 9)  # pixels: what is finer than this is detail
NOISE = 9.0  # the variance, in levels of 255, below which contrast is none worth restoring
FULL = 255  # the weight of a frame in its own average
LEFT_OUT: Any = None  # an argument that OpenCV needs not, and its type stubs think it does


@dataclass(frozen=True)
class Motion:
    """Hold how the pixels of an input frame moved since the frame before.

    `scene` (h, w, 3) is the frame at the size that motion was found at, `size` its own (H, W). `back` leads from its
    pixels to where they were in the scene before, `forth` from the pixels of the scene before to where they went; None
    where there is none.
    """

    size: tuple[int, int]
    scene: Pixels
    back: Flow | None = None
    forth: Flow | None = None


class Flicker:
    """Gather the warp error of a film before and after steadying: (O[t-1] - warp(O[t]))², colours in [0, 1].

    It is the mean over colours and over pixels that both frames show, as far as the input's motion tells: forth and
    back must meet (Sundaram, Brox and Keutzer 2010).
    """

    def __init__(self) -> None:
        self._count, self._before, self._after = 0, 0.0, 0.0

    def add(self, motion: Motion, *, before: tuple[Pixels, Pixels], after: tuple[Pixels, Pixels]) -> None:
        """Take in two neighbours (the earlier first) before and after steadying; `motion` is the later one's."""
        if motion.forth is None or motion.back is None:
            return
        size = before[0].shape[:2]
        shown = _resized(_met(motion.forth, motion.back), size)
        there = _there(_resized_flow(motion.forth, size))
        self._count += 3 * FULL**2 * cv2.countNonZero(shown)
        self._before += cv2.norm(before[0], _warp(before[1], there), cv2.NORM_L2SQR, shown)
        self._after += cv2.norm(after[0], _warp(after[1], there), cv2.NORM_L2SQR, shown)

    @property
    def before(self) -> float:
        """Return the warp error of the raw translation; 0 for a film without motion to follow."""
        return self._before / max(self._count, 1)

    @property
    def after(self) -> float:
        """Return the warp error of the steadied film; 0 for a film without motion to follow."""
        return self._after / max(self._count, 1)

    def __str__(self) -> str:
        return f"flicker {1000 * self.before:.1f} → {1000 * self.after:.1f}"


def motions(frames: Iterable[Pixels]) -> Iterator[Motion]:
    """Yield each frame (H, W, 3) with its motion since the one before, lazily; none past a cut or a change of size."""
    earlier: Motion | None = None
    for pixels in frames:
        earlier = _motion(pixels, earlier)
        yield earlier


def steady(
    pairs: Iterable[tuple[Motion, Pixels]], *, reach: int = 3, sigma: float = 2.0, flicker: Flicker | None = None
) -> Iterator[Pixels]:
    """Yield a steadied frame for each (motion of the input, translated frame of the same size), in order.

    A frame comes as soon as `reach` frames behind it are known; 2 · reach + 1 are held at a time. `flicker` gathers
    how much the film flickers before and after.
    """
    window = deque[_Held | None]([None] * (2 * reach + 1), maxlen=2 * reach + 1)
    earlier: tuple[Pixels, Pixels] | None = None
    for pair in itertools.chain(pairs, [None] * reach):
        window.append(None if pair is None else _Held(*pair, _contrast(pair[1])))
        if (here := window[reach]) is None:
            continue
        raw = here.translated
        neighbours = [*_neighbours(window, reach, 1), *_neighbours(window, reach, -1)]
        steadied = _average(here, neighbours, sigma=sigma) if neighbours else raw
        if flicker is not None and earlier is not None:
            flicker.add(here.motion, before=(earlier[0], raw), after=(earlier[1], steadied))
        earlier = raw, steadied
        yield steadied


@dataclass(frozen=True)
class _Held:
    """An input's motion, its translation, and how much contrast that has from place to place."""

    motion: Motion
    translated: Pixels
    contrast: NDArray[Any]


@dataclass(frozen=True)
class _Neighbour:
    """A frame `distance` frames from another one: `flow` leads from that one's pixels to the places `there` in it."""

    distance: int
    flow: Flow
    there: Flow
    held: _Held


def _neighbours(window: deque[_Held | None], middle: int, step: int) -> Iterator[_Neighbour]:
    """Yield what follows (or precedes) the middle of the window, as far as the motion leads.

    Motion over several frames is composed of the steps between. Found directly it is hardly better (0.0 to 0.2 dB on
    the drawn film) and costs three times as much.
    """
    seen: _Neighbour | None = None
    for place in range(middle + step, len(window) if step > 0 else -1, step):
        near, far = window[place - step], window[place]
        if near is None or far is None:
            return
        link = far.motion.forth if step > 0 else near.motion.back
        if link is None:
            return
        flow = link if seen is None else cv2.add(seen.flow, _warp(link, seen.there))
        seen = _Neighbour(abs(place - middle), flow, _there(flow), far)
        yield seen


def _average(here: _Held, neighbours: list[_Neighbour], *, sigma: float) -> Pixels:
    """Return the weighted mean of a translated frame and its neighbours, each brought to where it stands here."""
    size, coarse = here.translated.shape[:2], here.contrast.shape[:2]
    total = np.multiply(here.translated, FULL, dtype=np.float32, order="C")  # OpenCV adds to no turned view
    weights = np.full(size, FULL, np.float32)
    contrast, certain = here.contrast.copy(), np.ones(coarse, np.float32)
    for other in neighbours:
        nearness = np.float32(math.exp(-0.5 * (other.distance / sigma) ** 2))
        likeness = nearness * _likeness(here.motion.scene, other.held.motion.scene, other.there)
        alike = _resized(cv2.convertScaleAbs(likeness, alpha=FULL), size)
        there = other.there if likeness.shape[:2] == size else _there(_resized_flow(other.flow, size))
        # Cubic, because linear resampling is what blurs: sharpness 0.84 against 1.00 on the drawn film.
        aligned = cv2.remap(other.held.translated, there, LEFT_OUT, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        cv2.accumulateProduct(aligned, cv2.merge([alike] * 3), total)
        cv2.accumulate(alike, weights)
        known = _warp(other.held.contrast, _there(_resized_flow(other.flow, coarse)))
        share = cv2.resize(likeness, coarse[::-1], interpolation=cv2.INTER_AREA)
        cv2.accumulateProduct(known, share, contrast)
        cv2.accumulate(share, certain)
    mean = np.asarray(cv2.divide(total, cv2.merge([weights] * 3), dtype=cv2.CV_8U), np.uint8)
    return _with_contrast(mean, contrast / certain)


def _contrast(pixels: Pixels) -> NDArray[Any]:
    """Return the variance of the grey within CLOSE pixels from place to place, at a quarter of the size."""
    grey = cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY)
    mean = cv2.boxFilter(grey, cv2.CV_32F, CLOSE)
    variance = cv2.subtract(cv2.sqrBoxFilter(grey, cv2.CV_32F, CLOSE), cv2.multiply(mean, mean))
    size = [max(1, side // 4) for side in grey.shape[::-1]]
    return np.asarray(cv2.blur(cv2.resize(variance, size, interpolation=cv2.INTER_AREA), (5, 5)), np.float32)


def _with_contrast(mean: Pixels, contrast: NDArray[Any]) -> Pixels:
    """Raise the fine detail of a mean to the contrast its frames had: never lowered, at most doubled."""
    ratio = cv2.divide(contrast + NOISE, _contrast(mean) + NOISE)
    gain = cv2.resize(np.sqrt(np.clip(ratio, 1, 4)), mean.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    soft = cv2.GaussianBlur(mean, (0, 0), CLOSE[0] / 2)
    detail = cv2.multiply(cv2.subtract(mean, soft, dtype=cv2.CV_32F), cv2.merge([gain] * 3))
    return np.asarray(cv2.add(soft, detail, dtype=cv2.CV_8U), np.uint8)


def _likeness(scene: Pixels, other: Pixels, there: Flow) -> NDArray[Any]:
    """Return M, float32 (h, w): 1 where the other scene shows at `there` what is seen here, 0 where something else."""
    apart = cv2.absdiff(scene, _warp(other, there))
    squares = cv2.multiply(apart, apart, dtype=cv2.CV_32F)
    exponent = cv2.transform(squares, np.full((1, 3), -STRICTNESS / 255**2, np.float32))
    return cv2.copyTo(cv2.exp(cv2.blur(exponent, (3, 3))), _inside(there))


def _motion(pixels: Pixels, earlier: Motion | None) -> Motion:
    scene, size = _scene(pixels), (pixels.shape[0], pixels.shape[1])
    if earlier is None or earlier.size != size or max(size) > LARGEST:
        return Motion(size, scene)
    back, forth = _flow(scene, earlier.scene), _flow(earlier.scene, scene)
    if _likeness(scene, earlier.scene, _there(back)).mean() < CUT:
        return Motion(size, scene)
    return Motion(size, scene, back=back, forth=forth)


def _scene(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    scale = SHORT_SIDE / min(height, width)
    if scale >= 1:
        return pixels
    size = (round(width * scale), round(height * scale))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)


def _flow(one: Pixels, other: Pixels) -> Flow:
    """Return where the pixels of one scene are in the other, by dense inverse search (Kroeger et al. 2016)."""
    height, width = one.shape[:2]
    short = min(height, width)
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    search.setFinestScale(0 if short < FINE_BELOW else 1)
    down, right = max(0, SMALLEST - height), max(0, SMALLEST - width)
    grey = [cv2.cvtColor(scene, cv2.COLOR_RGB2GRAY) for scene in (one, other)]
    wide = [cv2.copyMakeBorder(scene, 0, down, 0, right, cv2.BORDER_REPLICATE) for scene in grey]
    return np.ascontiguousarray(search.calc(wide[0], wide[1], LEFT_OUT)[:height, :width])


def _there(flow: Flow) -> Flow:
    """Return where a flow leads, as pixel positions (column, row)."""
    there: Flow = flow.copy()
    there[..., 0] += np.arange(flow.shape[1], dtype=np.float32)
    there[..., 1] += np.arange(flow.shape[0], dtype=np.float32)[:, None]
    return there


def _warp(values: NDArray[Any], there: Flow) -> NDArray[Any]:
    return cv2.remap(values, there, LEFT_OUT, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _inside(there: Flow) -> NDArray[Any]:
    """Return 255 where a position lies in the picture, else 0."""
    height, width = there.shape[:2]
    return cv2.inRange(there, (-0.5, -0.5), (width - 0.5, height - 0.5))


def _met(forth: Flow, back: Flow) -> NDArray[Any]:
    """Return 255 where the way forth and the way back meet within half a pixel and a tenth of the way, else 0."""
    there = _there(forth)
    returned = _warp(back, there)
    gap = _squared(cv2.add(forth, returned))
    allowed = cv2.addWeighted(_squared(forth), 0.01, _squared(returned), 0.01, 0.5)
    return cv2.bitwise_and(cv2.compare(gap, allowed, cv2.CMP_LE), _inside(there))


def _squared(flow: Flow) -> NDArray[Any]:
    return cv2.transform(cv2.multiply(flow, flow), np.ones((1, 2), np.float32))


def _resized(mask: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    if mask.shape[:2] == size:
        return mask
    return cv2.resize(mask, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def _resized_flow(flow: Flow, size: tuple[int, int]) -> Flow:
    if flow.shape[:2] == size:
        return flow
    scale = (size[1] / flow.shape[1], size[0] / flow.shape[0])
    return cv2.resize(flow, (size[1], size[0]), interpolation=cv2.INTER_LINEAR) * np.array(scale, np.float32)
