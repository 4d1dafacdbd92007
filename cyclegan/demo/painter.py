"""Two unpaired folders of painted scenes, horses and zebras, whose true counterparts are known.

The same scene painted with the other animal is what a perfect translator would answer; it is kept for measuring only.
"""

import hashlib
import io
import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cyclegan.demo.animal import Animal, paint_animal
from cyclegan.demo.landscape import Land, draw_land, paint_land, paint_shadow, shine
from cyclegan.demo.palette import PALETTES
from cyclegan.demo.skeleton import Gait, Pose
from cyclegan.files import write_atomic

GROUNDS: tuple[str, ...] = tuple(PALETTES)


@dataclass(frozen=True)
class Scene:
    """Holds everything needed to paint one picture, whichever animal stands in it."""

    land: Land
    pose: Pose

    @property
    def ground(self) -> str:
        """Return the kind of ground, one of GROUNDS."""
        return self.land.ground


def draw_scene(rng: random.Random, *, ground: str | None = None) -> Scene:
    """Draw a scene, on a ground of one's choice or on any of GROUNDS."""
    chosen = GROUNDS[rng.randrange(len(GROUNDS))]  # drawn even when it is given, so that the rest stays the same
    return Scene(draw_land(rng, ground=chosen if ground is None else ground), draw_pose(rng))


def draw_pose(rng: random.Random) -> Pose:
    """Draw an animal that fits into the picture."""
    gaits: tuple[Gait, ...] = ("stand", "walk", "walk", "gallop")
    gait, facing, scale = gaits[rng.randrange(4)], (-1, 1)[rng.randrange(2)], rng.uniform(0.47, 0.535)
    head = rng.uniform(0.55, 1.0)
    if gait != "gallop" and rng.random() < 0.22:
        head = rng.uniform(0.0, 0.15)  # grazing
    return Pose(
        x=0.5 + rng.uniform(-0.015, 0.015) - 0.13 * scale * facing,
        hooves=rng.uniform(0.86, 0.93),
        scale=scale,
        facing=-1 if facing < 0 else 1,
        gait=gait,
        phase=(0.26 if rng.random() < 0.5 else 0.74) + rng.uniform(0.0, 0.18) if gait == "gallop" else rng.random(),
        head=head,
        tail=rng.uniform(0.5, 0.8) if gait == "gallop" else rng.uniform(0.0, 0.45),
        tone=rng.random(),
        warmth=rng.random(),
    )


def scene_of(seed: int, animal: str, index: int) -> Scene:
    """Draw the scene of one picture of a folder, the same on every machine."""
    # Not chance.seed_for, which came later: painted-horses was trained on these very scenes.
    digest = hashlib.sha256(repr((seed, animal, index)).encode()).digest()
    return draw_scene(random.Random(int.from_bytes(digest, "big")))


def paint(scene: Scene, animal: Animal, *, size: int = 64) -> NDArray[np.uint8]:
    """Paint a scene with a horse or a zebra as (size, size, 3), `size` from 16 to 1024."""
    assert 16 <= size <= 1024, size
    fine = max(4 if size <= 256 else 2, 256 // size)  # painted larger and averaged down, which smooths the edges
    canvas, pose = paint_land(scene.land, size * fine), scene.pose
    paint_shadow(canvas, x=pose.x, y=pose.hooves, wide=pose.scale * 0.62, ground=scene.ground)
    paint_animal(canvas, pose, animal)
    return np.asarray(shine(canvas.reduce(fine), scene.land.light))


def paint_folders(root: Path, *, count: int, seed: int, size: int = 64) -> tuple[Path, Path]:
    """Paint `count` pictures of each animal, in scenes of their own, into root/horses and root/zebras; returns both."""
    horses = paint_folder(root, "horse", count=count, seed=seed, size=size)
    return horses, paint_folder(root, "zebra", count=count, seed=seed, size=size)


def paint_folder(root: Path, animal: Animal, *, count: int, seed: int, size: int) -> Path:
    """Paint `count` scenes of one animal into root/horses or root/zebras."""
    folder = root / f"{animal}s"
    folder.mkdir(parents=True, exist_ok=True)
    for i in range(count):
        png = io.BytesIO()
        Image.fromarray(paint(scene_of(seed, animal, i), animal, size=size)).save(png, format="PNG")
        write_atomic(folder / f"{i:04d}.png", png.getvalue())
    return folder
