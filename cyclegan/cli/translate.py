"""styl translate: pictures, films, recordings and folders through a trained network."""

import json
from collections.abc import Collection, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, Option

from cyclegan.cli.display import Display
from cyclegan.cli.edge import result
from cyclegan.errors import UsageError, shown
from cyclegan.files import Job, plan_outputs, write_atomic
from cyclegan.media.folder import collect
from cyclegan.media.kinds import (
    FILM_SUFFIXES,
    HEARD_SUFFIXES,
    SOUND_SUFFIXES,
    SUFFIXES,
    WRITTEN_SUFFIXES,
    is_sound,
    renamed,
)
from cyclegan.translation.settings import Settings

if TYPE_CHECKING:
    from cyclegan.translation.batch import Applied

Inputs = Annotated[list[Path], Argument(help="Pictures, films, recordings, and folders of them.")]
Model = Annotated[
    str | None, Option("-m", "--model", help="A name, a weights file or a run folder.  [default: the newest run]")
]
To = Annotated[str | None, Option(help="The domain to translate to.  [default: the weights' second domain]")]
Output = Annotated[Path, Option("-o", "--output", help="A folder; or a file, where there is one input file.")]
Batch = Annotated[int, Option(min=1, help="Pictures of one size translated together.")]
Device = Annotated[str, Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Format = Annotated[str | None, Option("--format", help="Of the outputs: png, jpg, mp4, …  [default: as the inputs]")]
Quality = Annotated[int, Option(min=1, max=100, help="Of JPEG, WebP, AVIF, HEIC and JPEG XL.")]
Codec = Annotated[str, Option(help="Of films: h264, h265, vp9, av1, prores, ffv1, h264_nvenc, …")]
Crf = Annotated[
    int | None, Option(min=0, max=63, help="Quality of films, lower is better.  [default: the codec's own]")
]
NoSteady = Annotated[bool, Option("--no-steady", help="Leave films as they flicker, frame by frame.")]
Frames = Annotated[bool, Option("--frames", help="A folder is one film: its pictures are numbered frames.")]
Fps = Annotated[str, Option(help="Frames a second of --frames: 24, 23.976 or 30000/1001.")]
ScaleTo = Annotated[
    int | None,
    Option(
        min=0,
        help="Translate with so many pixels on the short side, then restore size and detail; 0: never.  "
        "[default: twice the training's size, where pictures are more than four times as large]",
    ),
]
Tile = Annotated[
    int | None,
    Option(
        min=0,
        help="Translate at full size, large pictures in tiles of so many pixels a side; 0: in one piece.  "
        "[default: as memory asks]",
    ),
]
Precision = Annotated[
    Literal["auto", "fp32", "bf16"],
    Option(help="Arithmetic: fp32 is exact; auto takes bf16 where it is faster and nobody sees it in these weights."),
]
Metadata = Annotated[bool, Option("--keep-metadata", help="Keep place, author and the like; they are dropped else.")]
Again = Annotated[bool, Option("--again", help="Translate what an earlier run has finished, too.")]
Strict = Annotated[bool, Option("--strict", help="Refuse a damaged film instead of translating what can be read.")]
Json = Annotated[bool, Option("--json", help="Print a summary for programs.")]


def translate(
    inputs: Inputs,
    model: Model = None,
    to: To = None,
    output: Output = Path("translated"),
    batch: Batch = 8,
    device: Device = "auto",
    format_: Format = None,
    quality: Quality = 95,
    codec: Codec = "auto",
    crf: Crf = None,
    no_steady: NoSteady = False,
    frames: Frames = False,
    fps: Fps = "24",
    scale_to: ScaleTo = None,
    tile: Tile = None,
    precision: Precision = "auto",
    keep_metadata: Metadata = False,
    again: Again = False,
    strict: Strict = False,
    as_json: Json = False,
) -> int:
    """Translate pictures, films and voices: size, sound and length kept, folders mirrored, inputs never touched."""
    jobs = _frame_jobs(inputs, output, format_) if frames else _jobs(inputs, output, format_)
    settings = Settings(batch, quality, not no_steady, _known(codec), crf, _rate(fps), keep_metadata, strict)
    from cyclegan.catalog import find, of_voices
    from cyclegan.translation.batch import open_manifest, translate_files

    name = model or _newest(jobs)
    if of_voices(name) and not frames:  # of folders, what is heard and nothing else
        jobs = _jobs(inputs, output, format_, suffixes=HEARD_SUFFIXES)
    with Display() as display:
        passed = display.passed_over(inputs)
        how: dict[str, Any] = {"tile": tile, "scale_to": scale_to, "precision": precision, "tell": display.note}
        translator = _load(name, to, device, how)
        display.note(f"{shown(name)}: {_begun(translator, jobs)}")
        folder = None if frames or (output.suffix.lower() in WRITTEN_SUFFIXES and not output.is_dir()) else output
        with open_manifest(folder, find(name), translator, settings) as kept:
            done = translate_files(translator, jobs, settings=settings, manifest=kept, again=again, progress=display)
    return _report(done, _about(name, translator) | {"passed_over": passed}, jobs, output, as_json)


def _newest(jobs: Sequence[Job]) -> str:
    """Return the newest run of voices where all is sound, else of pictures."""
    from cyclegan.catalog import newest_run

    return str(newest_run(voices=all(is_sound(job.source) for job in jobs)))


def _load(name: str, to: str | None, device: str, of_pictures: dict[str, Any]) -> "Applied":
    """Load a translator of voices or, with what people may choose of them, of pictures."""
    from cyclegan.catalog import of_voices
    from cyclegan.translation.translator import Translator
    from cyclegan.translation.voice import VoiceTranslator

    if of_voices(name):
        return VoiceTranslator.load(name, to=to, device=device)
    return Translator.load(name, to=to, device=device, **of_pictures)


def _about(name: str, translator: "Applied") -> dict[str, Any]:
    return {"model": name, "from": translator.source, "to": translator.target}


def _begun(translator: "Applied", jobs: Sequence[Job]) -> str:
    """Say between which domains a translator works, on how many files, and how."""
    way = f"{translator.source} to {translator.target}"
    return f"{way}, {_many(jobs)}, on {translator.device} in {translator.precision}"


def _jobs(
    inputs: list[Path], output: Path, wanted: str | None, *, suffixes: Collection[str] = SUFFIXES
) -> Sequence[Job]:
    sources = collect(inputs, suffixes=suffixes, otherwise=SOUND_SUFFIXES)
    return plan_outputs(sources, output, writable=WRITTEN_SUFFIXES, renamed=renamed(wanted))


def _frame_jobs(inputs: list[Path], output: Path, wanted: str | None) -> Sequence[Job]:
    """Pair each folder of numbered frames with a folder, or with a film where one is asked for."""
    suffix = f".{wanted.lower().removeprefix('.')}" if wanted else ""
    if suffix and suffix not in FILM_SUFFIXES:
        raise UsageError(f"--format {wanted}: frames keep the format they have", hint="name a film, such as mp4")
    folders = [path for path in inputs if path.is_dir()]
    if len(folders) < len(inputs):
        strange = next(path for path in inputs if not path.is_dir())
        raise UsageError(f"{shown(strange)}: --frames takes folders of numbered frames", hint="name a folder")
    if output.suffix.lower() in FILM_SUFFIXES and not output.is_dir():
        if len(folders) > 1:
            raise UsageError(f"{shown(output)}: one film cannot hold several folders", hint="name a folder")
        return [Job(folders[0], output)]
    if len(folders) == 1 and not suffix:
        return [Job(folders[0], output)]
    return [Job(folder, output / f"{folder.resolve().name}{suffix}") for folder in folders]


def _known(codec: str) -> str:
    if codec != "auto":
        from cyclegan.media.films.encodings import encoder_of

        encoder_of(codec)
    return codec


def _rate(fps: str) -> Fraction:
    try:
        rate = Fraction(fps)
    except (ValueError, ZeroDivisionError):
        rate = Fraction(0)
    if not 0 < rate <= 1000:
        raise UsageError(f"--fps {fps}: not a number of frames a second", hint="24, 23.976 or 30000/1001")
    return rate


def _many(jobs: Sequence[Job]) -> str:
    return "1 file" if len(jobs) == 1 else f"{len(jobs):,} files"


def _report(done: Any, about: dict[str, Any], jobs: Sequence[Job], output: Path, as_json: bool) -> int:
    summary = about | done.encode()
    if (about["passed_over"] or not done.whole) and output.is_dir():
        write_atomic(output / "summary.json", json.dumps(summary, indent=2).encode())
    parts = [f"{len(done.done)} translated to {about['to']}"]
    parts += [f"{len(done.finished)} finished before"] if done.finished else []
    parts += [f"{len(done.partial)} cut short"] if done.partial else []
    parts += [f"{len(done.failed)} failed"] if done.failed else []
    where = shown(jobs[0].target if len(jobs) == 1 else output)
    result(f"{', '.join(parts)}: {where}", summary=summary, as_json=as_json)
    return 3 if done.short_of_memory else 0 if done.whole else 1
