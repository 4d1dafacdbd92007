"""Measures steadying on a drawn film whose motion and whose flicker-free truth are known: one Markdown table.

The camera pans, turns and zooms, and a textured thing crosses the picture. The "translation" is a fixed recolouring of
the clean film, which is the truth, with flicker planted on it: a tint for each frame, blotches, and noise.
Warp error alone can be gamed, so it stands beside fidelity to the truth and sharpness; and the average of neighbours
without motion is the control, which lowers warp error and must lose fidelity.
"""

import argparse
import itertools
import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cyclegan.translation.temporal import motions, steady

Pixels = NDArray[np.uint8]
Floats = NDArray[Any]
LEFT_OUT: Any = None  # an argument that OpenCV needs not, and its type stubs think it does
BETWEEN = 2  # pixels from the outline of a thing within which a true flow means nothing: both sides are mixed there


@dataclass(frozen=True)
class Clip:
    """A drawn film: what was filmed, its translation without and with flicker, and the true motion.

    `flows[t]` (H, W, 2) leads from frame t to frame t + 1, and `seen[t]` (H, W) is 255 where that shows the same.
    """

    inputs: list[Pixels]
    truth: list[Pixels]
    raw: list[Pixels]
    flows: list[Floats]
    seen: list[Pixels]


def main() -> None:
    """Draw the clip that the command line asks for, steady it, and print the table."""
    arguments = parser().parse_args()
    cv2.setNumThreads(1)
    clip = draw(size=arguments.size, frames=arguments.frames, seed=arguments.seed)
    start = time.perf_counter()
    found = list(motions(clip.inputs))
    between = time.perf_counter()
    steadied = list(steady(zip(found, clip.raw, strict=True), reach=arguments.reach, sigma=arguments.sigma))
    end = time.perf_counter()
    print("| method | warp error × 1000 | PSNR to the truth, dB | sharpness | flow, ms/frame | average, ms/frame |")
    print("|---|---|---|---|---|---|")
    print(row("raw", clip, clip.raw))
    print(row("moving average", clip, blurred(clip.raw, reach=arguments.reach, sigma=arguments.sigma)))
    print(row("steady", clip, steadied, seconds=(between - start, end - between)))


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    found.add_argument("--size", type=int, default=128, help="pixels a side")
    found.add_argument("--frames", type=int, default=24, help="how many")
    found.add_argument("--seed", type=int, default=0, help="of everything drawn by chance")
    found.add_argument("--reach", type=int, default=3, help="neighbours averaged on each side")
    found.add_argument("--sigma", type=float, default=2.0, help="of their Gaussian weights, in frames")
    return found


def row(name: str, clip: Clip, film: Sequence[Pixels], *, seconds: tuple[float, float] = (0.0, 0.0)) -> str:
    """Return a line of the table."""
    cost = " | ".join(f"{1000 * s / len(film):.1f}" for s in seconds)
    figures = f"{1000 * warp_error(clip, film):.2f} | {fidelity(clip, film):.1f} | {sharpness(clip, film):.2f}"
    return f"| {name} | {figures} | {cost} |"


def warp_error(clip: Clip, film: Sequence[Pixels]) -> float:
    """Return the mean of (O[t] - warp(O[t+1]))² over pixels and colours of [0, 1], by the true motion, where seen."""
    steps = zip(itertools.pairwise(film), clip.flows, clip.seen, strict=True)
    return statistics.fmean(_apart(now, _warp(later, flow), seen) for (now, later), flow, seen in steps)


def fidelity(clip: Clip, film: Sequence[Pixels]) -> float:
    """Return the PSNR to the flicker-free translation in dB, over the whole film."""
    everywhere = np.full(film[0].shape[:2], 255, np.uint8)
    error = statistics.fmean(_apart(*pair, everywhere) for pair in zip(film, clip.truth, strict=True))
    return -10 * math.log10(max(error, 1e-10))


def sharpness(clip: Clip, film: Sequence[Pixels]) -> float:
    """Return the energy of the film's gradients as a share of the truth's."""
    return sum(map(_energy, film)) / sum(map(_energy, clip.truth))


def blurred(film: Sequence[Pixels], *, reach: int, sigma: float) -> list[Pixels]:
    """Return the control: the same weights, without motion and without mask."""
    weights = {k: math.exp(-0.5 * (k / sigma) ** 2) for k in range(-reach, reach + 1)}
    inside = range(len(film))
    averages = (
        np.average(
            [film[t + k] for k in weights if t + k in inside],
            axis=0,
            weights=[w for k, w in weights.items() if t + k in inside],
        )
        for t in inside
    )
    return [np.rint(average).astype(np.uint8) for average in averages]


def draw(*, size: int, frames: int, seed: int) -> Clip:
    """Draw a clip of square frames."""
    chance = np.random.default_rng(seed)
    ground, coat = (_texture(chance, 4 * size) for _ in range(2))
    drawn = [_frame(ground, coat, size=size, t=t) for t in range(frames)]
    inputs = [pixels for pixels, _ in drawn]
    truth = [_recoloured(pixels) for pixels in inputs]
    raw = [_flickering(pixels, chance) for pixels in truth]
    steps = [_true_motion(drawn[t][1], drawn[t + 1][1], size=size, t=t) for t in range(frames - 1)]
    return Clip(inputs, truth, raw, [flow for flow, _ in steps], [seen for _, seen in steps])


def _texture(chance: np.random.Generator, size: int) -> Floats:
    """Draw patches with hard edges and detail of every scale: (size, size, 3) in [0, 255]."""
    scales = {1.0: 2.2, 3.0: 1.4, 8.0: 1.0}
    octaves = [cv2.GaussianBlur(chance.standard_normal((size, size, 3)), (0, 0), s) * s * w for s, w in scales.items()]
    cells = cv2.GaussianBlur(chance.standard_normal((size, size)), (0, 0), 6) * 6
    patches = np.where(cells[..., None] > 0, (50, 20, -10), (-40, 0, 30))
    return np.asarray(np.clip(120 + patches + 45 * sum(octaves), 0, 255), np.float32)


def _camera(t: float, size: int) -> Floats:
    """Return the matrix (3, 3) from the screen to the ground's texture: a pan with a sway, a turn and a zoom."""
    return _placed(1 - 0.004 * t, 0.006 * t, 1.6 * size + 1.7 * t, 1.7 * size + 4 * math.sin(0.35 * t), size)


def _thing(t: float, size: int) -> Floats:
    """Return the matrix from the screen to the thing's texture: it crosses the picture against the pan."""
    return _placed(1.0, -0.01 * t, 1.9 * size - (size / 80) * t, 1.5 * size - 2 * math.sin(0.5 * t), size)


def _placed(scale: float, angle: float, right: float, down: float, size: int) -> Floats:
    cos, sin, middle = scale * math.cos(angle), scale * math.sin(angle), size / 2
    around = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, 1]], float)
    placed: Floats = np.array([[cos, -sin, right + middle], [sin, cos, down + middle], [0, 0, 1]], float) @ around
    return placed


def _frame(ground: Floats, coat: Floats, *, size: int, t: int) -> tuple[Pixels, Floats]:
    """Draw frame t: its pixels, and how far each pixel belongs to the thing, in [0, 1]."""
    behind, front = (_view(texture, place(t, size)) for texture, place in ((ground, _camera), (coat, _thing)))
    across, along = 2.0 * size - 0.1 * size, 2.0 * size
    rows, columns = np.mgrid[0 : 4 * size, 0 : 4 * size].astype(np.float32)
    outline = ((columns - across) / (0.28 * size)) ** 2 + ((rows - along) / (0.2 * size)) ** 2 < 1
    share = _view(np.asarray(outline, np.float32), _thing(t, size))
    mixed = share[..., None] * (0.75 * front + 50) + (1 - share[..., None]) * behind
    return np.asarray(np.rint(np.clip(mixed, 0, 255)), np.uint8), share


def _view(texture: Floats, matrix: Floats) -> Floats:
    """Return what a camera at `matrix` sees, drawn at four times the pixels."""
    size = texture.shape[0] // 4
    finer = matrix @ np.array([[0.5, 0, -0.25], [0, 0.5, -0.25], [0, 0, 1]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    large = cv2.warpAffine(texture, finer[:2], (2 * size, 2 * size), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return cv2.resize(large, (size, size), interpolation=cv2.INTER_AREA)


def _recoloured(pixels: Pixels) -> Pixels:
    """Translate: another hue and a stronger contrast, the same for every frame."""
    mixed = cv2.transform(pixels.astype(np.float32), np.array([[0.2, 0.7, 0.2], [0.5, 0.4, 0.0], [0.1, 0.2, 0.8]]))
    return np.asarray(np.rint(255 / (1 + np.exp(-(mixed - 125) / 38))), np.uint8)


def _flickering(pixels: Pixels, chance: np.random.Generator) -> Pixels:
    """Plant flicker: a tint, blotches an eighth of the side large, and noise in the texture."""
    size = pixels.shape[0]
    tint = chance.normal(0, 7, 3)
    blotches = cv2.resize(chance.normal(0, 12, (8, 8, 3)), (size, size), interpolation=cv2.INTER_CUBIC)
    noise = cv2.GaussianBlur(chance.normal(0, 20, (size, size, 3)), (0, 0), 0.8)
    return np.asarray(np.rint(np.clip(pixels + tint + blotches + noise, 0, 255)), np.uint8)


def _true_motion(share: Floats, later: Floats, *, size: int, t: int) -> tuple[Floats, Pixels]:
    """Return the flow from frame t to the next (size, size, 2), and where both ends show the same thing."""
    rows, columns = np.mgrid[0:size, 0:size].astype(np.float64)
    here = np.stack([columns, rows, np.ones_like(rows)], axis=-1)
    ends = [here @ (np.linalg.inv(place(t + 1, size)) @ place(t, size)).T for place in (_camera, _thing)]
    there = np.where(share[..., None] > 0.5, ends[1], ends[0])[..., :2].astype(np.float32)
    edge = np.ones((2 * BETWEEN + 1, 2 * BETWEEN + 1), np.uint8)
    owners = [
        np.where(cv2.erode(s, edge) > 0.99, 2, np.where(cv2.dilate(s, edge) < 0.01, 1, 0)) for s in (share, later)
    ]
    met = cv2.remap(owners[1].astype(np.uint8), there, LEFT_OUT, cv2.INTER_NEAREST, borderMode=cv2.BORDER_CONSTANT)
    inside = cv2.inRange(there, (0, 0), (size - 1, size - 1)) > 0
    seen = (owners[0] > 0) & (owners[0] == met) & inside
    return there - here[..., :2].astype(np.float32), np.where(seen, 255, 0).astype(np.uint8)


def _warp(pixels: Pixels, flow: Floats) -> Pixels:
    rows, columns = np.mgrid[0 : flow.shape[0], 0 : flow.shape[1]].astype(np.float32)
    there = flow + np.stack([columns, rows], axis=-1)
    return np.asarray(cv2.remap(pixels, there, LEFT_OUT, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.uint8)


def _apart(one: Pixels, other: Pixels, mask: Pixels) -> float:
    count = 3 * cv2.countNonZero(mask) * 255**2
    return cv2.norm(one, other, cv2.NORM_L2SQR, mask) / max(count, 1)


def _energy(pixels: Pixels) -> float:
    values = pixels.astype(np.float64)
    return float(np.square(np.diff(values, axis=0)).mean() + np.square(np.diff(values, axis=1)).mean())


if __name__ == "__main__":
    main()
