"""Painted folders as they come from a scraper: mostly fine, with a rare group, junk, misfiled pictures and copies."""

import functools
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from torch import Tensor

from cyclegan.chance import seed_for
from cyclegan.demo.animal import Animal
from cyclegan.demo.landscape import draw_land, paint_land, shine
from cyclegan.demo.painter import GROUNDS, Scene, draw_scene, paint

SIDE, FINE = 64, 256  # junk is drawn larger and averaged down, as the scenes are
RARE = "snow"
ORDINARY = tuple(ground for ground in GROUNDS if ground != RARE)
COPIES = ("jpeg", "crop", "brightness")

Picture = NDArray[np.uint8]
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class Planted:
    """A folder and what was planted in it; `pairs` are (original, copy), places in `pictures`."""

    pictures: Tensor  # uint8 (N, 3, 64, 64)
    kinds: tuple[str, ...]  # "ordinary", "rare", "misfiled", "junk:<kind>" or "copy"
    pairs: tuple[tuple[int, int], ...]

    def where(self, kind: str) -> Tensor:
        """Return which pictures are of a kind, as bool (N,); "junk" means any of the twelve."""
        return torch.tensor([each.split(":")[0] == kind or each == kind for each in self.kinds])


@functools.lru_cache(maxsize=8)
def folder(
    animal: Animal,
    count: int,
    *,
    seed: int,
    rare: float = 0.05,
    junk: float = 0.03,
    misfiled: int = 0,
    duplicates: int = 0,
) -> Planted:
    """Paint `count` pictures in all, shuffled: shares of a rare group and of junk, counts of the other two."""
    rares, junks = round(rare * count), round(junk * count)
    other: Animal = "zebra" if animal == "horse" else "horse"
    plain = count - rares - junks - misfiled - duplicates
    assert plain >= max(1, duplicates), "more planted than there is room for"
    drawn = [("ordinary", scene(animal, chance(seed, animal, "ordinary", i))) for i in range(plain)]
    drawn += [("rare", scene(animal, chance(seed, animal, "rare", i), ground=RARE)) for i in range(rares)]
    drawn += [("misfiled", scene(other, chance(seed, animal, "misfiled", i))) for i in range(misfiled)]
    drawn += [junk_picture(animal, seed, i) for i in range(junks)]
    drawn += [("copy", copy_of(drawn[i][1], COPIES[i % 3], chance(seed, animal, "copy", i))) for i in range(duplicates)]
    order = list(range(count))
    chance(seed, animal, "order").shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    pictures = torch.from_numpy(np.stack([drawn[i][1] for i in order])).permute(0, 3, 1, 2).contiguous()
    pairs = tuple((place[i], place[count - duplicates + i]) for i in range(duplicates))
    return Planted(pictures, tuple(drawn[i][0] for i in order), pairs)


def write(planted: Planted, target: Path) -> dict[str, str]:
    """Write the pictures as PNG files whose names tell nothing; returns which name is of which kind."""
    target.mkdir(parents=True, exist_ok=True)
    names = {}
    for i, (picture, kind) in enumerate(zip(planted.pictures, planted.kinds, strict=True)):
        names[f"{i:05d}.png"] = kind
        Image.fromarray(picture.permute(1, 2, 0).numpy()).save(target / f"{i:05d}.png")
    return names


def chance(*names: int | str) -> random.Random:
    return random.Random(seed_for(*names))


def scene(animal: Animal, rng: random.Random, *, ground: str | None = None) -> Picture:
    return paint(ordinary(rng, ground=ground), animal, size=SIDE)


def ordinary(rng: random.Random, *, ground: str | None = None) -> Scene:
    return draw_scene(rng, ground=ground or rng.choice(ORDINARY))


def junk_picture(animal: Animal, seed: int, index: int) -> tuple[str, Picture]:
    kind = tuple(JUNK)[index % len(JUNK)]
    return f"junk:{kind}", JUNK[kind](animal, chance(seed, animal, kind, index))


def copy_of(picture: Picture, how: str, rng: random.Random) -> Picture:
    """Return the picture as it comes from another page: saved again, cut by 4 % or 12 % brighter or darker."""
    image = Image.fromarray(picture)
    if how == "jpeg":
        file = io.BytesIO()
        image.save(file, format="JPEG", quality=40)
        return np.asarray(Image.open(file).convert("RGB"))
    if how == "crop":
        side = SIDE * 0.96
        left, top = (rng.uniform(0, SIDE - side) for _ in range(2))
        box = (left, top, left + side, top + side)
        return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box=box))
    gain = 1 + rng.choice((-0.12, 0.12))
    return np.clip(np.rint(picture * gain), 0, 255).astype(np.uint8)


def landscape(rng: random.Random) -> Image.Image:
    land = draw_land(rng, ground=rng.choice(ORDINARY))
    return shine(paint_land(land, FINE), land.light)


def small(canvas: Image.Image) -> Picture:
    return np.asarray(canvas.reduce(FINE // SIDE))


def colour(rng: random.Random, low: int = 0, high: int = 255) -> Colour:
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def empty(animal: Animal, rng: random.Random) -> Picture:
    return small(landscape(rng))


def car(animal: Animal, rng: random.Random) -> Picture:
    canvas = landscape(rng)
    ink, paintwork, x, y = ImageDraw.Draw(canvas), colour(rng, 20, 230), rng.randint(25, 60), rng.randint(195, 225)
    ink.rectangle((0, y - 12, FINE, FINE), fill=(96, 96, 102))
    ink.rounded_rectangle((x, y - 45, x + 160, y), radius=14, fill=paintwork)
    ink.polygon([(x + 28, y - 43), (x + 52, y - 80), (x + 108, y - 80), (x + 136, y - 43)], fill=paintwork)
    ink.polygon([(x + 42, y - 46), (x + 58, y - 72), (x + 102, y - 72), (x + 120, y - 46)], fill=(190, 216, 232))
    for wheel in (x + 36, x + 124):
        ink.ellipse((wheel - 19, y - 17, wheel + 19, y + 21), fill=(26, 26, 28))
        ink.ellipse((wheel - 9, y - 7, wheel + 9, y + 11), fill=(180, 180, 186))
    return small(canvas)


def text(animal: Animal, rng: random.Random) -> Picture:
    paper = rng.randint(232, 255)
    canvas = Image.new("RGB", (FINE, FINE), (paper, paper, paper - rng.randint(0, 14)))
    ink, tall, margin = ImageDraw.Draw(canvas), rng.randint(5, 9), rng.randint(12, 30)
    for y in range(rng.randint(14, 40), FINE - 24, round(tall * 2.2)):
        x, right = margin, FINE - margin - (rng.randint(0, 120) if rng.random() < 0.25 else 0)
        while x < right:
            word = rng.randint(8, 34)
            ink.rectangle((x, y, min(x + word, right), y + tall), fill=(40, 40, 44))
            x += word + 7
    return small(canvas)


def blank(animal: Animal, rng: random.Random) -> Picture:
    return np.broadcast_to(np.array(colour(rng), np.uint8), (SIDE, SIDE, 3)).copy()


def static(animal: Animal, rng: random.Random) -> Picture:
    return np.frombuffer(rng.randbytes(SIDE * SIDE * 3), np.uint8).reshape(SIDE, SIDE, 3)


def inverted(animal: Animal, rng: random.Random) -> Picture:
    return 255 - scene(animal, rng)


def grey(animal: Animal, rng: random.Random) -> Picture:
    return np.asarray(Image.fromarray(scene(animal, rng)).convert("L").convert("RGB"))


def blur(animal: Animal, rng: random.Random) -> Picture:
    blurred = ImageFilter.GaussianBlur(rng.uniform(2.5, 4.5))
    return np.asarray(Image.fromarray(scene(animal, rng)).filter(blurred))


def upside_down(animal: Animal, rng: random.Random) -> Picture:
    return scene(animal, rng)[::-1]


def portrait(animal: Animal, rng: random.Random) -> Picture:
    canvas = Image.new("RGB", (FINE, FINE), colour(rng, 60, 220))
    ink, x, y = ImageDraw.Draw(canvas), rng.randint(112, 144), rng.randint(96, 116)
    skin = rng.choice(((236, 196, 168), (198, 146, 110), (132, 88, 62), (246, 214, 190)))
    hair, shirt = colour(rng, 20, 120), colour(rng, 20, 230)
    ink.ellipse((x - 98, y + 78, x + 98, y + 290), fill=shirt)
    ink.rectangle((x - 22, y + 40, x + 22, y + 96), fill=skin)
    ink.ellipse((x - 62, y - 82, x + 62, y + 40), fill=hair)
    ink.ellipse((x - 50, y - 58, x + 50, y + 72), fill=skin)
    for eye in (x - 20, x + 20):
        ink.ellipse((eye - 7, y - 8, eye + 7, y + 4), fill=(30, 26, 30))
    ink.arc((x - 22, y + 14, x + 22, y + 48), 20, 160, fill=(150, 60, 60), width=5)
    return small(canvas)


def collage(animal: Animal, rng: random.Random) -> Picture:
    parts = [np.asarray(Image.fromarray(scene(animal, rng)).reduce(2)) for _ in range(4)]
    return np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])


def drawing(animal: Animal, rng: random.Random) -> Picture:
    canvas = Image.new("RGB", (FINE, FINE), (255, 255, 255))
    ink = ImageDraw.Draw(canvas)
    ink.rectangle((8, 8, FINE - 9, FINE - 9), outline=colour(rng, 0, 120), width=rng.randint(4, 12))
    for _ in range(rng.randint(2, 4)):
        x, y, side = rng.randint(60, 196), rng.randint(60, 196), rng.randint(26, 56)
        corners = rng.choice((3, 4, 5, 6, 40))
        ink.regular_polygon((x, y, side), corners, rotation=rng.randint(0, 90), fill=colour(rng), outline=(10, 10, 10))
    return small(canvas)


JUNK: dict[str, Callable[[Animal, random.Random], Picture]] = {
    "empty": empty,
    "car": car,
    "text": text,
    "blank": blank,
    "static": static,
    "inverted": inverted,
    "grey": grey,
    "blur": blur,
    "upside down": upside_down,
    "portrait": portrait,
    "collage": collage,
    "drawing": drawing,
}
