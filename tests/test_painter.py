"""The demo's painted world: the same everywhere, unpaired, and one-to-one between the animals."""

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from cyclegan.demo import painter
from cyclegan.demo.animal import Animal
from cyclegan.demo.painter import GROUNDS, Scene, draw_scene, paint, paint_folders, scene_of

ANIMALS: tuple[Animal, ...] = ("horse", "zebra")
SCENES = [scene_of(5, "horse", i) for i in range(40)]


def pair(scene: Scene, size: int = 64) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    return paint(scene, "horse", size=size).astype(np.int64), paint(scene, "zebra", size=size).astype(np.int64)


def changed(scene: Scene) -> NDArray[np.bool_]:
    horse, zebra = pair(scene)
    return np.asarray((horse != zebra).any(axis=2))


def test_a_picture_is_a_function_of_seed_animal_and_index() -> None:
    assert scene_of(5, "zebra", 3) == scene_of(5, "zebra", 3)
    assert np.array_equal(paint(scene_of(5, "zebra", 3), "zebra"), paint(scene_of(5, "zebra", 3), "zebra"))
    others = {scene_of(5, "zebra", 3), scene_of(5, "zebra", 4), scene_of(6, "zebra", 3), scene_of(5, "horse", 3)}
    assert len(others) == 4


def test_the_stream_of_scenes_is_the_same_on_every_machine() -> None:
    scene = scene_of(0, "horse", 0)  # numbers only: pixels may differ between versions of Pillow
    assert (scene.ground, scene.pose.facing, scene.pose.gait) == ("dusk", -1, "gallop")
    assert scene.pose.tone == pytest.approx(0.7907612443642559, abs=1e-12)


def test_painting_leaves_the_global_generators_alone() -> None:
    random.seed(1)
    before = random.getstate(), repr(np.random.get_state())
    paint(draw_scene(random.Random(2)), "horse")
    assert (random.getstate(), repr(np.random.get_state())) == before


def test_the_world_is_varied() -> None:
    scenes = [scene_of(1, "zebra", i) for i in range(80)]
    assert {s.ground for s in scenes} == set(GROUNDS)
    assert {s.pose.facing for s in scenes} == {-1, 1}
    assert {s.pose.gait for s in scenes} == {"stand", "walk", "gallop"}
    assert min(s.pose.head for s in scenes) < 0.15 < 0.9 < max(s.pose.head for s in scenes)


def test_a_chosen_ground_changes_nothing_else() -> None:
    free = draw_scene(random.Random(4))
    chosen = draw_scene(random.Random(4), ground="snow")
    assert chosen == replace(free, land=replace(free.land, ground="snow"))


def test_only_the_coat_differs_between_the_counterparts(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [pair(scene) for scene in SCENES]
    monkeypatch.setattr(painter, "paint_animal", lambda *_: None)
    for scene, (horse, zebra) in zip(SCENES, pairs, strict=True):
        bare = paint(scene, "horse").astype(np.int64)
        of_horse, of_zebra = ((picture != bare).any(axis=2) for picture in (horse, zebra))
        assert (of_horse ^ of_zebra).mean() < 0.002  # one silhouette, but for colours that happen to agree
        assert 0.08 < (horse != zebra).any(axis=2).mean() < 0.35
        assert not (horse != zebra)[:, [0, -1]].any()  # the whole animal is in the picture


def test_a_zebra_is_black_on_white_and_a_horse_is_neither() -> None:
    for scene in SCENES:
        mask = changed(scene)
        greys = [picture[mask].mean(axis=1) for picture in pair(scene)]
        horse, zebra = (np.percentile(grey, 85) - np.percentile(grey, 25) for grey in greys)
        assert zebra > 110
        assert horse < 60


@pytest.mark.parametrize("scene", SCENES[:8])
def test_tone_and_warmth_can_be_read_off_either_animal(scene: Scene) -> None:
    steps = np.linspace(0, 1, 6)
    for animal in ANIMALS:
        mask = changed(scene)
        dark, warm = [], []
        for value in map(float, steps):
            toned = replace(scene, pose=replace(scene.pose, tone=value))
            warmed = replace(scene, pose=replace(scene.pose, warmth=value))
            dark.append(paint(toned, animal)[mask].mean())
            warm.append(np.subtract(*paint(warmed, animal)[mask].astype(float).mean(axis=0)[[0, 2]]))
        assert (np.diff(dark) < -1).all()
        assert (np.diff(warm) > 1).all()


@pytest.mark.parametrize("size", [16, 32, 256, 512])
def test_every_size_shows_the_same_picture(size: int) -> None:
    for scene in SCENES[:3]:
        small, large = sorted((64, size))
        picture = Image.fromarray(paint(scene, "zebra", size=large)).reduce(large // small)
        assert np.abs(np.asarray(picture, dtype=float) - paint(scene, "zebra", size=small)).mean() < 3.5


def test_the_folders_are_unpaired_and_their_truth_is_known(tmp_path: Path) -> None:
    horses, zebras = paint_folders(tmp_path / "data", count=3, seed=9, size=32)
    assert (horses, zebras) == (tmp_path / "data/horses", tmp_path / "data/zebras")
    for folder, animal in zip((horses, zebras), ANIMALS, strict=True):
        assert sorted(p.name for p in folder.iterdir()) == ["0000.png", "0001.png", "0002.png"]
        for i, path in enumerate(sorted(folder.iterdir())):
            with Image.open(path) as picture:
                assert np.array_equal(np.asarray(picture), paint(scene_of(9, animal, i), animal, size=32))
    scenes = [scene_of(9, animal, i) for animal in ANIMALS for i in range(300)]
    assert len(set(scenes)) == 600
