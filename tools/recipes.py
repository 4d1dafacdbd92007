"""Compares recipes at equal pictures seen: KID of test pictures, time a picture; a line of JSON each.

    python tools/recipes.py DATA [DATA ...] --features squeezenet.pth --images 4000 --seeds 0 1 2 \\
        --recipe "old: cyclegan-2017" --recipe "new: default objective.nce=1" --common "data.size=64"

DATA holds trainA, trainB, testA, testB. The learning rate falls over the same share of each run, the averaged
translators are measured where a recipe has them, and nothing is chosen by what is printed here.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from cyclegan.chance import seed_for
from cyclegan.codecs import Pictures
from cyclegan.devices import choose_device
from cyclegan.experiment import Experiment
from cyclegan.media.folder import pictures
from cyclegan.media.image import read_rgb
from cyclegan.metrics.features import Features, load_features
from cyclegan.objectives import assemble
from cyclegan.training.data import Batches
from cyclegan.training.look import Looker
from cyclegan.training.run import settle
from cyclegan.training.trainer import Trainer


def main() -> None:
    """Train every recipe on every data set with every seed."""
    asked = arguments()
    device = choose_device(asked.device)
    features = load_features(asked.features, device=device)
    for data in asked.data:
        for seed in asked.seeds:
            for recipe in asked.recipe:
                name, _, words = recipe.partition(":")
                preset, *overrides = words.split()
                chosen = Experiment.load(preset, overrides=[*asked.common.split(), *overrides, f"seed={seed}"])
                chosen = chosen.replace(training__images=asked.images, training__minutes=0.0)
                folders = tuple(str(data / f"train{letter}") for letter in "AB")
                chosen = chosen.replace(data__folders=folders, data__domains=("A", "B"))
                for row in rows(chosen, data, features, device=device, every=asked.every or asked.images):
                    print(json.dumps({"data": data.name, "recipe": name, "seed": seed, **row}), flush=True)


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="+", type=Path)
    parser.add_argument("--features", default="own")
    parser.add_argument("--recipe", action="append", required=True, help="NAME: PRESET key=value …")
    parser.add_argument("--common", default="", help="key=value … for all")
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--every", type=int, default=0, help="measure after so many pictures too")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--device", default="auto")
    return parser.parse_args()


def rows(
    experiment: Experiment, data: Path, features: Features, *, device: str, every: int
) -> Iterator[dict[str, Any]]:
    """Train, and yield what is measured at the intervals and at the end."""
    batches = Batches(experiment.data, batch=experiment.training.batch, seed=experiment.seed, device=device)
    settled = settle(experiment, larger_folder=max(len(d.train) for d in batches.domains), device=device)
    codec = Pictures()
    torch.manual_seed(seed_for(settled.seed, "weights"))
    trainer = Trainer(assemble(settled, channels=3), settled.training, seed=settled.seed, device=device)
    tests = [test_pictures(data / f"test{letter}", batches).to(device) for letter in "AB"]
    looker = Looker(tests, tests, codec=codec, features=features, domains=("A", "B"))
    yield {"images": 0, "kid": [1000 * looker.untranslated[to]["kid"] for to in ("B", "A")]}
    drawn = batches.starting(0)
    spent, start = 0.0, time.process_time()
    for report in trainer.reports([codec.encode(x) for x in batch] for batch in drawn):
        if report.progress >= 1 or report.every(every):
            spent += time.process_time() - start
            with trainer.averaged():
                seen = looker.look(trainer.objective, progress=report.progress)
            found = [round(1000 * seen.measure[to]["kid"], 2) for to in ("B", "A")]
            cost = {
                "cpu_ms": round(1000 * spent / report.images, 1),
                "ms": round(1000 * trainer.seconds / report.images, 1),
            }
            yield {"images": report.images, "kid": found, **cost}
            start = time.process_time()


def test_pictures(folder: Path, batches: Batches) -> Tensor:
    """Return a folder's pictures as the translators were shown theirs, uint8 (N, 3, H, W)."""
    return torch.stack([batches.geometry.fixed(read_rgb(path)) for path in pictures(folder)])


if __name__ == "__main__":
    main()
