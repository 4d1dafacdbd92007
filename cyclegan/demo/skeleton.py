"""The outline under the coat: one skeleton for both animals, so that only the coat tells a horse from a zebra.

Lengths are in trunks (chest to buttock is 1), x forward, y up from the ground; angles in radians.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Gait = Literal["stand", "walk", "gallop"]
Points = NDArray[np.float64]
Line = Sequence[Sequence[float]] | Points

# Dock, croup, back, withers, chest, belly, flank, buttock.
TRUNK = (
    *((-0.47, 0.84), (-0.36, 0.93), (-0.22, 0.925), (0.02, 0.89), (0.18, 0.93), (0.30, 0.91), (0.43, 0.78)),
    *((0.46, 0.64), (0.38, 0.51), (0.22, 0.43), (0.00, 0.405), (-0.18, 0.45), (-0.30, 0.46), (-0.45, 0.55)),
    (-0.51, 0.70),
)
# In its own frame: u from poll to muzzle, v towards the forehead.
HEAD = (
    *((-0.04, 0.05), (0.05, 0.085), (0.16, 0.07), (0.28, 0.045), (0.37, 0.045), (0.405, 0.0)),
    *((0.375, -0.05), (0.29, -0.055), (0.20, -0.075), (0.09, -0.115), (0.0, -0.10)),
)
NECK_WIDTHS = (0.40, 0.33, 0.22, 0.17)
# How far the legs swing and fold, and when: near hind, near fore, far hind, far fore.
GAITS: dict[Gait, tuple[float, float, tuple[float, float, float, float]]] = {
    "stand": (0.10, 0.0, (0.0, 2.2, 3.1, 5.3)),
    "walk": (0.36, 0.55, (0.0, 1.57, 3.14, 4.71)),
    "gallop": (0.62, 0.75, (0.0, 3.0, 0.7, 3.6)),
}


@dataclass(frozen=True)
class Pose:
    """Holds where an animal stands, how it moves and what it wears; places are fractions of the picture, y down."""

    x: float  # the middle of the trunk
    hooves: float  # the height of the ground
    scale: float  # the length of the trunk
    facing: Literal[-1, 1]  # left, right
    gait: Gait
    phase: float  # of the step, 0..1
    head: float  # 0 grazing, 1 raised
    tail: float  # 0 hanging, 1 streaming
    tone: float  # 0..1, see `animal.coat_of`
    warmth: float


def curve(points: Line, *, closed: bool = False, steps: int = 6) -> Points:
    """Draw a smooth (Catmull-Rom) line through the points: (n, k) in, (about n · steps, k) out."""
    p = np.asarray(points, dtype=np.float64)
    before, after = (p[-1:], p[:2]) if closed else (2 * p[:1] - p[1:2], 2 * p[-1:] - p[-2:-1])
    p = np.concatenate([before, p, after])
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    line = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d + t * (3 * (b - c) + d - a)))
    return np.concatenate([line.reshape(-1, p.shape[1]), p[-2:-1]])


def sides(line: Points) -> Points:
    """Return for each point of a line the unit step to its left."""
    ahead = np.gradient(line, axis=0)
    left: Points = ahead[:, ::-1] * (-1.0, 1.0) / (np.linalg.norm(ahead, axis=1, keepdims=True) + 1e-9)
    return left


def ribbon(points: Line, widths: Sequence[float] | Points, *, steps: int = 6) -> Points:
    """Draw a smooth line of varying width through the points, as an outline."""
    line = curve(np.column_stack([np.asarray(points, dtype=np.float64), widths]), steps=steps)
    half = sides(line[:, :2]) * line[:, 2:] / 2
    return np.concatenate([line[:, :2] + half, (line[:, :2] - half)[::-1]])


def chain(root: tuple[float, float], *bones: tuple[float, float]) -> Points:
    """Hang bones, each (length, angle forward of straight down), on a root; returns the joints."""
    joints = np.cumsum([root, *((n * math.sin(angle), -n * math.cos(angle)) for n, angle in bones)], axis=0)
    return np.asarray(joints, dtype=np.float64)


def hind_leg(swing: float, fold: float, *, ahead: float) -> Points:
    """Return hip, stifle, hock, fetlock and toe."""
    gaskin, cannon, toe = swing - 0.42 - 0.3 * fold, swing + 0.06 - 0.5 * fold, swing + 0.3 - fold
    return chain((-0.33 + ahead, 0.66), (0.17, swing / 2 + 0.1), (0.22, gaskin), (0.21, cannon), (0.08, toe))


def fore_leg(swing: float, fold: float, *, ahead: float) -> Points:
    """Return shoulder, elbow, knee, fetlock and toe."""
    arm, cannon, toe = swing + 0.5 * fold, swing - 0.9 * fold, swing + 0.3 - 1.2 * fold
    return chain((0.27 + ahead, 0.64), (0.12, swing * 0.4), (0.24, arm), (0.20, cannon), (0.08, toe))


@dataclass(frozen=True)
class Skeleton:
    """Works out the joints of a pose."""

    pose: Pose

    @cached_property
    def legs(self) -> list[Points]:
        """Return the joints of near hind, near fore, far hind and far fore leg."""
        swing, fold, beats = GAITS[self.pose.gait]
        angles = [self.pose.phase * 2 * math.pi + beat for beat in beats]
        moves = [(swing * math.sin(a), fold * max(0.0, math.cos(a))) for a in angles]
        return [(fore_leg if i % 2 else hind_leg)(*move, ahead=0.05 * (i > 1)) for i, move in enumerate(moves)]

    @cached_property
    def ground(self) -> float:
        """Return the height under the lowest hoof; a gallop hovers a little."""
        return float(min(leg[-1, 1] for leg in self.legs)) - 0.045 - 0.05 * (self.pose.gait == "gallop")

    @cached_property
    def neck(self) -> Points:
        """Return the middle of the neck from inside the trunk to the poll."""
        angle = math.radians(-46 + 104 * self.pose.head)
        ahead, up = math.cos(angle), math.sin(angle)
        along, crest = ((0.14, 0.32, 0.50), (0.0, 0.035, 0.0))
        line = [(0.31 + n * ahead - c * up, 0.77 + n * up + c * ahead) for n, c in zip(along, crest, strict=True)]
        return np.array([(0.20, 0.72), *line])

    def on_head(self, points: Line) -> Points:
        """Carry points of the head's frame to the body's."""
        angle = math.radians(-98 + 60 * self.pose.head)
        ahead, up = math.cos(angle), math.sin(angle)
        turned = np.asarray(points, dtype=np.float64) @ np.array([(ahead, up), (-up, ahead)])
        return np.asarray(turned + self.neck[-1], dtype=np.float64)

    @cached_property
    def crest(self) -> Points:
        """Return the upper edge of the neck, from the withers to between the ears."""
        line = curve(self.neck)
        width = np.interp(np.linspace(0, 1, len(line)), np.linspace(0, 1, 4), NECK_WIDTHS)
        edge = line + sides(line) * width[:, None] / 2
        return np.concatenate([edge[5:], self.on_head([(0.02, 0.07), (0.09, 0.085)])])

    @cached_property
    def tail(self) -> Points:
        """Return the middle of the tail from the dock to its tip."""
        away = self.pose.tail
        tip = [(-0.57 - 0.12 * away, 0.62 + 0.14 * away), (-0.56 - 0.22 * away, 0.36 + 0.22 * away)]
        return np.array([(-0.45, 0.86), (-0.53 - 0.08 * away, 0.80 + 0.03 * away), *tip])
