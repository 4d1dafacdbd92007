"""One file, from the one that is read to the one that is written, whatever it holds."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

from cyclegan.curation.familiar import Judgement
from cyclegan.errors import InputError, UsageError, shown
from cyclegan.media.animation import Animation, create_animation, open_animation
from cyclegan.media.films.encoder import create_film, create_film_of_stills
from cyclegan.media.films.encodings import Encoding
from cyclegan.media.films.video import Film, open_film
from cyclegan.media.frames import Reader, Writer
from cyclegan.media.image import Picture, write_picture
from cyclegan.media.kinds import is_film, is_sound
from cyclegan.media.sequence import Sequence, SequenceWriter
from cyclegan.translation.film import translate_film
from cyclegan.translation.memory import PLAIN, STEADY, STILL, refuse_unaffordable
from cyclegan.translation.progress import Progress
from cyclegan.translation.settings import Settings
from cyclegan.translation.temporal import Flicker

EVERY = 24  # frames of a film, of which one is judged: the first alone may be black

Judge = Callable[[Any], Judgement | None]


class Stream(Protocol):
    """Translates frames lazily and in order: a translator's stream."""

    def __call__(self, frames: Iterator[Any], *, batch: int = 8) -> Iterator[Any]: ...


@dataclass(frozen=True)
class Outcome:
    """What became of a file: lines for a person, what of it could not be read, and how much a film flickers.

    `judgement` says how unusual it is among what was learnt from.
    """

    notes: tuple[str, ...] = ()
    lost: str | None = None
    flicker: Flicker | None = None
    judgement: Judgement | None = None


def open_file(path: Path, *, settings: Settings) -> Picture | Animation | Film | Sequence:
    """Open what a file holds, or a folder of numbered frames; raise InputError. All but a picture is to be closed."""
    if path.is_dir():
        return Sequence(path, rate=settings.fps)
    return open_film(path, strict=settings.strict) if is_film(path) else open_still(path)


def open_still(path: Path) -> Picture | Animation:
    """Read a picture, or open what has several frames; raise InputError, also for a sound or too little memory."""
    if is_sound(path):
        raise InputError(
            f"{shown(path)}: a sound, and these weights are for pictures", hint="-m names weights of voices"
        )
    animation = open_animation(path)
    if animation.several:
        return animation
    with animation:
        refuse_unaffordable(path, animation.pixels, each=STILL)
        return animation.still()


def translate_file(
    stream: Stream,
    source: Path,
    target: Path,
    *,
    settings: Settings = Settings(),  # noqa: B008 - frozen
    progress: Progress = Progress(),  # noqa: B008 - without state
    judge: Judge = lambda _: None,
) -> Outcome:
    """Translate one file; raise InputError where it cannot be read, UsageError where the target cannot hold it."""
    found = open_file(source, settings=settings)
    if not isinstance(found, Picture):
        with found:
            _refuse_unaffordable(source, found, steady=settings.steady and found.moving)
            return translate_moving(stream, found, target, settings=settings, progress=progress, judge=judge)
    if is_film(target):
        raise UsageError(f"{target.name}: a picture is no film", hint="choose .png")
    (pixels,) = stream(iter([found.pixels]))
    return replace(save(found, pixels, target, settings=settings), judgement=judge(found.pixels))


def _refuse_unaffordable(path: Path, reader: Animation | Film | Sequence, *, steady: bool) -> None:
    hint = f"--no-steady takes {PLAIN / STEADY:.0%} of that" if steady else "close other programs"
    refuse_unaffordable(path, reader.pixels, each=STEADY if steady else PLAIN, hint=hint)


def translate_moving(
    stream: Stream, reader: Reader, target: Path, *, settings: Settings, progress: Progress, judge: Judge
) -> Outcome:
    """Translate a film, an animation or pages that are open."""

    def tick(frames: int) -> None:
        progress.film(frames, of=reader.count, seconds=reader.seconds)

    judged = list[Judgement]()

    def watched(frames: Iterator[Any]) -> Iterator[Any]:
        return stream(_judged(frames, judge, judged), batch=settings.batch)

    with _created(target, like=reader, settings=settings) as writer:
        flicker = translate_film(reader, writer, stream=watched, steadily=settings.steady, tick=tick)
    judgement = Judgement.of_many(judged) if judged else None
    return Outcome((*reader.notes, *writer.notes), reader.lost, flicker, judgement)


def _judged(frames: Iterator[Any], judge: Judge, judged: list[Judgement]) -> Iterator[Any]:
    """Pass frames on, and judge some of them on the way."""
    for number, frame in enumerate(frames):
        judgement = judge(frame) if number % EVERY == 0 else None
        judged += [judgement] if judgement else []
        yield frame


def save(picture: Picture, pixels: Any, target: Path, *, settings: Settings) -> Outcome:
    """Write translated pixels as the picture they were made from: with its alpha, and its metadata if asked for."""
    metadata = picture.metadata if settings.keep_metadata else None
    notes = write_picture(target, pixels, alpha=picture.alpha, quality=settings.quality, metadata=metadata)
    return Outcome((*picture.notes, *notes))


def _created(target: Path, *, like: Reader, settings: Settings) -> Writer:
    if isinstance(like, Sequence) and not target.suffix:
        return SequenceWriter(target, like=like, quality=settings.quality)
    if not is_film(target):
        kept = settings.keep_metadata
        return create_animation(target, like=like, quality=settings.quality, keep_metadata=kept)
    encoding = Encoding(codec=settings.codec, crf=settings.crf, keep_metadata=settings.keep_metadata)
    if isinstance(like, Film):
        return create_film(target, like=like, encoding=encoding)
    assert isinstance(like, Animation | Sequence)
    width, height = like.size
    return create_film_of_stills(target, width=width, height=height, rate=1 / Fraction(like.clock), encoding=encoding)
