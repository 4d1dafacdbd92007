"""Measures styl against the networks and the step of 2017 in plain float32 torch (tools/reference.py).

    python tools/benchmark.py compare --verb train --size 256 --precision fp32 --precision bf16
    python tools/benchmark.py compare --verb translate --size 256 --size 1280x720
    python tools/benchmark.py films --size 256
    python tools/benchmark.py photographs FOLDER

One JSON line a row on standard output, a table for people on standard error. What is compared takes turns, each in a
process of its own. `styl bench` measures styl alone.
"""

import argparse
import atexit
import collections
import itertools
import json
import shlex
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import reference

from cyclegan.bench import cases
from cyclegan.bench.cases import Case, Move, Prepared
from cyclegan.bench.commands import duel
from cyclegan.bench.floor import Floor, Work, work_of, work_of_translating
from cyclegan.bench.memory import resident
from cyclegan.bench.rows import cells, row
from cyclegan.bench.timing import Timing, alternate, floors
from cyclegan.devices import choose_device
from cyclegan.errors import StylError

PEER = "reference-"
HERE = Path(__file__).parent
Emit = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class FilmCase(Case):
    """A film of so many frames."""

    frames: int = 48


def main() -> None:
    """Measure what the command line asks for."""
    asked = parser().parse_args()
    try:
        asked.measure(asked)
    except StylError as error:
        sys.exit(f"error: {error.what}\n  {error.hint}")


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    found = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = found.add_subparsers(required=True, metavar="compare | films | photographs")
    for name, measure in (("compare", compare), ("films", films)):
        verb = verbs.add_parser(name, description=measure.__doc__)
        verb.set_defaults(measure=measure)
        verb.add_argument("--size", action="append", help="256 or 1280x720, repeatable  (default: 256)")
        verb.add_argument("--batch", type=int, action="append", help="repeatable  (default: 1; films: 8)")
        verb.add_argument("--precision", choices=["auto", "fp32", "bf16"], action="append", help="repeatable")
        verb.add_argument("--preset", default="cyclegan-2017", help="whose networks and step are ours")
        verb.add_argument("--set", action="append", default=[], help="key=value of the preset, repeatable")
        verb.add_argument("--device", default="auto")
        verb.add_argument("--repeats", type=int, default=3)
        verb.add_argument("--seconds", type=float, default=3.0, help="of a round")
        verb.add_argument("--verb", choices=["train", "translate"], action="append") if name == "compare" else None
        verb.add_argument("--frames", type=int, default=48) if name == "films" else None
    verb = verbs.add_parser("photographs", description=photographs.__doc__)
    verb.set_defaults(measure=photographs)
    verb.add_argument("folder", type=Path, nargs="?", help="of pictures; without it, some are drawn")
    verb.add_argument("--count", type=int, default=200, help="of pictures that are drawn, or taken from the folder")
    verb.add_argument("--size", default="256", help="of pictures that are drawn")
    verb.add_argument("--width", type=int, default=64)
    verb.add_argument("--blocks", type=int, default=9)
    verb.add_argument("--device", default="cpu")
    verb.add_argument("--options", default="", help="more words for styl translate")
    verb.add_argument("--repeats", type=int, default=3)
    return found


def compare(asked: argparse.Namespace) -> None:
    """Time styl and the reference in turns: rows of ours hold the reference's figures, and how much faster we are."""
    device, several = choose_device(asked.device), asked.size or ["256"]
    known = dict(floors([device], seconds=min(asked.seconds, 0.3)))[device]
    common = {"device": device, "preset": asked.preset, "settings": tuple(asked.set)}
    for verb, size, batch in itertools.product(asked.verb or ["train", "translate"], several, asked.batch or [1]):
        ours = [Case(verb, pixels(size), batch, exact, **common) for exact in asked.precision or ["auto"]]
        compared(ours, known, emit, repeats=asked.repeats, seconds=asked.seconds)


def films(asked: argparse.Namespace) -> None:
    """Time frames in memory, a film from file to file, and the same steadied; the reference does frames only."""
    device = choose_device(asked.device)
    known = dict(floors([device], seconds=min(asked.seconds, 0.3)))[device]
    for size, batch, exact in itertools.product(asked.size or ["256"], asked.batch or [8], asked.precision or ["auto"]):
        one = FilmCase("frames", pixels(size), batch, exact, device, asked.preset, tuple(asked.set), None, asked.frames)
        ours = [one, replace(one, verb="film"), replace(one, verb="steady-film")]
        compared(ours, known, emit, repeats=asked.repeats, seconds=asked.seconds)


def photographs(asked: argparse.Namespace) -> None:
    """Time `styl translate FOLDER` against the straightforward script, from start to end, with the same weights."""
    import safetensors.torch
    import torch

    with tempfile.TemporaryDirectory(prefix="styl-bench-") as place:
        root = Path(place)
        torch.manual_seed(0)
        state = reference.Generator(width=asked.width, blocks=asked.blocks).state_dict()
        torch.save(state, root / "generator.pth")
        safetensors.torch.save_file(state, root / "generator.safetensors")
        folder = root / "photographs"
        gather(folder, asked)
        ours = [sys.executable, "-m", "cyclegan", "translate", str(folder), "-m", str(root / "generator.pth")]
        ours += ["-o", "{out}", "--scale-to", "0", "--device", asked.device, *shlex.split(asked.options)]
        theirs = [sys.executable, str(HERE / "reference.py"), str(folder), "{out}", "--device", asked.device]
        theirs += ["--weights", str(root / "generator.safetensors")]
        found = duel(shlex.join(ours), shlex.join(theirs), repeats=asked.repeats)
        print(json.dumps({"verb": "photographs", "count": len(list(folder.iterdir())), **found}), flush=True)


def gather(folder: Path, asked: argparse.Namespace) -> None:
    """Fill a folder with photographs: copies of those asked for, or drawn ones."""
    from PIL import Image

    folder.mkdir()
    if asked.folder:
        for number, path in enumerate(sorted(p for p in asked.folder.iterdir() if p.is_file())[: asked.count]):
            shutil.copy(path, folder / f"{number:04d}{path.suffix}")
        return
    for number, pixels_of_one in enumerate(scene(*pixels(asked.size), count=asked.count)):
        Image.fromarray(pixels_of_one).save(folder / f"{number:04d}.jpg", quality=92)


def compared(ours: list[Any], floor: Floor, emit: Emit, *, repeats: int, seconds: float, peer: bool = True) -> None:
    """Time cases of ours that do the same, in turns with the reference where there is one, and emit a row for each."""
    peers = [replace(ours[0], verb=PEER + ours[0].verb, precision="fp32")] if peer else []
    timings = alternate([*peers, *ours], prepare=prepare, repeats=repeats, seconds=seconds)
    for timing in timings:
        is_ours = not timing.case.verb.startswith(PEER)
        emit(row(timing, floor) | (ratios(timing, timings[0]) if peer and is_ours else {}))


def ratios(ours: Timing, theirs: Timing) -> dict[str, Any]:
    """Return how many times faster ours is than the reference at the median, and its share of the memory."""
    if ours.error or theirs.error or not (ours.about and theirs.about):
        return {}
    faster = theirs.seconds / theirs.about.pictures / (ours.seconds / ours.about.pictures)
    memory = ours.peak / theirs.peak if theirs.peak else None
    return {
        "ratio": round(faster, 3),
        "reference_seconds_per_step": round(theirs.seconds, 6),
        "reference_peak_memory_mib": theirs.peak >> 20,
        "share_of_reference_memory": memory and round(memory, 3),
    }


def emit(found: dict[str, Any]) -> None:
    """Print a row for programs, and for people."""
    print(json.dumps(found), flush=True)
    faster = f"{found['ratio']:.2f} × the reference" if "ratio" in found else ""
    print("  ".join((*cells(found), faster)), file=sys.stderr, flush=True)


def pixels(size: str) -> tuple[int, int]:
    """Return width and height."""
    width, _, height = size.partition("x")
    return int(width), int(height or width)


# --- what is timed


def prepare(case: Any) -> Prepared:
    """Return a case ready to be timed in this process."""
    return PREPARE.get(case.verb, cases.prepare)(case)


def prepare_reference_training(case: Case) -> Prepared:
    """Return the step of 2017 on pictures of noise."""
    import torch

    start, device, asked = resident(), choose_device(case.device), replace(case, verb="train").experiment()
    torch.manual_seed(0)
    sizes = {"width": asked.translator.width, "blocks": asked.translator.blocks}  # type: ignore[union-attr]
    sizes |= {"critic_width": asked.critic.width, "layers": asked.critic.layers}
    game = reference.Game(**sizes, device=device)
    x, y = (torch.randint(256, case.shape).to(device).float() / 127.5 - 1 for _ in range(2))

    def imagined() -> None:
        reference.Game(**sizes).play(torch.empty(case.shape), torch.empty(case.shape))

    parameters = sum(p.numel() for p in (*game.translators, *game.critics))
    work = work_of(imagined, precision="fp32") + Work(0, 28 * parameters)
    return Prepared([Move(lambda: game.play(x, y))], case.batch, parameters, "fp32", work, device, start)


def prepare_reference_translating(case: Case) -> Prepared:
    """Return the loop of 2017 over pictures of noise, one by one."""
    import torch

    start, device, asked = resident(), choose_device(case.device), replace(case, verb="translate").experiment()
    torch.manual_seed(0)
    network = reference.Generator(width=asked.translator.width, blocks=asked.translator.blocks)  # type: ignore[union-attr]
    one = work_of_translating(network, (1, *case.shape[1:]), precision="fp32")
    network = network.to(device)
    count = getattr(case, "frames", case.batch)
    frames = list(scene(*case.size, count=count))
    parameters = sum(p.numel() for p in network.parameters())

    def play() -> None:
        for frame in frames:
            reference.translate(network, frame, device=device)

    return Prepared([Move(play)], count, parameters, "fp32", count * one, device, start)


def prepare_frames(case: FilmCase) -> Prepared:
    """Return the translation of a film whose frames lie in memory: what the network does alone."""
    start, translator = resident(), cases.translator_of(case)
    frames = list(scene(*case.size, count=case.frames))

    def play() -> None:
        collections.deque(translator.stream(frames, batch=case.batch), 0)

    return cases.through(translator, case, play, case.frames, start)


def prepare_film(case: FilmCase) -> Prepared:
    """Return the translation of the same film from file to file, with steadying where the verb says so."""
    from cyclegan.translation.settings import Settings

    start, translator = resident(), cases.translator_of(case)
    folder = Path(tempfile.mkdtemp(prefix="styl-bench-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    draw_film(folder / "in.mp4", case.size, count=case.frames)
    settings = Settings(batch=case.batch, steady=case.verb == "steady-film")

    def play() -> None:
        translator.file(folder / "in.mp4", folder / "out.mp4", settings=settings)

    return cases.through(translator, case, play, case.frames, start)


def draw_film(path: Path, size: tuple[int, int], *, count: int) -> None:
    """Write a film of so many frames of `scene`, 24 a second."""
    from cyclegan.media.films.encoder import create_film_of_stills
    from cyclegan.media.frames import Frame

    with create_film_of_stills(path, width=size[0], height=size[1], rate=Fraction(24)) as film:
        for place, pixels_of_one in enumerate(scene(*size, count=count)):
            film.write(Frame(pixels_of_one, pts=place, duration=1))


def scene(width: int, height: int, *, count: int) -> Iterator[np.ndarray]:
    """Yield the frames of a soft texture that a camera moves over, uint8 (height, width, 3)."""
    import cv2

    noise = np.random.default_rng(0).integers(0, 256, (height + count, width + count, 3), np.uint8)
    wide = cv2.normalize(cv2.GaussianBlur(noise, None, 3), None, 0, 255, cv2.NORM_MINMAX)
    for place in range(count):
        yield np.ascontiguousarray(wide[place : place + height, place : place + width])


PREPARE: dict[str, Callable[[Any], Prepared]] = {
    "reference-train": prepare_reference_training,
    "reference-translate": prepare_reference_translating,
    "reference-frames": prepare_reference_translating,
    "frames": prepare_frames,
    "film": prepare_film,
    "steady-film": prepare_film,
}


if __name__ == "__main__":
    main()
