"""Converted voices for the page: each recording beside what became of it, to be seen and played."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cyclegan.errors import InputError
from cyclegan.media.image import encode_picture
from cyclegan.media.sounds.reader import open_sound
from cyclegan.media.spectrogram import spectrogram
from cyclegan.reading import read_file
from cyclegan.reporting.document import address
from cyclegan.reporting.page import Voice, Voices
from cyclegan.reporting.pictures import Image
from cyclegan.reporting.runs import Run
from cyclegan.reporting.samples import translated
from cyclegan.reporting.words import printable

ROOM = 4_000_000  # bytes of sounds that a page carries
HEIGHT, WIDTH = 120, 480  # pixels of a spectrogram
QUALITY = 75


def voices(run: Run) -> Iterator[Voices]:
    """Yield the samples of the best weights, a block a direction, as many pairs as a page has room for."""
    ways = translated(run, ".wav")
    for (source, target), files in ways.items():
        before, after = printable(source), printable(target)
        pairs = [
            (_voice(one, before), _voice(other, f"as {after}")) for one, other in _fitting(files, ROOM // len(ways))
        ]
        read = [(one, other) for one, other in pairs if one and other]
        if read:
            yield Voices(f"{before} → {after}", read)


def _fitting(files: list[tuple[Path, Path]], room: int) -> Iterator[tuple[Path, Path]]:
    """Yield the first pairs of files, as many as there is room for."""
    for pair in files:
        room -= sum(path.stat().st_size for path in pair)
        if room < 0:
            return
        yield pair


def _voice(path: Path, speaker: str) -> Voice | None:
    """Return a sound with its spectrogram and its recording's name, None where it cannot be read."""
    try:
        data = read_file(path)
        with open_sound(path) as sound:
            samples, rate = np.concatenate(list(sound)).mean(1), sound.rate
            name = printable(sound.container.metadata.get("title", "")) or path.stem
    except (InputError, OSError):
        return None
    pixels = spectrogram(samples, rate=rate, height=HEIGHT, width=WIDTH)
    picture = address(encode_picture(pixels, suffix=".webp", quality=QUALITY), kind="image/webp")
    said = f"Spectrogram of {name}, {speaker}: {len(samples) / rate:.1f} seconds"
    return Voice(speaker, name, Image(picture, said, WIDTH, HEIGHT), address(data, kind="audio/wav"))
