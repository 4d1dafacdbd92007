"""Mutated pictures, films and sounds: what Pillow or FFmpeg refuse is never done without a word."""

import io
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from films import Recipe, Sound, make
from PIL import Image
from test_sound import drawn, plain_wav, tones

from cyclegan.errors import InputError
from cyclegan.media import limits
from cyclegan.media.films.video import open_film
from cyclegan.media.formats.opening import open_header
from cyclegan.media.image import Picture, encode_picture
from cyclegan.media.kinds import FORMATS
from cyclegan.media.sounds.reader import open_sound
from cyclegan.translation.onefile import open_still

MEGAPIXELS = "2"  # more are refused by their header: damaged sizes would fill the memory of Pillow alone
DONE, TOLD, REFUSED = "done", "told", "refused"


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, cut, double or drop bytes, more often near the front, where the structure is."""
    mutant = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = int(len(mutant) * rng.random() ** rng.choice((1, 2)))
        kind = rng.randrange(6)
        if kind < 2:
            mutant[at] ^= 1 << rng.randrange(8)
        elif kind == 2:
            mutant[at] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
        elif kind == 3:
            mutant[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
        elif kind == 4:
            mutant[at : at + 1] = bytes(mutant[at : at + 9])
        else:
            del mutant[rng.randrange(len(mutant)) + 1 :]
    return bytes(mutant)


def in_one_line(error: InputError, path: Path) -> str:
    """Look at a complaint."""
    assert error.what.startswith(f"{path}: ")
    assert error.what.isprintable()
    return REFUSED


# --- pictures --------------------------------------------------------------------------------------------------------


def pictures() -> list[tuple[str, bytes]]:
    """Return a small picture of every format, and animations and pages of those that hold some."""
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (24, 31, 3), dtype=np.uint8)
    one = {name: suffix for suffix, name in reversed(FORMATS.items())}
    found = [(suffix, encode_picture(noise, suffix=suffix)) for suffix in one.values()]
    frames = [Image.fromarray(np.roll(noise, 3 * place, axis=1)) for place in range(3)]
    grey = frames[0].convert("L")
    for suffix, options in (
        (".gif", {}),
        (".png", {}),
        (".webp", {}),
        (".tif", {}),
        (".tif", {"compression": "tiff_lzw"}),
        (".avif", {}),
    ):
        if suffix in FORMATS:
            buffer = io.BytesIO()
            options |= {"duration": 50} if suffix != ".tif" else {}
            frames[0].save(buffer, FORMATS[suffix], save_all=True, append_images=frames[1:], **options)
            found.append((suffix, buffer.getvalue()))
    for suffix, image in ((".png", grey), (".jpg", frames[0]), (".tif", frames[0].convert("CMYK"))):
        buffer = io.BytesIO()
        exif = Image.Exif()
        exif[0x0112] = 6
        image.save(buffer, FORMATS[suffix], exif=exif, **({"progressive": True} if suffix == ".jpg" else {}))
        found.append((suffix, buffer.getvalue()))
    return found


def strictly(path: Path) -> bool:
    """Tell whether Pillow alone, or the reader of a format that it does not know, decodes every frame."""
    try:
        with path.open("rb") as file:
            image = open_header(file, path) if path.suffix in (".heic", ".jxl") else Image.open(file)
            for place in range(getattr(image, "n_frames", 1)):
                image.seek(place)
                image.load()
    except Exception:  # of a dozen types
        return False
    return True


def looked_at(path: Path) -> str:
    """Read a picture as a translation does; only an InputError may come out."""
    try:
        found = open_still(path)
        if isinstance(found, Picture):
            assert found.pixels.size
            return DONE
        with found:
            for frame in found:
                assert frame.pixels.size
            return TOLD if found.lost else DONE
    except InputError as error:
        return in_one_line(error, path)


def fuzz_pictures(folder: Path, *, each: int, seed: int) -> Counter[str]:
    rng, counts, silent = random.Random(seed), Counter[str](), list[Path]()
    for kind, (suffix, data) in enumerate(pictures()):
        for number in range(each):
            path = folder / f"{kind}-{number}{suffix}"
            path.write_bytes(mutated(data, rng))
            outcome = looked_at(path)
            counts[outcome] += 1
            if outcome == DONE and not strictly(path):
                silent.append(path)
            else:
                path.unlink()
    assert not silent, "damaged, and done without a word"
    return counts


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv(limits.VARIABLE, MEGAPIXELS)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1_000_000)  # twice of which Pillow refuses
    with warnings.catch_warnings(action="ignore"):  # Pillow's, of odd tags
        yield


def test_damaged_pictures_are_never_done_without_a_word(tmp_path: Path) -> None:
    counts = fuzz_pictures(tmp_path, each=8, seed=1)
    assert counts.total() >= 150
    assert all(counts[outcome] for outcome in (DONE, TOLD, REFUSED))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_thousands_of_damaged_pictures(tmp_path: Path) -> None:
    counts = fuzz_pictures(tmp_path, each=150, seed=2)
    print(f"pictures: {dict(counts)}")
    assert counts.total() >= 3000


# --- films and sounds ------------------------------------------------------------------------------------------------


def films(folder: Path) -> list[Path]:
    """Make a small film of every container."""
    quick = {"preset": "ultrafast", "threads": "1", "g": "6"}
    kinds: dict[str, dict[str, Any]] = {
        "a.mp4": {"options": quick},
        "a.mkv": {"options": quick},
        "a.ts": {"options": quick},
        "a.webm": {"codec": "libvpx-vp9", "options": {"deadline": "realtime", "cpu-used": "8"}},
        "a.avi": {"codec": "mpeg4", "options": {"b": "400000"}},
    }
    made = []
    for name, options in kinds.items():
        clock = {"clock": Fraction(1, 90_000)} if name == "a.ts" else {}
        sounds = [] if name == "a.webm" else [Sound()]
        made.append(make(folder / name, Recipe(count=16, sounds=sounds, **options, **clock)))
    return made


def sounds(folder: Path) -> list[Path]:
    """Make a small sound of every container."""
    tone = tones(1.0, rate=16000)
    rest = [("a.flac", "flac", "s16", 16), ("a.mp3", "libmp3lame", "fltp", 0), ("a.m4a", "aac", "fltp", 0)]
    rest += [("a.aac", "aac", "fltp", 0), ("a.opus", "libopus", "flt", 0), ("a.aiff", "pcm_s16be", "s16", 16)]
    made = [drawn(folder / n, tone, rate=16000, codec=c, kind=k, bits=b) for n, c, k, b in rest]
    return [plain_wav(folder / "a.wav", tone, rate=16000), *made]


def watched(path: Path) -> str:
    with open_film(path) as film:
        for frame in film:
            assert frame.pixels.size
    return TOLD if film.lost else DONE


def heard(path: Path) -> str:
    with open_sound(path) as sound:
        for block in sound:
            assert block.size
    return TOLD if sound.lost else DONE


def errors_of_ffmpeg(path: Path, kind: str) -> list[str]:
    """Decode what a film or a sound is with FFmpeg alone, and return its errors; none where it cannot be opened."""
    try:
        container = av.open(str(path), options={"max_pixels": "2000000"}, metadata_errors="replace")
    except (av.FFmpegError, ValueError):
        return ["cannot be opened"]
    errors = list[str]()
    with container:
        stream: Any = container.streams.best(kind)
        if stream is None or stream.codec_context is None:
            return ["no stream"]
        try:
            for packet in container.demux(stream):
                try:
                    frames = stream.decode(packet)
                except (av.FFmpegError, EOFError, ValueError) as error:
                    errors += [str(error)] if packet.size else []
                    continue
                errors += ["corrupt"] if any(getattr(frame, "is_corrupt", False) for frame in frames) else []
        except (av.FFmpegError, ValueError, IndexError) as error:
            errors.append(str(error))
    return errors


def fuzz_media(path: Path, look: Callable[[Path], str], *, kind: str, each: int, rng: random.Random) -> Counter[str]:
    data, counts = path.read_bytes(), Counter[str]()
    for number in range(each):
        mutant = path.with_name(f"{number}-{path.name}")
        mutant.write_bytes(mutated(data, rng))
        try:
            outcome = look(mutant)
        except InputError as error:
            outcome = in_one_line(error, mutant)
        if outcome == DONE:
            errors = errors_of_ffmpeg(mutant, kind)
            assert not errors, f"{mutant}: damaged, and done without a word: {errors}"
        counts[outcome] += 1
        mutant.unlink()
    return counts


def test_damaged_films_and_sounds_are_never_done_without_a_word(tmp_path: Path) -> None:
    rng, counts = random.Random(3), Counter[str]()
    for path in films(tmp_path):
        counts += fuzz_media(path, watched, kind="video", each=4, rng=rng)
    for path in sounds(tmp_path):
        counts += fuzz_media(path, heard, kind="audio", each=4, rng=rng)
    assert all(counts[outcome] for outcome in (DONE, TOLD, REFUSED))


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_hundreds_of_damaged_films_and_sounds(tmp_path: Path) -> None:
    rng, counts = random.Random(4), Counter[str]()
    for path in films(tmp_path):
        counts += fuzz_media(path, watched, kind="video", each=60, rng=rng)
    for path in sounds(tmp_path):
        counts += fuzz_media(path, heard, kind="audio", each=45, rng=rng)
    print(f"films and sounds: {dict(counts)}")
    assert counts.total() >= 600
