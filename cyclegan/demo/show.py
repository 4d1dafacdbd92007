"""The demonstration: paint, train, translate held-back scenes, and compare with their true counterparts."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cyclegan.demo.animal import Animal
from cyclegan.demo.painter import paint, paint_folders, scene_of
from cyclegan.experiment import Experiment
from cyclegan.media.image import write_picture
from cyclegan.media.sheet import contact_sheet
from cyclegan.training.run import Outcome, train
from cyclegan.translation.translator import Translator

COUNT = 600  # scenes in each folder
TESTED = 64  # scenes held back, never painted to disk, to measure on
ROWS = 6
Pictures = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class Shown:
    """What there is to see. `errors`: by domain translated to, the mean distance (L1) from the true counterpart as a
    share of the distance when the picture is left as it is."""

    sheet: Path
    errors: dict[str, float]


def learn(
    experiment: Experiment, run: Path, *, device: str = "auto", tell: Callable[[dict[str, Any]], None] = lambda _: None
) -> Outcome:
    """Paint two folders inside the run folder and train on them; called again, it continues."""
    folders = paint_folders(run / "pictures", count=COUNT, seed=experiment.seed, size=experiment.data.size)
    where = tuple(str(folder.resolve()) for folder in folders)
    named = experiment.replace(data__folders=where, data__domains=("horses", "zebras"))
    return train(named, run, device=device, workers=0, tell=tell)


def present(experiment: Experiment, run: Path, *, device: str = "auto") -> Shown:
    """Translate held-back scenes with a run's translators, both ways, and write a contact sheet with the truth."""
    seed, size = experiment.seed, experiment.data.size
    to_zebras = measure(run, "horse", seed=seed, size=size, device=device)
    to_horses = measure(run, "zebra", seed=seed, size=size, device=device)
    sheet = run / "sheet.png"
    write_picture(sheet, contact_sheet(_columns("horse", to_zebras) | _columns("zebra", to_horses)))
    return Shown(sheet, {"zebras": left_error(to_zebras), "horses": left_error(to_horses)})


def measure(
    model: str | Path, animal: Animal, *, seed: int, size: int, device: str = "auto"
) -> tuple[Pictures, Pictures, Pictures]:
    """Return held-back scenes with `animal`, the same translated, and the same painted with the other animal."""
    other: Animal = "zebra" if animal == "horse" else "horse"
    scenes = [scene_of(seed, animal, COUNT + i) for i in range(TESTED)]
    real = [paint(scene, animal, size=size) for scene in scenes]
    translator = Translator.load(model, to=f"{other}s", device=device)
    return real, list(translator.stream(real)), [paint(scene, other, size=size) for scene in scenes]


def left_error(pictures: tuple[Pictures, Pictures, Pictures]) -> float:
    """Return L1(translated, true) / L1(real, true)."""
    real, translated, true = (np.asarray(p, dtype=np.float32) for p in pictures)
    return float(np.abs(translated - true).mean() / np.abs(real - true).mean())


def _columns(animal: Animal, pictures: tuple[Pictures, Pictures, Pictures]) -> dict[str, Pictures]:
    names = (animal, f"{animal} translated", f"{animal}: truth")
    return {name: column[:ROWS] for name, column in zip(names, pictures, strict=True)}
