"""styl sample: pictures drawn from a model of one folder."""

import math
from collections.abc import Iterable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option

from cyclegan.cli.edge import result, say
from cyclegan.errors import InputError, UsageError, shown
from cyclegan.media.kinds import FILM_SUFFIXES, FORMATS

if TYPE_CHECKING:
    from cyclegan.media.image import Pixels
    from cyclegan.translation.sampler import Sampler

Model = Annotated[str, Argument(help="A weights file or a run folder of --preset vae, autoencoder or gan.")]
Count = Annotated[
    int | None, Option("-n", "--count", min=1, help="How many.  [default: 16; 9 between pictures, 240 frames]")
]
Seed = Annotated[int, Option(min=0, help="The same seed draws the same.")]
Output = Annotated[
    Path | None,
    Option("-o", "--output", help="A folder; or a picture to lay all out on, or a film.  [default: samples]"),
]
Between = Annotated[tuple[Path, Path] | None, Option(help="Go from one picture to another.")]
Walk = Annotated[Path | None, Option(help="Write a film of a way through the latents that ends where it began.")]
Fps = Annotated[int, Option(min=1, max=240, help="Frames a second of a film.")]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Again = Annotated[bool, Option("--again", help="Write over what is there already.")]
Json = Annotated[bool, Option("--json", help="Print a summary for programs.")]


def sample(
    model: Model,
    count: Count = None,
    seed: Seed = 0,
    output: Output = None,
    between: Between = None,
    walk: Walk = None,
    fps: Fps = 24,
    device: Device = "auto",
    again: Again = False,
    as_json: Json = False,
) -> int:
    """Draw pictures like those of the folder that a model learnt."""
    if walk and (between or output):
        raise UsageError("--walk names its own output", hint="leave out --between and --output")
    if walk and walk.suffix.lower() not in FILM_SUFFIXES:
        raise UsageError(f"--walk {shown(walk)}: is no film", hint="for example --walk walk.mp4")
    target = walk or output or Path("between.png" if between else "samples")
    if between and target.resolve() in {path.resolve() for path in between}:
        raise InputError(f"{shown(target)}: would overwrite what it goes between", hint="-o chooses another file")
    from cyclegan.translation.sampler import Sampler

    sampler = Sampler.load(model, device=device)
    if sampler.note:
        say(f"note: {sampler.note}")
    moving = target.suffix.lower() in FILM_SUFFIXES
    wanted = count or (240 if moving else 9 if between else 16)
    frames = _frames(sampler, wanted, seed=seed, between=between, walk=walk is not None)
    written = _write(frames, target, fps=fps, again=again)
    summary = {"model": model, "count": wanted, "seed": seed, "output": str(target), "files": written}
    result(f"{wanted} of {sampler.domain} drawn: {shown(target)}", summary=summary, as_json=as_json)
    return 0


def _frames(
    sampler: "Sampler", count: int, *, seed: int, between: tuple[Path, Path] | None, walk: bool
) -> Iterator["Pixels"]:
    from cyclegan.media.image import read_rgb

    if between:
        first, second = map(read_rgb, between)
        return sampler.between(first, second, count=count)
    return sampler.walk(count, seed=seed) if walk else sampler.draw(count, seed=seed)


def _write(frames: Iterator["Pixels"], target: Path, *, fps: int, again: bool) -> int:
    """Write frames as a film, on one sheet, or into a folder; return how many files that are."""
    suffix = target.suffix.lower()
    if suffix in FILM_SUFFIXES | FORMATS.keys():
        _free(target, again=again)
        if suffix in FILM_SUFFIXES:
            _film(frames, target, fps=fps)
        else:
            _sheet(frames, target)
        return 1
    return _folder(frames, target, again=again)


def _film(frames: Iterator["Pixels"], target: Path, *, fps: int) -> None:
    from cyclegan.media.films.encoder import create_film_of_stills
    from cyclegan.media.frames import Frame

    first = next(frames)
    height, width = first.shape[:2]
    with create_film_of_stills(target, width=width, height=height, rate=Fraction(fps)) as writer:
        for place, pixels in enumerate(chain([first], frames)):
            writer.write(Frame(pixels, pts=place, duration=1))


def _sheet(frames: Iterable["Pixels"], target: Path) -> None:
    from cyclegan.media.image import write_picture
    from cyclegan.media.sheet import contact_sheet

    drawn = list(frames)
    across = math.ceil(math.sqrt(len(drawn)))
    columns = {" " * i: drawn[i::across] for i in range(across) if drawn[i::across]}  # captions are keys
    write_picture(target, contact_sheet(columns))


def _folder(frames: Iterable["Pixels"], target: Path, *, again: bool) -> int:
    from cyclegan.media.image import write_picture

    number = 0
    for number, pixels in enumerate(frames, start=1):
        path = target / f"{number:05d}.png"
        if number == 1:
            _free(path, again=again)
            say(f"into {shown(target)}")
        write_picture(path, pixels)
    return number


def _free(path: Path, *, again: bool) -> None:
    if path.exists() and not again:
        raise UsageError(f"{shown(path)}: is there already", hint="--again writes over it, -o chooses another place")
