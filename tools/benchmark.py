"""Measures how fast networks train and translate and how much memory they take: one JSON line a configuration.

Every measurement runs in a process of its own, so that the peak of its memory is its own, and the repeats of all
configurations alternate, so that a machine that is busy for a while slows all of them alike.
"""

import argparse
import atexit
import collections
import itertools
import json
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

Configuration = dict[str, Any]
Prepared = tuple[Callable[[], object], int, int]  # a step, how many pictures it takes, and parameters
FRAMES = 48  # of the film
MEASURE = "--measure"  # how this program calls itself


def main() -> None:
    """Measure what the command line asks for and print one JSON line for each configuration."""
    if sys.argv[1:2] == [MEASURE]:
        print(json.dumps(measure(json.loads(sys.argv[2]))))
        return
    arguments = parser().parse_args()
    configurations = planned(arguments)
    found: list[list[Configuration]] = [[] for _ in configurations]
    for _ in range(arguments.repeats):
        for results, configuration in zip(found, configurations, strict=True):
            results.append(apart(configuration))
    for results, configuration in zip(found, configurations, strict=True):
        print(json.dumps(summary(configuration, results)), flush=True)


def parser() -> argparse.ArgumentParser:
    """Return the command line; its defaults take about three minutes on two cores."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    found.add_argument("--verb", choices=[*PREPARE, *GROUPS], default="both", help="what is measured")
    found.add_argument("--preset", default="default", help="a preset or a TOML file")
    found.add_argument("--size", type=int, action="append", help="pixels, repeatable  (default: 64 and 256)")
    found.add_argument("--batch", type=int, default=1, help="pictures of each domain at once")
    found.add_argument("--precision", choices=["fp32", "bf16"], action="append", help="repeatable  (default: fp32)")
    found.add_argument("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps")
    found.add_argument("--repeats", type=int, default=3, help="processes for each configuration")
    found.add_argument("--seconds", type=float, default=3.0, help="of measuring in each process, after a warm-up")
    return found


def planned(arguments: argparse.Namespace) -> list[Configuration]:
    """Return the configurations; translating knows no precision but fp32."""
    verbs = GROUPS.get(arguments.verb, [arguments.verb])
    same = {name: getattr(arguments, name) for name in ("preset", "batch", "device", "seconds")}
    combined = itertools.product(verbs, arguments.size or [64, 256], arguments.precision or ["fp32"])
    return [
        {"verb": verb, "size": size, "precision": precision, **same}
        for verb, size, precision in combined
        if verb == "train" or precision == "fp32"
    ]


def apart(configuration: Configuration) -> Configuration:
    """Measure in a fresh process."""
    words = [sys.executable, __file__, MEASURE, json.dumps(configuration)]
    done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        sys.exit(f"{configuration}: failed with exit code {done.returncode}")
    return dict(json.loads(done.stdout))


def summary(configuration: Configuration, results: list[Configuration]) -> Configuration:
    """Return the line for one configuration: medians of time, the highest peak of memory."""
    step = statistics.median(result["seconds_per_step"] for result in results)
    shown = {name: value for name, value in configuration.items() if name not in ("device", "seconds")}
    return {
        **shown,
        "images_per_second": round(results[0]["images"] / step, 4),
        "seconds_per_step": round(step, 6),
        "peak_memory_mib": max(result["peak_memory_mib"] for result in results),
        "parameters": results[0]["parameters"],
        "repeats": len(results),
        "machine": results[0]["machine"],
    }


def measure(configuration: Configuration) -> Configuration:
    """Measure one configuration in this process."""
    from cyclegan.devices import choose_device
    from cyclegan.training.environment import describe

    device = choose_device(configuration["device"])
    step, images, parameters = PREPARE[configuration["verb"]](configuration, device)
    seconds = median_step(step, device, seconds=configuration["seconds"])
    known = describe(device)
    machine = {name: known[name] for name in ("cores", "threads", "device", "device_name", "python")}
    return {
        "seconds_per_step": seconds,
        "images": images,
        "peak_memory_mib": peak_memory(device),
        "parameters": parameters,
        "machine": machine | {"torch": known["versions"]["torch"], "platform": platform.platform()},
    }


def median_step(step: Callable[[], object], device: str, *, seconds: float) -> float:
    """Return the median time of a step over so many seconds, at least one step, after two that warm up."""
    import torch

    times = list[float]()
    while len(times) < 3 or sum(times[2:]) < seconds:
        start = time.perf_counter()
        step()
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times[2:])


def prepare_training(configuration: Configuration, device: str) -> Prepared:
    """Return one step of training on pictures of noise, its pictures, and how many parameters learn in it."""
    import torch

    from cyclegan.codecs import Pictures
    from cyclegan.training.trainer import Trainer

    experiment, objective = assembled(configuration)
    trainer, codec = Trainer(objective, experiment.training, device=device), Pictures()
    side = configuration["size"]
    frames = [torch.randint(256, (configuration["batch"], 3, side, side), dtype=torch.uint8) for _ in range(2)]

    def step() -> None:
        trainer.play([[codec.encode(f.to(device)) for f in frames]])

    return step, configuration["batch"], sum(p.numel() for p in objective.parameters())


def prepare_translating(configuration: Configuration, device: str) -> Prepared:
    """Return one batch of translating pictures of noise, as arrays, its pictures, and the translator's parameters."""
    import numpy as np

    translator, parameters = assembled_translator(configuration, device)
    side, batch, chance = configuration["size"], configuration["batch"], np.random.default_rng(0)
    frames = [chance.integers(0, 256, (side, side, 3), np.uint8) for _ in range(batch)]
    return lambda: list(translator.stream(frames, batch=batch)), batch, parameters


def prepare_frames(configuration: Configuration, device: str) -> Prepared:
    """Return the translation of a film whose frames lie in memory: what the network does alone."""
    translator, parameters = assembled_translator(configuration, device)
    frames, batch = list(scene(configuration["size"])), configuration["batch"]
    return lambda: collections.deque(translator.stream(frames, batch=batch), 0), len(frames), parameters


def prepare_film(configuration: Configuration, device: str) -> Prepared:
    """Return the translation of the same film from file to file, with steadying where the verb says so."""
    from cyclegan.media.films.encoder import create_film_of_stills
    from cyclegan.media.frames import Frame
    from cyclegan.translation.settings import Settings

    translator, parameters = assembled_translator(configuration, device)
    folder, side = Path(tempfile.mkdtemp(prefix="styl-bench-")), configuration["size"]
    atexit.register(shutil.rmtree, folder)
    with create_film_of_stills(folder / "in.mp4", width=side, height=side, rate=Fraction(24)) as film:
        for place, pixels in enumerate(scene(side)):
            film.write(Frame(pixels, pts=place, duration=1))
    settings = Settings(batch=configuration["batch"], steady=configuration["verb"] == "steady-film")
    return lambda: translator.file(folder / "in.mp4", folder / "out.mp4", settings=settings), FRAMES, parameters


def scene(side: int) -> Iterator[Any]:
    """Yield the frames of a soft texture that a camera moves over."""
    import cv2
    import numpy as np

    noise = np.random.default_rng(0).integers(0, 256, (side + FRAMES, side + FRAMES, 3), np.uint8)
    wide = cv2.normalize(cv2.GaussianBlur(noise, None, 3), None, 0, 255, cv2.NORM_MINMAX)
    return (np.ascontiguousarray(wide[place : place + side, place : place + side]) for place in range(FRAMES))


def assembled_translator(configuration: Configuration, device: str) -> tuple[Any, int]:
    """Return a translator with fresh weights, and how many parameters it has."""
    from cyclegan.codecs import Pictures
    from cyclegan.translation.translator import Translator

    _, objective = assembled(configuration)
    network = objective.get_submodule(objective.averaged[0])
    translator = Translator(network, codec=Pictures(), source="x", target="y", device=device)
    return translator, sum(p.numel() for p in network.parameters())


def assembled(configuration: Configuration) -> tuple[Any, Any]:
    """Return the experiment and its objective with fresh weights."""
    import torch

    from cyclegan.experiment import Experiment
    from cyclegan.objectives import assemble

    options = {"data.size": "size", "training.batch": "batch", "training.precision": "precision"}
    overrides = [f"{option}={configuration[name]}" for option, name in options.items()]
    budget = ["training.images=1000000000", "training.minutes=0"]  # no falling step, whatever the preset
    experiment = Experiment.load(configuration["preset"], overrides=[*overrides, *budget]).settled(1)
    torch.manual_seed(0)
    return experiment, assemble(experiment, channels=3)


def peak_memory(device: str) -> int:
    """Return the most memory this process has held, in MiB: the device's on CUDA, the resident set elsewhere."""
    import torch

    if device.startswith("cuda"):
        return torch.cuda.max_memory_allocated(device) >> 20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # kilobytes on Linux, bytes on macOS
    return peak >> (20 if sys.platform == "darwin" else 10)


PREPARE: dict[str, Callable[[Configuration, str], Prepared]] = {
    "train": prepare_training,
    "translate": prepare_translating,
    "frames": prepare_frames,
    "film": prepare_film,
    "steady-film": prepare_film,
}
GROUPS = {"both": ["train", "translate"], "films": ["frames", "film", "steady-film"]}


if __name__ == "__main__":
    main()
