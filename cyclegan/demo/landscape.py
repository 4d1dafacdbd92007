"""The world behind the animal: sky, hills, trees, a fence, and ground with a little texture, in flat colours."""

import math
import random
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from cyclegan.demo.palette import PALETTES, Colour, mix


@dataclass(frozen=True)
class Land:
    """Holds everything needed to paint one landscape, in fractions of the picture, y down."""

    ground: str
    light: float  # 0 a cool morning, 1 a warm evening
    horizon: float
    sun: tuple[float, float, float]
    clouds: tuple[tuple[float, float, float], ...]
    hills: tuple[tuple[float, float, float], ...]  # height, frequency, phase; the far one first
    trees: tuple[tuple[float, float, float], ...]  # place, height, how far below the horizon
    fence: float | None  # where along its posts it begins
    marks: tuple[tuple[float, float, float, int], ...]  # place, depth, length, colour


def draw_land(rng: random.Random, *, ground: str) -> Land:
    """Draw a landscape of one kind of ground."""
    uniform = rng.uniform
    horizon = uniform(0.50, 0.60)
    left = 0.0 if rng.random() < 0.5 else 0.5  # trees stand on one side, the sun shines from the other
    trees = [(left + uniform(-0.02, 0.5), uniform(0.20, 0.38), uniform(0.0, 0.05)) for _ in range(rng.randrange(1, 5))]
    return Land(
        ground=ground,
        light=rng.random(),
        horizon=horizon,
        sun=(uniform(0.1, 0.4) + 0.5 - left, uniform(0.12, horizon - 0.2), uniform(0.05, 0.075)),
        clouds=tuple((uniform(0.0, 1.0), uniform(0.06, 0.28), uniform(0.10, 0.20)) for _ in range(rng.randrange(3))),
        hills=tuple((uniform(*tall), uniform(0.7, 1.6), uniform(0.0, 1.0)) for tall in ((0.08, 0.15), (0.03, 0.08))),
        trees=tuple(sorted(trees, key=lambda tree: tree[2])),
        fence=uniform(0.0, 0.2) if rng.random() < 0.35 else None,
        marks=tuple(
            (rng.random(), max(rng.random(), rng.random()), uniform(0.02, 0.045), rng.randrange(2)) for _ in range(46)
        ),
    )


def paint_land(land: Land, size: int) -> Image.Image:
    """Paint the landscape on a new square canvas."""
    canvas = Image.new("RGB", (size, size))
    palette, ink = PALETTES[land.ground], ImageDraw.Draw(canvas)
    fade(canvas, palette.sky, top=0.0, bottom=land.horizon)
    paint_sky(ink, land, size)
    paint_hills(ink, land, size)
    fade(canvas, palette.ground, top=land.horizon, bottom=1.0)
    for tree in land.trees:
        paint_tree(ink, land, tree, size)
    paint_marks(ink, land, size)
    if land.fence is not None:
        paint_fence(ink, land, land.fence, size)
    return canvas


def fade(canvas: Image.Image, colours: tuple[Colour, Colour], *, top: float, bottom: float) -> None:
    """Fill the picture between two heights with a gradient."""
    first, last = round(top * canvas.height), round(bottom * canvas.height)
    t = np.linspace(0, 1, last - first)[:, None]
    rows = np.rint((1 - t) * np.array(colours[0]) + t * np.array(colours[1])).astype(np.uint8)
    canvas.paste(
        Image.fromarray(rows[:, None]).resize((canvas.width, last - first), Image.Resampling.NEAREST), (0, first)
    )


def disc(ink: ImageDraw.ImageDraw, x: float, y: float, radius: tuple[float, float], colour: Colour) -> None:
    """Paint an ellipse, everything in pixels."""
    ink.ellipse((x - radius[0], y - radius[1], x + radius[0], y + radius[1]), fill=colour)


def paint_sky(ink: ImageDraw.ImageDraw, land: Land, size: int) -> None:
    """Paint sun and clouds."""
    palette = PALETTES[land.ground]
    x, y, radius = land.sun
    around = mix(*palette.sky, min(1.0, y / land.horizon))
    for wide, t in ((2.1, 0.2), (1.5, 0.42), (1.0, 1.0)):
        disc(ink, x * size, y * size, (radius * wide * size,) * 2, mix(around, palette.light, t))
    white = mix(palette.sky[1], (255, 255, 255), 0.45)
    for x, y, wide in land.clouds:
        for dx, dy, w, h in ((0.0, 0.0, 1.0, 0.20), (-0.35, -0.08, 0.42, 0.24), (0.2, -0.14, 0.5, 0.32)):
            disc(
                ink,
                (x + dx * wide) * size,
                (y + dy * wide) * size,
                (w * wide * size * 0.8, h * wide * size * 0.8),
                white,
            )


def paint_hills(ink: ImageDraw.ImageDraw, land: Land, size: int) -> None:
    """Paint two ranges of hills, the near one darker."""
    across = np.linspace(0.0, 1.0, 40)
    for (tall, often, phase), colour in zip(land.hills, PALETTES[land.ground].hills, strict=True):
        wave = (
            0.5
            + 0.35 * np.sin(2 * math.pi * (often * across + phase))
            + 0.15 * np.sin(2 * math.pi * (2.3 * often * across - phase))
        )
        ridge = (land.horizon - tall * (0.25 + wave)) * size
        ink.polygon(
            [(0, land.horizon * size), *zip(across * size, ridge, strict=True), (size, land.horizon * size)],
            fill=colour,
        )


def paint_tree(ink: ImageDraw.ImageDraw, land: Land, tree: tuple[float, float, float], size: int) -> None:
    """Paint a conifer or a round tree."""
    palette = PALETTES[land.ground]
    x, foot, tall = tree[0] * size, (land.horizon + tree[2]) * size, tree[1] * size
    trunk = mix(palette.tree[1], (90, 62, 60), 0.6)
    ink.rectangle((x - tall * 0.045, foot - tall * 0.5, x + tall * 0.045, foot), fill=trunk)
    if palette.conifers:
        for low, high, wide in ((0.14, 0.60, 0.27), (0.38, 0.82, 0.21), (0.62, 1.0, 0.14)):
            base, top = foot - low * tall, foot - high * tall
            ink.polygon([(x - wide * tall, base), (x, top), (x + wide * tall, base)], fill=palette.tree[1])
            ink.polygon([(x - wide * tall, base), (x, top), (x - wide * tall * 0.1, base)], fill=palette.tree[0])
        return
    for dx, dy, r in ((-0.17, 0.50, 0.20), (0.17, 0.52, 0.21), (0.0, 0.72, 0.27)):
        disc(ink, x + dx * tall, foot - dy * tall, (r * tall, r * tall), palette.tree[1])
    for dx, dy, r in ((-0.20, 0.53, 0.14), (-0.04, 0.76, 0.19)):
        disc(ink, x + dx * tall, foot - dy * tall, (r * tall, r * tall), palette.tree[0])


def paint_fence(ink: ImageDraw.ImageDraw, land: Land, start: float, size: int) -> None:
    """Paint a fence of two rails a little below the horizon."""
    wood = mix(PALETTES[land.ground].ground[1], (104, 84, 84), 0.62)
    foot = land.horizon + 0.055
    for rail in (0.03, 0.065):
        ink.rectangle((0, (foot - rail - 0.007) * size, size, (foot - rail + 0.007) * size), fill=wood)
    for i in range(6):
        x = start - 0.1 + 0.2 * i
        ink.rectangle(((x - 0.01) * size, (foot - 0.09) * size, (x + 0.01) * size, foot * size), fill=wood)


def paint_marks(ink: ImageDraw.ImageDraw, land: Land, size: int) -> None:
    """Paint tufts on green ground and low ripples elsewhere, larger where they are nearer."""
    palette = PALETTES[land.ground]
    for x, depth, length, colour in land.marks:
        y = (land.horizon + 0.03 + (0.97 - land.horizon) * depth) * size
        x, wide = x * size, length * (0.45 + depth) * size
        if palette.tufts:
            blades = ((-0.5, 0.75), (0.0, 1.0), (0.5, 0.65))
            for lean, tall in blades:
                tip = (x + lean * wide, y - tall * wide)
                ink.polygon(
                    [(x + (lean - 0.6) * wide * 0.4, y), tip, (x + (lean + 0.6) * wide * 0.4, y)],
                    fill=palette.marks[colour],
                )
        else:
            disc(ink, x, y, (wide * 1.3, wide * 0.16), palette.marks[colour])


def paint_shadow(canvas: Image.Image, *, x: float, y: float, wide: float, ground: str) -> None:
    """Paint the shadow that stands an animal on its ground."""
    colour = mix(PALETTES[ground].ground[1], (40, 40, 80), 0.34)
    size = canvas.width
    disc(ImageDraw.Draw(canvas), x * size, y * size, (wide * size, wide * 0.11 * size), colour)


def shine(canvas: Image.Image, light: float) -> Image.Image:
    """Tint the finished picture from a cool morning (0) to a warm evening (1)."""
    gains = [a + (b - a) * light for a, b in ((0.97, 1.03), (0.99, 0.985), (1.02, 0.92))]
    return canvas.point([min(255, round(gain * level)) for gain in gains for level in range(256)])
