"""Animations and pages keep their frames, times, sizes and alpha, and damage is told."""

import io
import itertools
import random
import struct
import warnings
import zlib
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageFilter
from PIL.TiffImagePlugin import AppendingTiffWriter

from cyclegan.errors import InputError, UsageError
from cyclegan.media.animation import Animation, AnimationWriter, create_animation, open_animation
from cyclegan.media.frames import Frame, Reader
from cyclegan.media.image import Picture, read_picture
from cyclegan.translation.onefile import open_still

MOVING = [".gif", ".webp", ".png"]
PAIRS = list(itertools.product(MOVING, MOVING))
RED, GREEN, BLUE, CLEAR = (255, 0, 0, 255), (0, 255, 0, 255), (0, 0, 255, 255), (0, 0, 0, 0)


def drawn(place: int, size: tuple[int, int] = (24, 16)) -> Image.Image:
    """Draw a frame that can be told from the others: a bar that moves over a colour that changes, 2 colours."""
    image = Image.new("RGB", size, (40 * place % 256, 200 - 30 * place % 200, 90))
    image.paste((250, 240, 20), (2 * place % size[0], 3, 2 * place % size[0] + 4, 11))
    return image


def made(path: Path, frames: Sequence[Image.Image], durations: Sequence[int], **options: Any) -> Path:
    """Write an animation with PIL, to the last bit."""
    kinds = {".gif": {}, ".webp": {"lossless": True, "exact": True, "allow_mixed": False}, ".png": {}}
    options = {"duration": list(durations), "loop": 0, **kinds[path.suffix], **options}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    return path


class Film:
    """Stand in for any reader."""

    moving, count, seconds, lost = True, None, None, None

    def __init__(self, frames: Iterable[Frame], *, clock: Fraction = Fraction(1, 1000), moving: bool = True) -> None:
        self.frames, self.clock, self.moving, self.notes = frames, clock, moving, list[str]()

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def close(self) -> None: ...

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, *failure: object) -> None: ...


def film(images: Sequence[Image.Image], *, clock: Fraction) -> Film:
    return Film([Frame(np.array(image), pts=n, duration=1) for n, image in enumerate(images)], clock=clock)


def written(path: Path, like: Reader, **options: Any) -> AnimationWriter:
    with like, create_animation(path, like=like, **options) as writer:
        for frame in like:
            writer.write(frame)
    return writer


def copied(source: Path, target: Path, **options: Any) -> AnimationWriter:
    return written(target, open_animation(source), **options)


def read(path: Path) -> tuple[Animation, list[Frame]]:
    with open_animation(path) as animation:
        return animation, list(animation)


def delays(path: Path) -> list[Fraction]:
    animation, frames = read(path)
    return [frame.duration * animation.clock * 1000 for frame in frames]


def rgba(frame: Frame) -> NDArray[np.uint8]:
    """Return (H, W, 4) with black where nothing is to be seen."""
    alpha = np.full(frame.pixels.shape[:2], 255, np.uint8) if frame.alpha is None else frame.alpha
    return np.dstack((np.where(alpha[..., None] > 0, frame.pixels, 0), alpha)).astype(np.uint8)


# --- reading ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", MOVING)
def test_frames_come_with_their_times(tmp_path: Path, suffix: str) -> None:
    frames = [drawn(n) for n in range(4)]
    animation, found = read(made(tmp_path / f"a{suffix}", frames, [100, 40, 2000, 70], loop=3))
    assert [f.duration for f in found] == [100, 40, 2000, 70]
    assert [f.pts for f in found] == [0, 100, 140, 2140]
    assert all(np.array_equal(f.pixels, image) for f, image in zip(found, frames, strict=True))
    assert (animation.count, animation.seconds, animation.size) == (4, 2.21, (24, 16))
    assert animation.moving
    assert animation.clock == Fraction(1, 1000)
    assert animation.timeline.plays == (4 if suffix == ".gif" else 3)  # a GIF says how often it begins again
    assert animation.lost is None
    assert animation.notes == []


def test_a_gif_without_a_loop_is_shown_once(tmp_path: Path) -> None:
    frames = [drawn(n) for n in range(2)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    animation, found = read(tmp_path / "a.gif")
    assert animation.timeline.plays == 1
    assert [(f.pts, f.duration) for f in found] == [(0, 0), (100, 0)]  # untimed: shown as browsers show it
    assert animation.seconds == 0.2


@pytest.mark.parametrize("suffix", MOVING)
def test_frames_are_composed_as_a_viewer_shows_them(tmp_path: Path, suffix: str) -> None:
    """What PIL stores as small patches, by disposal and blending, comes out as the frames that went in."""
    frames = list[Image.Image]()
    for place, colour in ((0, RED), (6, GREEN), (12, BLUE), (3, RED)):
        frames.append(Image.new("RGBA", (20, 10), CLEAR))
        frames[-1].paste(colour, (place, 2, place + 5, 8))
    extra = {".gif": {"disposal": 2}, ".png": {"disposal": 1}}.get(suffix, {})
    _, found = read(made(tmp_path / f"a{suffix}", frames, [50] * 4, **extra))
    assert all(np.array_equal(rgba(f), image) for f, image in zip(found, frames, strict=True))


def gif_frame(left: int, width: int, colour: bytes, *, disposal: int) -> bytes:
    """Return the blocks of a GIF that draw a line of one colour, cut out of a GIF that PIL wrote."""
    alone, line = io.BytesIO(), Image.new("P", (width, 1))
    line.putpalette(colour)
    line.save(alone, "GIF", optimize=False, interlace=False)
    data = alone.getvalue()
    begin = 13 + (3 << (data[10] & 7) + 1)
    control = b"!\xf9\x04" + bytes([disposal << 2, 10, 0, 0, 0])
    head = struct.pack("<4HB", left, 0, width, 1, 0x80 | data[10] & 7)
    return control + b"," + head + data[13:begin] + data[begin + 10 : -1]


def test_what_a_frame_covers_may_come_back(tmp_path: Path) -> None:
    """By hand: a red line; for a moment two pixels of green on it; then one of blue on the red."""
    frames = [gif_frame(0, 4, b"\xff\0\0", disposal=1), gif_frame(1, 2, b"\0\xff\0", disposal=3)]
    frames.append(gif_frame(3, 1, b"\0\0\xff", disposal=1))
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + struct.pack("<HH3B", 4, 1, 0x70, 0, 0) + b"".join(frames) + b";")
    _, found = read(tmp_path / "a.gif")
    r, g, b = [255, 0, 0], [0, 255, 0], [0, 0, 255]
    assert [f.pixels[0].tolist() for f in found] == [[r, r, r, r], [r, g, g, r], [r, r, r, b]]


def test_times_that_are_no_milliseconds_have_a_clock_of_their_own(tmp_path: Path) -> None:
    thirty = film([drawn(n) for n in range(5)], clock=Fraction(1001, 30000))
    written(tmp_path / "a.png", thirty)
    animation, found = read(tmp_path / "a.png")
    assert {f.duration * animation.clock for f in found} == {Fraction(1001, 30000)}
    assert found[4].pts * animation.clock == 4 * Fraction(1001, 30000)
    copied(tmp_path / "a.png", tmp_path / "b.png")
    assert delays(tmp_path / "b.png") == delays(tmp_path / "a.png")


def test_a_picture_for_other_viewers_is_no_frame(tmp_path: Path) -> None:
    frames = [drawn(n) for n in range(3)]
    path = made(tmp_path / "a.png", [Image.new("RGB", (24, 16)), *frames], [80] * 3, default_image=True)
    animation, found = read(path)
    assert animation.count == 3
    assert all(np.array_equal(f.pixels, image) for f, image in zip(found, frames, strict=True))


def test_what_a_gif_draws_beyond_its_edge_is_cut_off(tmp_path: Path) -> None:
    frames = gif_frame(0, 4, b"\xff\0\0", disposal=1) + gif_frame(2, 4, b"\0\xff\0", disposal=1)
    (tmp_path / "a.gif").write_bytes(b"GIF89a" + struct.pack("<HH3B", 4, 1, 0x70, 0, 0) + frames + b";")
    animation, found = read(tmp_path / "a.gif")
    assert animation.size == (4, 1)
    assert [f.pixels[0, :, 1].tolist() for f in found] == [[0, 0, 0, 0], [0, 0, 255, 255]]


# --- one picture or several ------------------------------------------------------------------------------------------


def test_a_file_is_a_picture_or_has_several_and_is_open_no_longer_than_needed(tmp_path: Path) -> None:
    before = psutil.Process().num_fds()
    drawn(3).save(tmp_path / "still.gif")
    still = open_still(tmp_path / "still.gif")
    assert isinstance(still, Picture)
    assert np.array_equal(still.pixels, drawn(3))
    with pytest.raises(InputError):
        open_still(tmp_path)
    moving = open_still(made(tmp_path / "a.webp", [drawn(0), drawn(1)], [9, 9]))
    assert isinstance(moving, Animation)
    moving.close()
    assert psutil.Process().num_fds() == before
    assert read_picture(tmp_path / "a.webp").notes == ("first of 2 frames",)


# --- writing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_count_times_and_repetitions_are_kept_where_frames_are_equal_too(
    tmp_path: Path, source: str, target: str
) -> None:
    first, second = drawn(0), drawn(1)
    second.putpixel((0, 0), (1, 2, 3))  # PIL itself writes frames that differ
    written(tmp_path / f"a{source}", film([first, first, second, second, second, first], clock=Fraction(1, 10)))
    copied(tmp_path / f"a{source}", tmp_path / f"b{target}")
    with Image.open(tmp_path / f"b{target}") as image:  # a reader that is not ours
        assert image.n_frames == 6  # type: ignore[attr-defined]
        times = []
        for place in range(6):
            image.seek(place)
            image.load()
            times.append(image.info["duration"])
    assert times == [100] * 6
    assert delays(tmp_path / f"b{target}") == [100] * 6
    assert read(tmp_path / f"b{target}")[0].timeline.plays == 0
    if ".webp" not in (source, target):
        pairs = zip(read(tmp_path / f"b{target}")[1], [first, first, second, second, second, first], strict=True)
        assert all(np.array_equal(f.pixels, image) for f, image in pairs)


@pytest.mark.parametrize(("source", "target"), PAIRS)
@pytest.mark.parametrize("plays", [1, 5])
def test_how_often_it_is_shown_is_kept(tmp_path: Path, source: str, target: str, plays: int) -> None:
    loop = {"loop": plays - 1 if source == ".gif" else plays}
    if source == ".gif" and plays == 1:
        loop = {"loop": None}
    copied(made(tmp_path / f"a{source}", [drawn(0), drawn(1)], [100, 100], **loop), tmp_path / f"b{target}")
    assert read(tmp_path / f"b{target}")[0].timeline.plays == plays


@pytest.mark.parametrize("target", MOVING)
def test_transparency_is_kept(tmp_path: Path, target: str) -> None:
    frames = [Image.new("RGBA", (20, 10), CLEAR) for _ in range(4)]
    for place, frame in enumerate(frames[:3]):
        frame.paste((RED, GREEN, BLUE)[place], (4 * place, 2, 4 * place + 6, 7))  # the last frame shows nothing at all
    copied(made(tmp_path / "a.png", frames, [50] * 4), tmp_path / f"b{target}")
    _, found = read(tmp_path / f"b{target}")
    for frame, image in zip(found, frames, strict=True):
        assert np.array_equal(rgba(frame)[..., 3], np.asarray(image)[..., 3])
        assert np.abs(rgba(frame).astype(int) - np.asarray(image)).mean() < (8 if target == ".webp" else 1e-9)


def test_half_transparent_parts_become_whole_in_a_gif_and_that_is_noted(tmp_path: Path) -> None:
    alpha = np.array([[0, 100, 200, 255]], np.uint8)
    reader = Film([Frame(np.full((1, 4, 3), 7, np.uint8), alpha, duration=50)])
    assert written(tmp_path / "a.gif", reader).notes == [
        "half transparent parts made opaque or transparent: GIF cannot hold them"
    ]
    _, (frame,) = read(tmp_path / "a.gif")
    assert rgba(frame)[0, :, 3].tolist() == [0, 0, 255, 255]
    assert written(tmp_path / "a.webp", reader).notes == []


@pytest.mark.parametrize("target", MOVING)
def test_a_film_without_alpha_stays_without_it(tmp_path: Path, target: str) -> None:
    shape, half = (4, 6, 3), np.full((4, 6), 102, np.uint8)
    reader = Film([Frame(np.zeros(shape, np.uint8)), Frame(np.zeros(shape, np.uint8), half)])
    assert any("laid on white" in note for note in written(tmp_path / f"a{target}", reader).notes)
    _, found = read(tmp_path / f"a{target}")
    assert [f.alpha for f in found] == [None, None]
    assert abs(int(found[1].pixels[0, 0, 0]) - 153) <= 2


def test_the_clock_of_a_film_is_rounded_without_drift(tmp_path: Path) -> None:
    written(tmp_path / "a.gif", film([drawn(n) for n in range(48)], clock=Fraction(1, 24)))
    times = delays(tmp_path / "a.gif")
    assert set(times) == {40, 50}
    assert sum(times) == 2000
    written(tmp_path / "a.webp", film([drawn(n) for n in range(24)], clock=Fraction(1001, 24000)))
    assert sum(delays(tmp_path / "a.webp")) == 1001


def test_a_gif_does_not_get_faster_than_viewers_show_it(tmp_path: Path) -> None:
    writer = written(tmp_path / "a.gif", film([drawn(n) for n in range(6)], clock=Fraction(1, 100)))
    assert delays(tmp_path / "a.gif") == [20] * 6
    assert writer.notes == ["GIF shows at most 50 frames a second: slower than the original"]
    quick = made(tmp_path / "quick.gif", [drawn(n) for n in range(3)], [10, 20, 10])
    assert copied(quick, tmp_path / "b.gif").notes == []
    assert delays(tmp_path / "b.gif") == [10, 20, 10]  # but a GIF stays as it is


@pytest.mark.parametrize("colours", [256, 60000])
def test_a_gif_keeps_256_colours_and_brings_more_close(tmp_path: Path, colours: int) -> None:
    y, x = np.mgrid[0:64, 0:96]
    pixels = np.stack((x * 255 // 95, y * 255 // 63, (x + y) * 255 // 158), axis=-1).astype(np.uint8)
    if colours == 256:
        pixels = np.dstack((x[:16, :16] * 16, y[:16, :16] * 16, x[:16, :16])).astype(np.uint8)
    written(tmp_path / "a.gif", Film([Frame(pixels, duration=100)]))
    _, (frame,) = read(tmp_path / "a.gif")
    if colours == 256:
        assert np.array_equal(frame.pixels, pixels)
        return

    def from_afar(seen: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.asarray(Image.fromarray(seen).filter(ImageFilter.BoxBlur(2)), np.float64)

    assert len(np.unique(frame.pixels.reshape(-1, 3), axis=0)) > 200
    assert np.abs(from_afar(frame.pixels) - from_afar(pixels)).mean() < 2.5


@pytest.mark.parametrize("suffix", [*MOVING, ".apng", ".tif", ".PNG"])
def test_one_pixel_is_enough(tmp_path: Path, suffix: str) -> None:
    frames = [Frame(np.full((1, 1, 3), c, np.uint8), duration=100) for c in (9, 9, 200)]
    written(tmp_path / f"a{suffix}", Film(frames))
    _, found = read(tmp_path / f"a{suffix}")
    assert [abs(int(f.pixels[0, 0, 1]) - c) <= 2 for f, c in zip(found, (9, 9, 200), strict=True)] == [True] * 3


def test_what_holds_one_picture_is_refused(tmp_path: Path) -> None:
    reader = film([drawn(0), drawn(1)], clock=Fraction(1, 10))
    for suffix in (".jpg", ".bmp", ".mp4", ""):
        with pytest.raises(UsageError, match="holds one picture") as caught:
            create_animation(tmp_path / f"a{suffix}", like=reader)
        assert ".gif" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def stop(_: object) -> Frame:
    raise KeyboardInterrupt


@pytest.mark.parametrize("suffix", [*MOVING, ".tif"])
def test_nothing_is_left_of_what_failed(tmp_path: Path, suffix: str) -> None:
    reader, path = film([drawn(0), drawn(1, (8, 8))], clock=Fraction(1, 10)), tmp_path / f"a{suffix}"
    stopped = Film(itertools.chain([Frame(np.array(drawn(0)))], map(stop, [None])))
    with pytest.raises(KeyboardInterrupt):
        written(path, stopped)
    with pytest.raises(InputError, match="not one frame"), create_animation(path, like=reader):
        pass
    if suffix != ".tif":
        with pytest.raises(UsageError, match="picture 2 is 8 × 8, not 24 × 16"):
            written(path, reader)
    assert list(tmp_path.iterdir()) == []


def test_a_size_that_does_not_fit_is_said(tmp_path: Path) -> None:
    wide = Film([Frame(np.zeros((1, 70000, 3), np.uint8))])
    for suffix in (".gif", ".webp"):
        with pytest.raises(UsageError, match="70000 × 1 pixels cannot be written"):
            written(tmp_path / f"a{suffix}", wide)
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_film(tmp_path: Path) -> None:
    process = psutil.Process()
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    reader = Film([Frame(np.roll(noise, n, axis=0), duration=40) for n in range(400)])
    with create_animation(tmp_path / "a.webp", like=reader) as writer:
        for place, frame in enumerate(reader):
            writer.write(frame)
            if place == 50:
                before = process.memory_info().rss
        assert process.memory_info().rss - before < 5 << 20


@pytest.mark.parametrize("suffix", [".png", ".webp"])
def test_metadata_is_kept_on_request_only(tmp_path: Path, suffix: str) -> None:
    exif = Image.Exif()
    exif[0x013B] = "somebody"
    exif[0x0112] = 6
    source = made(tmp_path / f"a{suffix}", [drawn(0), drawn(1)], [50, 50], exif=exif)
    assert read(source)[0].size == (16, 24)
    for keep in (False, True):
        target = tmp_path / f"{keep}{suffix}"
        copied(source, target, keep_metadata=keep)
        assert (b"somebody" in target.read_bytes()) == keep
        assert read(target)[0].size == (16, 24)
    notes = copied(source, tmp_path / "a.gif", keep_metadata=True).notes
    assert notes == ["EXIF left out: GIF cannot hold it"]


# --- pages -----------------------------------------------------------------------------------------------------------


def scanned(path: Path) -> Path:
    """Write a TIFF of four pages: colour, turned, 16 bits, with alpha; the second is followed by its thumbnail."""
    turned = Image.Exif()
    turned[0x0112] = 6
    small = {254: 1}
    wide = Image.fromarray(np.full((5, 7), 32896, np.uint16))
    half = Image.new("RGBA", (9, 4), (10, 20, 30, 128))
    parts: list[tuple[Image.Image, dict[str, Any]]] = [
        (drawn(0), {}),
        (drawn(1, (30, 12)), {"exif": turned}),
        (drawn(1, (6, 3)), {"tiffinfo": small}),
        (wide, {}),
        (half, {}),
    ]
    return paged(path, parts)


def paged(path: Path, parts: Sequence[tuple[Image.Image, dict[str, Any]]]) -> Path:
    with path.open("w+b") as file, AppendingTiffWriter(file) as pages:
        for image, options in parts:
            image.save(pages, "TIFF", **options)
            pages.newFrame()
    return path


def test_pages_of_a_tiff(tmp_path: Path) -> None:
    animation, pages = read(scanned(tmp_path / "a.tif"))
    assert not animation.moving
    assert (animation.count, animation.seconds, animation.lost) == (4, None, None)
    assert [page.pixels.shape[:2] for page in pages] == [(16, 24), (30, 12), (5, 7), (4, 9)]
    assert np.array_equal(pages[0].pixels, drawn(0))
    assert np.array_equal(pages[1].pixels, np.rot90(np.asarray(drawn(1, (30, 12))), -1))
    assert np.unique(pages[2].pixels).tolist() == [128]
    assert pages[3].alpha is not None
    assert np.unique(pages[3].alpha).tolist() == [128]
    assert animation.notes == ["16 bits scaled to 8"]


def test_pages_become_pages(tmp_path: Path) -> None:
    assert copied(scanned(tmp_path / "a.tif"), tmp_path / "b.tiff").notes == []
    pairs = zip(read(tmp_path / "a.tif")[1], read(tmp_path / "b.tiff")[1], strict=True)
    assert all(np.array_equal(rgba(a), rgba(b)) for a, b in pairs)
    with pytest.raises(UsageError, match="12 × 30, not 24 × 16") as caught:
        copied(tmp_path / "a.tif", tmp_path / "a.gif")
    assert ".tif" in caught.value.hint


def test_pages_and_frames_are_exchanged_with_a_note(tmp_path: Path) -> None:
    gif = made(tmp_path / "a.gif", [drawn(n) for n in range(3)], [100] * 3)
    assert copied(gif, tmp_path / "a.tif").notes == ["a TIFF holds no times"]
    animation, pages = read(tmp_path / "a.tif")
    assert not animation.moving
    assert all(np.array_equal(page.pixels, drawn(n)) for n, page in enumerate(pages))
    assert copied(tmp_path / "a.tif", tmp_path / "b.gif").notes == ["pages became frames of a second each"]
    assert delays(tmp_path / "b.gif") == [1000] * 3


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", MOVING)
def test_of_a_cut_file_the_whole_frames_are_read_and_the_loss_is_told(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(1)
    frames = [Image.fromarray(rng.integers(0, 256, (24, 32), dtype=np.uint8)).convert("RGB") for _ in range(12)]
    whole = made(tmp_path / f"a{suffix}", frames, [100] * 12).read_bytes()
    seen = set[int]()
    for cut in range(len(whole) // 40, len(whole) - 20, len(whole) // 40):
        (tmp_path / f"b{suffix}").write_bytes(whole[:cut])
        try:
            animation, found = read(tmp_path / f"b{suffix}")
        except InputError:
            seen.add(0)
            continue
        seen.add(len(found))
        assert all(np.array_equal(f.pixels, image) for f, image in zip(found, frames, strict=False))
        of = "12" if suffix == ".png" else f"at least {len(found) + 1}"
        assert animation.lost
        assert animation.lost.startswith(f"input ends at frame {len(found)} of {of} (")
    assert seen >= set(range(12))


def test_of_a_cut_tiff_the_whole_pages_are_read(tmp_path: Path) -> None:
    path = scanned(tmp_path / "a.tif")
    path.write_bytes(path.read_bytes()[:-60])
    animation, pages = read(path)
    assert 0 < len(pages) < 4
    assert animation.lost
    assert animation.lost.startswith(f"input ends at page {len(pages)} of ")


def test_a_gif_may_lack_its_last_byte(tmp_path: Path) -> None:
    path = made(tmp_path / "a.gif", [drawn(n) for n in range(3)], [100] * 3)
    path.write_bytes(path.read_bytes()[:-1])
    animation, found = read(path)
    assert len(found) == 3
    assert animation.lost is None


def test_bombs_are_refused_from_their_headers(tmp_path: Path) -> None:
    before = psutil.Process().memory_info().rss
    gif = b"GIF89a" + struct.pack("<HH3B", 60000, 60000, 0, 0, 0) + b",\0\0\0\0\1\0\1\0\0\2\2D\1\0;"
    (tmp_path / "a.gif").write_bytes(gif)
    size = (16383).to_bytes(3, "little")
    chunk = b"VP8X" + struct.pack("<I", 10) + bytes([2, 0, 0, 0]) + size + size
    frame = made(tmp_path / "s.webp", [drawn(0), drawn(1)], [50, 50]).read_bytes()[30:]
    (tmp_path / "a.webp").write_bytes(b"RIFF" + struct.pack("<I", 22 + len(frame)) + b"WEBP" + chunk + frame)
    for name in ("a.gif", "a.webp"):
        with pytest.raises(InputError, match=r"more than the 200 megapixels|decompression bomb"):
            open_animation(tmp_path / name)
    assert psutil.Process().memory_info().rss - before < 20 << 20


def test_a_huge_page_ends_the_reading(tmp_path: Path) -> None:
    data = paged(tmp_path / "a.tif", [(drawn(0), {}), (drawn(1, (23, 16)), {})]).read_bytes()
    width = struct.pack("<HHII", 256, 4, 1, 23)
    assert data.count(width) == 1
    (tmp_path / "a.tif").write_bytes(data.replace(width, struct.pack("<HHII", 256, 4, 1, 60_000_000)))
    animation, pages = read(tmp_path / "a.tif")
    assert len(pages) == 1
    assert animation.lost
    assert "60000000 × 16 pixels, more than the 200 megapixels" in animation.lost


def test_damaged_animations_give_frames_or_one_complaint(tmp_path: Path) -> None:
    rng, complaints, cut = random.Random(7), list[str](), 0
    clear = Image.new("RGBA", (24, 16), CLEAR)
    kinds = [(suffix, [drawn(n) for n in range(5)]) for suffix in MOVING]
    kinds += [(suffix, [drawn(0).convert("RGBA"), clear, drawn(2).convert("RGBA")]) for suffix in MOVING]
    corpus = [made(tmp_path / f"{n}{suffix}", frames, [50] * len(frames)) for n, (suffix, frames) in enumerate(kinds)]
    corpus.append(scanned(tmp_path / "a.tif"))
    for path in corpus:
        data = path.read_bytes()
        for _ in range(60):
            mutant = bytearray(data)
            for _ in range(rng.choice((1, 1, 2, 5))):
                mutant[rng.randrange(len(mutant))] = rng.choice((0, 1, 127, 255, rng.randrange(256)))
            path.write_bytes(mutant)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    animation, found = read(path)
                except InputError as error:
                    complaints.append(error.what)
                    continue
            assert found
            assert all(f.pixels.dtype == np.uint8 and f.pixels.ndim == 3 for f in found)
            assert not animation.moving or len({f.pixels.shape for f in found}) == 1
            if animation.lost:
                cut += 1
                assert animation.lost.isprintable()
    assert all(what.startswith(str(tmp_path)) and what.isprintable() for what in complaints)
    assert len(complaints) > 20
    assert cut > 20


def test_a_png_may_promise_more_frames_than_it_holds(tmp_path: Path) -> None:
    data = made(tmp_path / "a.png", [drawn(0), drawn(1)], [50, 50]).read_bytes()
    place = data.index(b"acTL")
    body = b"acTL" + struct.pack(">II", 1_000_000_000, 0)
    (tmp_path / "a.png").write_bytes(data[:place] + body + struct.pack(">I", zlib.crc32(body)) + data[place + 16 :])
    animation, found = read(tmp_path / "a.png")
    assert len(found) == 2
    assert animation.lost
    assert animation.lost.startswith("input ends at frame 2 of 1000000000 (")
