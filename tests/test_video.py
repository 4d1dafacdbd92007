"""Films: what comes out is what went in, but for the pixels; damage is survived and said; nothing half-made stays."""

import contextlib
import gc
import itertools
import queue
import re
import sys
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
from films import (
    BT709,
    BT2020,
    FULL,
    HLG,
    LIMITED,
    PQ,
    UNSAID,
    Colour,
    Facts,
    Recipe,
    Sound,
    cover_picture,
    facts,
    make,
    number,
    pattern,
    picture,
)

from cyclegan.errors import InputError, StylError, UsageError
from cyclegan.media.films.encoder import Encoding, create_film, create_film_of_stills
from cyclegan.media.films.video import Film, open_film
from cyclegan.media.frames import Frame
from cyclegan.media.kinds import FILM_SUFFIXES
from cyclegan.media.limits import VARIABLE, pixel_limit

# x265 gives dts of uninitialised memory to films shorter than its reorder delay: none is made with it.
QUIET = {"crf": "8", "preset": "ultrafast", "x265-params": "log-level=none:pools=none:frame-threads=1:bframes=0"}
VP9 = {"crf": "8", "deadline": "realtime", "cpu-used": "8"}
FAST = {"crf": "8", "preset": "ultrafast", "threads": "1"}
LOSSLESS = {"qp": "0", "preset": "ultrafast", "threads": "1"}
JERKY = (0, 40, 80, 200, 210, 333, 500, 501, 640, 900)  # milliseconds
MS, MPEG = Fraction(1, 1000), Fraction(1, 90000)

KINDS = {
    "cfr-24.mp4": Recipe(sounds=[Sound()]),
    "cfr-23.976.mp4": Recipe(rate=Fraction(24000, 1001)),
    "cfr-60.mov": Recipe(rate=Fraction(60)),
    "cfr-25.m4v": Recipe(rate=Fraction(25)),
    "vfr.mp4": Recipe(clock=MS, pts=JERKY, last=70, sounds=[Sound()]),
    "vfr.mkv": Recipe(clock=MS, pts=JERKY, last=70),
    "vfr-vp9.webm": Recipe(clock=MS, pts=JERKY, last=70, codec="libvpx-vp9", options=VP9),
    "rotated-90.mp4": Recipe(rotation=90),
    "rotated-180.mp4": Recipe(rotation=180),
    "rotated-270.mov": Recipe(rotation=270),
    "rotated-90.mkv": Recipe(rotation=90),
    "odd-h264.mp4": Recipe(width=65, height=47, pix_fmt="yuv444p"),
    "odd-vp9-opus.webm": Recipe(
        width=65, height=47, codec="libvpx-vp9", options=VP9, sounds=[Sound("libopus", rate=48000)]
    ),
    "sar-4-3.mp4": Recipe(sar=Fraction(4, 3)),
    "sar-4-3.mkv": Recipe(sar=Fraction(4, 3)),
    "sar-16-11.ts": Recipe(sar=Fraction(16, 11), clock=MPEG),
    "10-bit-h264.mp4": Recipe(pix_fmt="yuv420p10le"),
    "10-bit-hevc.mkv": Recipe(codec="libx265", pix_fmt="yuv420p10le", options=QUIET),
    "interlaced.mp4": Recipe(options=FAST | {"flags": "+ildct+ilme", "preset": "veryfast"}),
    "interlaced-mpeg2.ts": Recipe(
        codec="mpeg2video", rate=Fraction(25), options={"flags": "+ildct+ilme", "b": "4000000"}
    ),
    "starts-late.mp4": Recipe(clock=Fraction(1, 600), pts=range(900, 1200, 25)),
    "starts-late.mkv": Recipe(clock=MS, pts=range(1500, 1980, 40)),
    "starts-late.ts": Recipe(clock=MPEG, pts=range(126000, 169200, 3600), container={"mpegts_copyts": "1"}),
    "b-frames.mp4": Recipe(count=24, options={"crf": "8", "bf": "3", "threads": "1", "x264-params": "b-adapt=0"}),
    "b-frames-open.ts": Recipe(
        count=24, clock=MPEG, options={"crf": "8", "bf": "3", "threads": "1", "x264-params": "b-adapt=0:keyint=8"}
    ),
    "one-frame.mp4": Recipe(count=1),
    "one-frame.webm": Recipe(count=1, codec="libvpx-vp9", options=VP9),
    "mpeg4.avi": Recipe(codec="mpeg4", options={"b": "4000000"}, sounds=[Sound("pcm_s16le")]),
    "h264-aac.ts": Recipe(clock=MPEG, sounds=[Sound(language="fre")]),
    "h264-mp2.m2ts": Recipe(clock=MPEG, sounds=[Sound("mp2", rate=48000)]),
    "ffv1.mkv": Recipe(codec="ffv1", pix_fmt="yuv444p", options={}, sounds=[Sound("pcm_s16le"), Sound("flac")]),
    "everything.mov": Recipe(
        sounds=[Sound(language="eng"), Sound(language="fra", seconds=0.4)],
        subtitles=[(0.1, 0.3, "Grüße"), (0.35, 0.45, "more")],
        chapters=[(0, 0.25, "One"), (0.25, 0.5, "Two: é")],
        metadata={"artist": "Ann Author", "comment": "a secret"},
    ),
    "everything.mkv": Recipe(
        sounds=[Sound(language="eng"), Sound("libopus", rate=48000, language="fra")],
        subtitles=[(0.1, 0.3, "Grüße")],
        chapters=[(0, 0.25, "One"), (0.25, 0.5, "Two: é")],
        cover=True,
        metadata={"artist": "Ann Author"},
    ),
    "bt709-limited.mp4": Recipe(colour=Colour(LIMITED, BT709, BT709, BT709)),
    "bt601-full.mp4": Recipe(colour=Colour(FULL, 5, 5, 6)),
    "bt601-full.mkv": Recipe(colour=Colour(FULL, 5, 5, 6)),
    "bt709.webm": Recipe(colour=Colour(LIMITED, BT709, BT709, BT709), codec="libvpx-vp9", options=VP9),
    "bt2020-sdr.mp4": Recipe(colour=Colour(LIMITED, BT2020, BT2020, 14)),
    "sound-late.mp4": Recipe(sounds=[Sound(offset=0.5)]),
    "sound-early.mp4": Recipe(clock=MS, pts=range(500, 980, 40), sounds=[Sound()]),
    "sound-early.mkv": Recipe(clock=MS, pts=range(500, 980, 40), sounds=[Sound()]),
    "sound-longer.mp4": Recipe(sounds=[Sound(seconds=2)]),
    "sound-longer.mkv": Recipe(sounds=[Sound(seconds=2)]),
    "no-length.webm": Recipe(codec="libvpx-vp9", options=VP9, container={"live": "1"}),
    "fragments.mp4": Recipe(container={"movflags": "frag_keyframe+empty_moov"}),
    "cover.mp4": Recipe(cover=True, sounds=[Sound()]),
    "cover.mkv": Recipe(cover=True),
}
LOSSY = 6  # levels of 255: both films are lossy; another matrix, range or frame is far beyond


def copy(src: Path, dst: Path, change: Callable[[Frame], Frame] | None = None, **encoding: object) -> Film:
    """Write a film again, frame by frame, and return its reader for what it says."""
    options = {"encoding": Encoding(**encoding)} if encoding else {}
    with open_film(src) as film, create_film(dst, like=film, **options) as out:
        for frame in film:
            out.write(change(frame) if change else frame)
    film.notes.extend(note for note in out.notes if note not in film.notes)
    return film


@pytest.fixture(scope="module", params=KINDS)
def pair(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Facts, Facts, Recipe, Film]:
    """Return what is in a film, what is in its copy, its recipe and its reader."""
    folder, recipe = tmp_path_factory.mktemp("kind"), KINDS[request.param]
    src = make(folder / request.param, recipe)
    (folder / "out").mkdir()
    film = copy(src, folder / "out" / request.param)
    assert [path.name for path in (folder / "out").iterdir()] == [request.param]
    return facts(src), facts(folder / "out" / request.param), recipe, film


class TestKinds:
    """Each kind of film against its copy, as av alone reads both."""

    def test_the_film_is_of_its_kind(self, pair):
        # Not of video.py: the makers. Every frame at its time, in order, with its number, in the colours of the recipe.
        source, _, recipe, _ = pair
        wanted = [tick * recipe.timing for tick in recipe.ticks]
        shift = source.times[0] - wanted[0]  # the muxer of mpegts lets the earliest packet be at 0
        assert shift == 0 or source.tick == MPEG
        assert max(abs(a - b - shift) for a, b in zip(source.times, wanted, strict=True)) <= MS
        assert [number(np.rot90(p, -recipe.rotation // 90)) for p in source.pictures] == list(range(len(wanted)))
        assert (source.sar, source.rotation) == (recipe.sar, recipe.rotation)

    def test_every_frame(self, pair):
        source, result, recipe, _ = pair
        numbers = [number(np.rot90(p, -recipe.rotation // 90)) for p in result.pictures]
        assert numbers == list(range(len(source.pictures)))

    def test_every_time(self, pair):
        source, result, _, _ = pair
        late = [float(abs(a - b)) for a, b in zip(source.times, result.times, strict=True)]
        assert max(late) <= max(source.tick, result.tick)

    def test_end(self, pair):
        source, result, recipe, _ = pair
        step = max([b - a for a, b in itertools.pairwise(source.times)], default=1 / recipe.rate)
        if source.tick != MPEG:  # a transport stream says no lengths: av guesses that of the last frame, or does not
            assert abs(source.end - result.end) <= 2 * max(source.tick, result.tick)
        assert source.seconds is None or abs(source.seconds - result.seconds) <= step

    def test_shape(self, pair):
        source, result, _, film = pair
        assert result.pictures[0].shape == source.pictures[0].shape
        kept = (result.size, result.rotation) == (source.size, source.rotation)
        upright = result.rotation == 0 and any("turned" in note or "upright" in note for note in film.notes)
        assert kept or upright

    def test_aspect(self, pair):
        source, result, _, _ = pair
        turned = source.rotation % 180 != result.rotation % 180
        assert result.sar == (1 / source.sar if turned else source.sar)

    def test_colour_tags(self, pair):
        source, result, _, _ = pair
        assert said(result.colour) == said(source.colour)

    def test_pixels(self, pair):
        source, result, _, _ = pair
        errors = [np.abs(a - b).mean() for a, b in zip(source.pictures, result.pictures, strict=True)]
        assert max(errors) < LOSSY

    @pytest.mark.parametrize("kind", ["audio", "subtitle", "cover", "attachment"])
    def test_other_streams(self, pair, kind):
        source, result, _, _ = pair
        assert [(t.codec, t.language, t.disposition) for t in result.of(kind)] == [
            (t.codec, t.language, t.disposition) for t in source.of(kind)
        ]
        assert [t.packets for t in result.of(kind)] == [t.packets for t in source.of(kind)]  # bytes and times

    def test_chapters(self, pair):
        source, result, recipe, _ = pair
        assert result.chapters == source.chapters
        assert [title for _, _, title in result.chapters] == [title for _, _, title in recipe.chapters]

    def test_what_the_reader_says(self, pair):
        source, _, recipe, film = pair
        assert film.moving
        assert film.lost is None
        if film.path.suffix in (".mp4", ".m4v", ".mov", ".avi"):  # these count their frames, the others have a rate
            assert film.count == len(source.times) or "movflags" in recipe.container
        lengths = [source.end - source.times[0], source.seconds or 0]  # of the pictures, or of all that is in the file
        assert film.seconds is None or min(abs(film.seconds - float(length)) for length in lengths) < 0.1
        assert film.seconds is not None or source.seconds is None
        for note in film.notes:
            assert "\n" not in note
        said = " ".join(film.notes).lower()
        assert ("interlaced" in said) == source.interlaced
        assert ("4:4:4" in said or "yuv444p" in said) == (recipe.width == 65 and recipe.codec == "libx264")


def said(colour: Colour) -> Colour:
    """Return the tags as a player takes them: a range that is not said is the limited one."""
    return Colour(colour.range or LIMITED, colour.matrix, colour.primaries, colour.transfer)


# --- pixels, both directions -------------------------------------------------------------------------------------

SPACES = {
    "bt601": Colour(LIMITED, 6, 6, 6),
    "bt709": Colour(LIMITED, BT709, BT709, BT709),
    "full-601": Colour(FULL, 5, 5, 6),
    "full-709": Colour(FULL, BT709, BT709, BT709),
    "bt2020": Colour(LIMITED, BT2020, BT2020, 14),
    "unsaid": Colour(),
}


def smooth(width: int = 64, height: int = 48) -> np.ndarray:
    """Return a picture of many colours that change by less than a level a pixel: what 4:2:0 holds."""
    y, x = np.mgrid[:height, :width] / [[[height]], [[width]]]
    return np.stack([90 + 60 * x, 110 + 40 * y, 170 - 60 * x * y], axis=-1).round().astype(np.uint8)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("pix_fmt", ["yuv444p", "yuv420p", "yuv420p10le"])
def test_reads_the_colours_of_the_film(tmp_path, space, pix_fmt):
    recipe = Recipe(count=1, pix_fmt=pix_fmt, options=LOSSLESS, colour=SPACES[space])
    with open_film(make(tmp_path / "a.mp4", recipe, pictures=[smooth()])) as film:
        (frame,) = film
    assert frame.pixels.dtype == np.uint8
    difference = frame.pixels - smooth().astype(float)
    assert np.abs(difference).mean() < 1.5
    assert np.abs(difference.mean(axis=(0, 1))).max() < 0.8  # no cast: rounded, not cut off


@pytest.mark.parametrize("space", SPACES)
def test_writes_the_colours_of_the_film(tmp_path, space):
    # The pixels given, not those of the source: read back by the formulas of H.273, not by swscale.
    src = make(tmp_path / "a.mp4", Recipe(count=2, colour=SPACES[space]))
    copy(src, tmp_path / "b.mp4", lambda frame: Frame(smooth(), None, frame.pts, frame.duration), crf=0)
    # Into full range swscale cuts chroma off, by half a step on average (av alone): up to 0.9 levels of blue.
    cast = 1.3 if SPACES[space].range == FULL else 0.8
    for shown in facts(tmp_path / "b.mp4").pictures:
        difference = shown - smooth()
        assert np.abs(difference).mean() < 1.5
        assert np.abs(difference.mean(axis=(0, 1))).max() < cast


@pytest.mark.parametrize(
    "pix_fmt",
    [
        *("gray", "gray10le", "gray16le", "ya8", "yuv422p", "yuv422p10le", "yuv420p12le", "yuv444p12le", "yuv410p"),
        *("yuv440p", "yuva420p", "gbrp10le", "gbrp16le", "bgr0", "bgra", "rgb48le", "rgba64le"),
    ],
)
def test_reads_every_layout(tmp_path, pix_fmt):
    shown = smooth().astype(float)
    if pix_fmt.startswith(("gray", "ya")):
        shown = np.repeat((shown @ [0.299, 0.587, 0.114])[..., None], 3, axis=2)
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        out.mux(stream.encode(av.VideoFrame.from_ndarray(smooth(), format="rgb24").reformat(format=pix_fmt)))
        out.mux(stream.encode(None))
    with open_film(path) as film:
        (frame,) = film
    assert np.abs(frame.pixels - shown).mean() < 1
    if frame.alpha is not None:
        assert frame.alpha.min() == 255
    copy(path, tmp_path / "b.mkv")
    assert np.abs(facts(tmp_path / "b.mkv").pictures[0] - shown).mean() < 3


def test_ten_bits_are_rounded(tmp_path):
    # Y' 64, 65 … 940 of 10 bits, limited range, lossless: grey level 255 (Y' - 64) / 876.
    ramp = np.arange(64, 941)
    frame = av.VideoFrame(877, 2, "yuv444p10le")
    for plane, level in zip(frame.planes, (ramp, 512, 512), strict=True):
        rows = np.zeros((2, plane.line_size // 2), np.uint16)
        rows[:, :877] = level
        plane.update(rows)
    path = tmp_path / "ramp.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 877, 2, "yuv444p10le"
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open_film(path) as film:
        (shown,) = film
    exact = 255 * (ramp - 64) / 876
    assert np.abs(shown.pixels[0].astype(float) - exact[:, None]).max() <= 1.2
    assert np.abs((shown.pixels[0].astype(float) - exact[:, None]).mean()) < 0.15  # cut off, it would be -0.4


def test_rotation_is_the_way_players_turn(tmp_path):
    # QuickTime: x' = ax + cy, y' = bx + dy. A telephone held upright writes b = 1, c = -1: what points right in the
    # coded picture points down when shown, a quarter turn clockwise.
    one = 1 << 16
    clockwise = [0, one, 0, -one, 0, 0, 0, 0, 1 << 30]
    path = tmp_path / "phone.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24, options=LOSSLESS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.set_display_matrix(clockwise)
        frame = av.VideoFrame.from_ndarray(pattern(5), format="rgb24").reformat(format="yuv444p")
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open_film(path) as film:
        (frame,) = film
    assert frame.pixels.shape == (64, 48, 3)
    assert np.abs(frame.pixels - np.rot90(pattern(5), k=-1).astype(float)).mean() < 2
    copy(path, tmp_path / "copy.mp4")
    data = [p.read_bytes() for p in (path, tmp_path / "copy.mp4")]
    heads = [bytes(d[d.index(b"tkhd") + 44 :][:36]) for d in data]  # the matrix in the track's header
    assert heads[0] == heads[1]


def test_mirrored_films_stay_mirrored(tmp_path):
    path = tmp_path / "selfie.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=24, options=LOSSLESS)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        stream.set_display_rotation(0, hflip=True)
        frame = av.VideoFrame.from_ndarray(pattern(5), format="rgb24").reformat(format="yuv444p")
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    with open_film(path) as film:
        (frame,) = film
    assert np.abs(frame.pixels - pattern(5)[:, ::-1].astype(float)).mean() < 2
    copy(path, tmp_path / "copy.mp4")
    with open_film(tmp_path / "copy.mp4") as film:
        (again,) = film
    assert np.abs(again.pixels - frame.pixels.astype(float)).mean() < LOSSY


def test_writes_what_it_is_given(tmp_path):
    src = make(tmp_path / "a.mp4", Recipe(rotation=90))
    inverted = tmp_path / "b.mp4"
    copy(src, inverted, lambda frame: Frame(255 - frame.pixels, None, frame.pts, frame.duration))
    for before, after in zip(facts(src).pictures, facts(inverted).pictures, strict=True):
        assert np.abs(255 - before - after).mean() < LOSSY


def test_frames_come_upright_with_their_times(tmp_path):
    src = make(tmp_path / "a.mp4", Recipe(clock=MS, pts=JERKY, last=70, rotation=270))
    with open_film(src) as film:
        frames = list(film)
    clock = Fraction(JERKY[-1], 1000) / frames[-1].pts  # whatever the ticks: they are one clock's
    assert [frame.pts * clock for frame in frames] == [Fraction(pts, 1000) for pts in JERKY]
    steps = [b - a for a, b in zip(JERKY, (*JERKY[1:], 970), strict=True)]
    assert [frame.duration * clock for frame in frames] == [Fraction(step, 1000) for step in steps]
    assert {frame.pixels.shape for frame in frames} == {(64, 48, 3)}
    assert [number(np.rot90(frame.pixels, -3)) for frame in frames] == list(range(10))


# --- high dynamic range ------------------------------------------------------------------------------------------


def pq(nits: np.ndarray) -> np.ndarray:
    """Return the PQ signal 0..1 of a luminance (SMPTE ST 2084)."""
    y = (nits / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * y) / (1 + 2392 / 128 * y)) ** (2523 / 32)


def hlg(scene: np.ndarray) -> np.ndarray:
    """Return the HLG signal 0..1 of scene light 0..1 (BT.2100)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def bars(levels: list[tuple[float, float, float]]) -> np.ndarray:
    return np.repeat(np.array(levels)[None], 16, axis=1).reshape(1, -1, 3).repeat(48, axis=0)


HDR = Recipe(count=2, width=96, codec="libx265", pix_fmt="yuv420p10le", options=QUIET)


def tone_mapped(tmp_path: Path, signal: np.ndarray, transfer: int) -> tuple[list[np.ndarray], Facts, str]:
    """Return the colour of each bar as read, what the copy holds, and what was said."""
    recipe = Recipe(**{**vars(HDR), "colour": Colour(LIMITED, BT2020, BT2020, transfer)})
    src = make(tmp_path / "hdr.mp4", recipe, pictures=[signal, signal])
    with open_film(src) as film:
        frame = next(iter(film))
    film = copy(src, tmp_path / "sdr.mp4")
    middle = [frame.pixels[24, 16 * bar + 8].astype(float) for bar in range(6)]
    return middle, facts(tmp_path / "sdr.mp4"), " ".join(film.notes)


def test_pq_becomes_bt709(tmp_path):
    nits = [0, 0.18 * 203, 203, 1000]  # black, mid grey, the white of BT.2408, a highlight
    red = (0.6274 * 203, 0.0691 * 203, 0.0164 * 203)  # BT.709's red at 203 nits, in BT.2020 primaries (BT.2087)
    light = [(n, n, n) for n in nits] + [red, (0.0, 203.0, 0.0)]
    (black, grey, white, bright, warm, green), result, notes = tone_mapped(tmp_path, pq(bars(light)), PQ)
    assert black.max() <= 3
    assert 90 <= grey.mean() <= 150  # 0.18 is 118 in sRGB, 125 by a gamma of 2.4; a soft knee may lower it
    assert 215 <= white.mean() <= 255
    assert bright.mean() >= white.mean()
    for neutral in (grey, white, bright):
        assert np.ptp(neutral) <= 4
    assert warm[0] > 180
    assert warm[1:].max() < 60  # the primaries are converted: BT.709's red is red, not orange
    assert green[1] > 180  # out of BT.709: clipped, still green
    assert green[[0, 2]].max() < 100
    assert "hdr" in notes.lower()
    assert (result.colour.matrix, result.colour.primaries, result.colour.transfer) == (BT709, BT709, BT709)
    assert np.abs(result.pictures[0][24, 40] - white).max() < 8


def test_hlg_becomes_bt709(tmp_path):
    # Reference white is a signal of 75 % (BT.2408), mid grey 38 %.
    light = [(0.0,) * 3, (0.38,) * 3, (0.75,) * 3, (1.0,) * 3, (0.75, 0.0, 0.0), (0.5,) * 3]
    (black, grey, white, bright, red, _), result, notes = tone_mapped(tmp_path, bars(light), HLG)
    assert black.max() <= 3
    assert 80 <= grey.mean() <= 160
    assert 200 <= white.mean() <= 255
    assert bright.mean() >= white.mean()
    assert red[0] > red[1] + 80
    assert "hdr" in notes.lower()
    assert result.colour.transfer == BT709


# --- threads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader_aside", [True, False])
@pytest.mark.parametrize("kind", ["everything.mkv", "everything.mov", "vfr.mp4"])
def test_reader_and_writer_in_two_threads(tmp_path, kind, reader_aside):
    src = make(tmp_path / kind, KINDS[kind])
    frames: queue.Queue[Frame | None] = queue.Queue(maxsize=2)
    failures = []

    def read(film: Film) -> None:
        for frame in film:
            frames.put(frame)
        frames.put(None)

    def write(out: object) -> None:
        while (frame := frames.get()) is not None:
            out.write(frame)

    def safely(work: Callable[[object], None], thing: object) -> None:
        try:
            work(thing)
        except BaseException as error:  # shown by the assertion
            failures.append(error)
            frames.put(None)

    dst = tmp_path / f"threads-{kind}"
    with open_film(src) as film, create_film(dst, like=film) as out:
        aside, here = ((read, film), (write, out)) if reader_aside else ((write, out), (read, film))
        thread = threading.Thread(target=safely, args=aside)
        thread.start()
        safely(*here)
        thread.join(timeout=30)
        assert not thread.is_alive()
    assert not failures
    copy(src, tmp_path / f"one-{kind}")
    threaded, plain = facts(dst), facts(tmp_path / f"one-{kind}")
    assert threaded.times == plain.times
    assert [number(picture) for picture in threaded.pictures] == [number(picture) for picture in plain.pictures]
    # Not bit for bit: libx264 with mbtree codes the very same 64 × 48 pixels in several ways (av alone shows it).
    assert max(np.abs(a - b).mean() for a, b in zip(threaded.pictures, plain.pictures, strict=True)) < 2
    for kind_of_track in ("audio", "subtitle", "cover"):
        assert threaded.of(kind_of_track) == plain.of(kind_of_track)


# --- containers, codecs, names -----------------------------------------------------------------------------------


def test_suffixes():
    assert {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts"} == FILM_SUFFIXES


@pytest.mark.parametrize("suffix", sorted(FILM_SUFFIXES))
def test_into_every_container(tmp_path, suffix):
    src = make(tmp_path / "a.mp4", Recipe(rotation=90))
    film = copy(src, tmp_path / f"b{suffix}")
    source, result = facts(src), facts(tmp_path / f"b{suffix}")
    assert [number(np.rot90(p, -1)) for p in result.pictures] == list(range(12))
    shift = result.times[0] - source.times[0]
    assert shift == 0
    late = [abs(a - b) for a, b in zip(source.times, result.times, strict=True)]
    assert max(late) <= max(source.tick, result.tick)
    assert result.rotation == 90 or any("turned" in note or "upright" in note for note in film.notes)


@pytest.mark.parametrize("suffix", sorted(FILM_SUFFIXES))
@pytest.mark.parametrize("kind", ["bt709-limited.mp4", "bt601-full.mp4", "bt2020-sdr.mp4"])
def test_colours_are_shown_right_in_every_container(tmp_path, suffix, kind):
    # avi cannot say range and matrix: there the pixels have to be what a player takes them for.
    src = make(tmp_path / kind, KINDS[kind])
    copy(src, tmp_path / f"b{suffix}")
    before, after = facts(src).pictures, facts(tmp_path / f"b{suffix}").pictures
    assert max(np.abs(a - b).mean() for a, b in zip(before, after, strict=True)) < 3


def test_shape_of_pixels_of_a_film_turned_upright(tmp_path):
    src = make(tmp_path / "a.mp4", Recipe(rotation=90, sar=Fraction(4, 3), clock=MPEG))
    copy(src, tmp_path / "b.ts")
    result = facts(tmp_path / "b.ts")
    assert (result.size, result.sar) == ((48, 64), Fraction(3, 4))


@pytest.mark.parametrize("suffix", [".mkv", ".webm"])
def test_shape_of_pixels_is_kept_or_missed(tmp_path, suffix):
    # PyAV sets no aspect of a stream, only that of the codec, and VP9 has none (av alone): so it must be said.
    src = make(tmp_path / "a.mp4", Recipe(sar=Fraction(4, 3)))
    film = copy(src, tmp_path / f"b{suffix}", codec="vp9")
    assert facts(tmp_path / f"b{suffix}").sar == Fraction(4, 3) or any("4/3" in note for note in film.notes)


@pytest.mark.parametrize(
    ("codec", "suffix", "name"),
    [
        ("h264", ".mp4", "h264"),
        ("h265", ".mp4", "hevc"),
        ("hevc", ".mkv", "hevc"),
        ("vp9", ".webm", "vp9"),
        ("vp9", ".mp4", "vp9"),
        ("av1", ".mkv", "av1"),
        ("prores", ".mov", "prores"),
        ("ffv1", ".mkv", "ffv1"),
        ("mpeg4", ".avi", "mpeg4"),
        ("libx264", ".mkv", "h264"),
    ],
)
def test_codecs(tmp_path, codec, suffix, name):
    src = make(tmp_path / "a.mp4", Recipe(count=6))
    copy(src, tmp_path / f"b{suffix}", codec=codec)
    result = facts(tmp_path / f"b{suffix}")
    assert {"libdav1d": "av1", "libvpx-vp9": "vp9"}.get(result.codec, result.codec) == name
    assert [number(picture) for picture in result.pictures] == list(range(6))
    assert result.times == pytest.approx([float(t) for t in facts(src).times], abs=0.001)


def test_ffv1_loses_nothing(tmp_path):
    src = make(tmp_path / "a.mp4", Recipe(count=2))
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    copy(src, tmp_path / "b.mkv", lambda frame: Frame(noise, None, frame.pts, frame.duration), codec="ffv1")
    with open_film(tmp_path / "b.mkv") as film:
        assert all(np.array_equal(frame.pixels, noise) for frame in film)


def passing(count: int, *, width: int = 304, height: int = 96, side: int = 40) -> Iterator[Frame]:
    """Draw a textured square that passes before a textured ground: of this x264 made other bytes each time."""
    chance = np.random.default_rng(0)
    ground, thing = chance.normal(128, 20, (height, width, 3)), chance.integers(0, 255, (side, side, 3))
    for place in range(count):
        scene, left, top = ground.copy(), 5 * place % (width - side), 2 * place % (height - side)
        scene[top : top + side, left : left + side] = thing
        yield Frame((scene * (0.9 + 0.1 * np.cos(place / 5))).clip(0, 255).astype(np.uint8), pts=place, duration=1)


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("h264", ".mp4"), ("h264", ".ts"), ("h264", ".mkv"), ("h265", ".mp4"), ("vp9", ".webm"), ("ffv1", ".mkv")],
)
def test_the_same_frames_make_the_same_bytes(tmp_path, codec, suffix):
    made, path = set[bytes](), tmp_path / f"a{suffix}"
    for seed in range(4):
        chance = np.random.default_rng(seed)  # what memory holds that nobody has written to yet
        del [chance.integers(0, 255, 1000 + 977 * seed * i, np.uint8) for i in range(200)][:]
        encoding = Encoding(codec=codec)
        with create_film_of_stills(path, width=304, height=96, rate=Fraction(24), encoding=encoding) as film:
            for frame in passing(24):
                film.write(frame)
        made.add(path.read_bytes())
    assert len(made) == 1


@pytest.mark.parametrize("codec", ["h264", "h265", "vp9", "av1", "mpeg4"])
def test_quality_is_heard(tmp_path, codec):
    src = make(tmp_path / "a.mkv", Recipe(count=4))
    noise = np.random.default_rng(0).integers(0, 256, (4, 48, 64, 3), np.uint8)
    sizes = []
    for crf in (10, 30):
        given = iter(noise)
        copy(src, tmp_path / "b.mkv", lambda f: Frame(next(given), None, f.pts, f.duration), codec=codec, crf=crf)  # noqa: B023
        sizes.append((tmp_path / "b.mkv").stat().st_size)
    assert sizes[1] < 0.8 * sizes[0]


@pytest.mark.parametrize(
    "name", ["a:b.mp4", "50%d.mp4", "-film.mp4", "🦓 zebra.mp4", "http:x.mp4", "a|b.mp4", "pipe:1.mp4"]
)
def test_names(tmp_path, monkeypatch, name):
    if sys.platform == "win32" and set(name) & set(':|"<>?*'):
        pytest.skip("Windows has no such names")
    monkeypatch.chdir(tmp_path)
    make(tmp_path / "plain.mp4", Recipe(count=3)).rename(tmp_path / name)
    Path("out").mkdir()
    copy(Path(name), Path("out") / name)
    copy(Path("out") / name, Path(f"-{name}"))
    assert len(facts(tmp_path / f"-{name}").times) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, f"-{name}", "out"])


def test_unknown_codec(tmp_path):
    src = make(tmp_path / "a.mp4", Recipe(count=1))
    with (
        open_film(src) as film,
        pytest.raises(UsageError) as error,
        create_film(tmp_path / "b.mp4", like=film, encoding=Encoding(codec="h265x")),
    ):
        pass
    assert "h265x" in error.value.what
    assert "h265" in error.value.hint
    assert not (tmp_path / "b.mp4").exists()


@pytest.mark.parametrize("codec", ["aac", "gif", "mov_text"])
def test_codecs_that_are_not_for_this(tmp_path, codec):
    src = make(tmp_path / "a.mp4", Recipe(count=1))
    with (
        open_film(src) as film,
        pytest.raises(StylError),
        create_film(tmp_path / "b.mp4", like=film, encoding=Encoding(codec=codec)),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize("codec", ["h264_nvenc", "hevc_nvenc", "h264_qsv"])
def test_hardware_that_is_not_there(tmp_path, codec):
    if codec not in av.codecs_available or opens(codec):
        pytest.skip("this machine has it, or this av does not know it")
    src = make(tmp_path / "a.mp4", Recipe())
    film = copy(src, tmp_path / "b.mp4", codec=codec)
    result = facts(tmp_path / "b.mp4")
    assert result.codec == codec.split("_")[0]
    assert [number(picture) for picture in result.pictures] == list(range(12))
    assert any(codec in note for note in film.notes)


def opens(codec: str) -> bool:
    """Tell whether av alone can open an encoder here."""
    context = av.CodecContext.create(codec, "w")
    context.width, context.height, context.pix_fmt, context.time_base = 256, 256, "nv12", Fraction(1, 24)
    try:
        context.open()
    except av.FFmpegError:
        return False
    return True


# --- refused before the first frame ------------------------------------------------------------------------------


def one_line(error: StylError, *words: str) -> None:
    assert "\n" not in error.what
    assert "\n" not in error.hint
    assert "Errno" not in error.what
    for word in words:
        assert word in error.what


def refused(path: Path, *words: str) -> InputError:
    """Open and read a film that must be refused, and return the refusal."""
    with pytest.raises(InputError) as error, open_film(path) as film:
        list(film)
    one_line(error.value, path.name, *words)
    return error.value


@pytest.mark.parametrize(
    "data", [b"", b"0", b"This is not a film.\n" * 50, bytes(5000), b"\x00\x00\x00\x18ftypisom" * 9]
)
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm", ".ts", ".avi"])
def test_what_is_no_film(tmp_path, data, suffix):
    path = tmp_path / f"bad{suffix}"
    path.write_bytes(data)
    refused(path)


def test_missing_and_folders(tmp_path):
    refused(tmp_path / "nothing.mp4")
    (tmp_path / "folder.mp4").mkdir()
    refused(tmp_path / "folder.mp4")


def test_no_index(tmp_path):
    data = make(tmp_path / "a.mp4", Recipe(count=24)).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: data.index(b"moov") - 4])
    refused(tmp_path / "cut.mp4")


PLAYLISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{other}\n#EXT-X-ENDLIST\n",
    "net": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile '{other}'\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 32\n",
    "dash": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="1" mimeType="video/mp4"><BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period>'
    "</MPD>",
}


@pytest.mark.parametrize("kind", PLAYLISTS)
@pytest.mark.parametrize("name", ["x.m3u8", "x.mp4", "x.ts"])
def test_playlists_in_disguise(tmp_path, kind, name):
    make(tmp_path / "other.ts", Recipe(clock=MPEG))
    (tmp_path / name).write_text(PLAYLISTS[kind].format(other="other.ts"))
    refused(tmp_path / name)


def test_only_sound_or_a_cover(tmp_path):
    for name, cover in (("sound.mp4", False), ("cover.mp4", True)):
        with av.open(str(tmp_path / name), "w") as out:
            sound = out.add_stream("aac", rate=16000)
            sound.codec_context.layout = "mono"
            picture = out.add_mux_stream("png", width=16, height=16) if cover else None
            if picture is not None:
                picture.disposition = av.stream.Disposition.attached_pic
            out.start_encoding()
            if picture is not None:
                packet = av.Packet(cover_picture())
                packet.stream, packet.pts, packet.dts, packet.time_base = picture, 0, 0, MPEG
                out.mux(packet)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, 0
            out.mux(sound.encode(frame))
            out.mux(sound.encode(None))
        assert "\n" not in refused(tmp_path / name).hint


def test_bombs_are_refused_from_the_header(tmp_path):
    side = int(pixel_limit() ** 0.5) + 1000
    path = tmp_path / "bomb.mkv"
    with av.open(str(path), "w") as out:
        stream = out.add_mux_stream("ffv1", width=side, height=side)
        stream.time_base = MS
        out.start_encoding()
        packet = av.Packet(bytes(64))
        packet.stream, packet.pts, packet.dts, packet.time_base, packet.is_keyframe = stream, 0, 0, MS, True
        out.mux(packet)
    with pytest.raises(InputError) as error:
        open_film(path)
    one_line(error.value, "bomb.mkv", "pixels, more than the 200 megapixels that are read")
    assert VARIABLE in error.value.hint


@pytest.mark.parametrize(
    ("source", "sound", "target"),
    [
        ("a.mkv", Sound("pcm_u8"), "b.mp4"),  # mp4 of today holds pcm of 16 bits, not of 8
        ("a.mp4", Sound("aac"), "b.webm"),
        ("a.mkv", Sound("libopus", rate=48000), "b.avi"),
    ],
)
def test_sound_the_container_cannot_hold(tmp_path, source, sound, target):
    src = make(tmp_path / source, Recipe(sounds=[sound]))
    with open_film(src) as film, pytest.raises(StylError) as error, create_film(tmp_path / target, like=film):
        pytest.fail("refused too late")
    one_line(error.value)
    assert ".mkv" in error.value.hint
    assert [path.name for path in tmp_path.iterdir()] == [source]


def test_subtitles_the_container_cannot_hold(tmp_path):
    src = make(tmp_path / "a.mkv", Recipe(subtitles=[(0.1, 0.3, "hello")]))
    with open_film(src) as film, pytest.raises(StylError) as error, create_film(tmp_path / "b.mp4", like=film):
        pytest.fail("refused too late")
    one_line(error.value)
    assert ".mkv" in error.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_pcm_in_mp4(tmp_path):
    # Since FFmpeg 6.1 the mp4 muxer holds pcm (ISO 23003-5), so this need not be refused; it must not be lost.
    src = make(tmp_path / "a.mkv", Recipe(sounds=[Sound("pcm_s16le")]))
    try:
        copy(src, tmp_path / "b.mp4")
    except StylError as error:
        one_line(error)
        assert not (tmp_path / "b.mp4").exists()
    else:
        (before,), (after,) = facts(src).of("audio"), facts(tmp_path / "b.mp4").of("audio")
        assert b"".join(data for _, data in after.packets) == b"".join(data for _, data in before.packets)


# --- damage ------------------------------------------------------------------------------------------------------

TIMES = re.compile(r"\d+\.\d+ of \d+\.\d+ s")


def rising(path: Path) -> list[int]:
    """Check that the times of a film rise, and return the numbers of its frames."""
    found = facts(path)
    assert all(a < b for a, b in itertools.pairwise(found.times))
    return [number(picture) for picture in found.pictures]


@pytest.mark.parametrize("kind", ["cut.mkv", "cut.webm", "cut.avi", "fragments.mp4"])
def test_cut_short(tmp_path, kind):
    codec = {"codec": "libvpx-vp9", "options": VP9} if kind == "cut.webm" else {}
    codec = {"codec": "mpeg4", "options": {"b": "400000"}} if kind == "cut.avi" else codec
    fragments = {"container": {"movflags": "frag_keyframe+empty_moov"}} if kind == "fragments.mp4" else {}
    if fragments:
        codec = {"options": FAST | {"g": "6"}}
    data = make(tmp_path / f"whole{kind[-5:]}", Recipe(count=48, **codec, **fragments)).read_bytes()
    path = tmp_path / kind
    path.write_bytes(data[: len(data) * 6 // 10])
    film = copy(path, tmp_path / f"out-{kind}")
    numbers = rising(tmp_path / f"out-{kind}")
    assert 15 < len(numbers) < 40
    assert numbers[:-1] == list(range(len(numbers) - 1))  # the torn last one may be a guess
    if kind != "fragments.mp4":  # fragments without an index say nowhere how long the film is
        assert film.lost is not None
        assert TIMES.search(film.lost)
        shown, whole = (float(part) for part in TIMES.search(film.lost)[0].removesuffix(" s").split(" of "))
        assert shown == pytest.approx(len(numbers) / 24, abs=0.1)
        with av.open(str(path)) as alone:  # avi without its index: av itself takes the length from the size of the file
            assert whole == pytest.approx(alone.duration / 1e6 if kind == "cut.avi" else 2.0, abs=0.1)
        with open_film(path, strict=True) as strict, pytest.raises(InputError) as error:
            list(strict)
        one_line(error.value, kind)


def test_cut_short_ts(tmp_path):
    # A transport stream has no declared length: av alone estimates it from the last packets. What can be known: the
    # last packet is torn.
    data = make(tmp_path / "whole.ts", Recipe(count=48, clock=MPEG, sounds=[Sound(seconds=2)])).read_bytes()
    path = tmp_path / "cut.ts"
    path.write_bytes(data[: len(data) * 6 // 10 // 188 * 188 + 100])
    film = copy(path, tmp_path / "out.ts")
    numbers = rising(tmp_path / "out.ts")
    assert 15 < len(numbers) < 40
    assert numbers[:-1] == list(range(len(numbers) - 1))
    assert film.lost is not None


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("kind", ["a.mp4", "a.mkv", "a.ts", "a.webm", "a.avi"])
def test_bytes_flipped_in_the_middle(tmp_path, kind, seed):
    codec = {".webm": ("libvpx-vp9", VP9), ".avi": ("mpeg4", {"b": "400000"})}.get(Path(kind).suffix, ("libx264", FAST))
    clock = {"clock": MPEG} if kind == "a.ts" else {}
    src = make(tmp_path / kind, Recipe(count=48, codec=codec[0], options=codec[1] | {"g": "12"}, **clock))
    data = bytearray(src.read_bytes())
    random = np.random.default_rng(seed)
    for place in random.integers(len(data) * 3 // 10, len(data) * 6 // 10, 40):
        data[place] ^= int(random.integers(1, 256))
    (tmp_path / f"bad{kind}").write_bytes(data)
    film = copy(tmp_path / f"bad{kind}", tmp_path / f"out{kind}")
    times = facts(tmp_path / f"out{kind}").times
    assert all(a < b for a, b in itertools.pairwise(times))
    assert len(times) >= 12
    # Behind a broken cluster FFmpeg 9 (av 19) skips to the next key frame itself, and nothing tells of what it skipped.
    hidden = kind == "a.mkv" and int(av.__version__.split(".")[0]) >= 19
    assert len(times) == 48 or film.lost or hidden
    if film.lost:
        assert "\n" not in film.lost
        with open_film(tmp_path / f"bad{kind}", strict=True) as strict, pytest.raises(InputError) as error:
            list(strict)
        one_line(error.value, f"bad{kind}")


@pytest.mark.parametrize(
    "kind",
    [
        *("everything.mov", "everything.mkv", "odd-vp9-opus.webm", "mpeg4.avi", "h264-aac.ts", "b-frames.mp4"),
        *("10-bit-hevc.mkv", "ffv1.mkv", "cover.mp4"),
    ],
)
def test_any_damage_ends_in_a_film_or_in_one_line(tmp_path, kind):
    whole = make(tmp_path / kind, KINDS[kind]).read_bytes()
    bad, out = tmp_path / f"bad-{kind}", tmp_path / "out" / kind
    out.parent.mkdir()
    for seed in range(15):
        bad.write_bytes(mutated(whole, np.random.default_rng(seed)))
        try:
            copy(bad, out)
        except InputError as error:
            one_line(error, kind)
            assert list(out.parent.iterdir()) == []
        else:
            with av.open(str(out)) as film:
                times = [frame.pts for frame in film.decode(film.streams.best("video"))]
            assert times == sorted(set(times))
            out.unlink()


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Return a film with bytes changed, in the header or anywhere, with a piece cut out, or another put in."""
    changed, kind = bytearray(data), random.integers(4)
    start, length = int(random.integers(len(data))), int(random.integers(1, 400))
    if kind == 0:
        del changed[start : start + length]
    elif kind == 1:
        changed[start:start] = random.bytes(length)
    else:
        for place in random.integers(0, min(len(data), 1200) if kind == 2 else len(data), length // 10 + 1):
            changed[place] = int(random.integers(256))
    return bytes(changed)


def test_a_damaged_length_is_no_length(tmp_path):
    # Of 48 frames: for shorter ones av counts them itself and nobody looks at what Matroska says.
    data = make(tmp_path / "a.mkv", Recipe(count=48)).read_bytes()
    place = data.index(b"00:00:02.00")
    for text in (b"00:00:00.xx", b"xy:00:02.00", b"99:99:00inf", b"00:00:0x.00"):
        (tmp_path / "b.mkv").write_bytes(data[:place] + text[:11] + data[place + 11 :])
        copy(tmp_path / "b.mkv", tmp_path / "c.mkv")
        assert len(facts(tmp_path / "c.mkv").times) == 48


def test_damaged_sound_does_not_stop_the_film(tmp_path):
    # Every second packet of aac without its header, which the muxer of mpegts refuses.
    src = make(tmp_path / "a.ts", Recipe(clock=MPEG, sounds=[Sound(seconds=1)]))
    data = bytearray(src.read_bytes())
    for number_of_packet in range(0, len(data), 188):
        packet = data[number_of_packet : number_of_packet + 188]
        at = packet.find(b"\xff\xf1")
        if at > 0 and number_of_packet % 376:
            data[number_of_packet + at] = 0
    (tmp_path / "bad.ts").write_bytes(data)
    copy(tmp_path / "bad.ts", tmp_path / "out.ts")
    assert rising(tmp_path / "out.ts") == list(range(12))


def test_packets_that_are_no_frames(tmp_path):
    # Three packets replaced by zeros, which no decoder takes: a hole of three frames, the rest at its own time.
    src = make(
        tmp_path / "a.mkv",
        Recipe(count=24, codec="mjpeg", pix_fmt="yuvj420p", options={}, clock=MS, pts=range(0, 960, 40)),
    )
    dst = tmp_path / "hole.mkv"
    with av.open(str(src)) as film, av.open(str(dst), "w") as out:
        stream = out.add_stream_from_template(film.streams.video[0])
        for place, packet in enumerate(p for p in film.demux() if p.size):
            hole = av.Packet(bytes(200)) if place in (10, 11, 12) else packet
            hole.pts, hole.dts, hole.time_base, hole.duration = packet.pts, packet.dts, packet.time_base, 40
            hole.stream, hole.is_keyframe = stream, True
            out.mux(hole)
    film = copy(dst, tmp_path / "out.mkv")
    result = facts(tmp_path / "out.mkv")
    assert [number(picture) for picture in result.pictures] == [*range(10), *range(13, 24)]
    assert [int(time * 25) for time in result.times] == [*range(10), *range(13, 24)]
    assert "3" in film.lost
    assert "0.4" in film.lost
    with open_film(dst, strict=True) as strict, pytest.raises(InputError):
        list(strict)


def test_size_changes_on_the_way(tmp_path):
    recipe = Recipe(clock=MPEG, pts=range(0, 43200, 3600), container={"mpegts_copyts": "1"})
    first = make(tmp_path / "1.ts", recipe)
    later = Recipe(**{**vars(recipe), "width": 96, "height": 80, "pts": range(43200, 86400, 3600)})
    path = tmp_path / "both.ts"
    path.write_bytes(first.read_bytes() + make(tmp_path / "2.ts", later).read_bytes())
    try:
        film = copy(path, tmp_path / "out.ts")
    except InputError as error:
        one_line(error, "both.ts")
        assert not (tmp_path / "out.ts").exists()
        return
    result = facts(tmp_path / "out.ts")
    assert {picture.shape for picture in result.pictures} == {(48, 64, 3)}
    assert [number(picture) for picture in result.pictures] == [*range(12), *range(12)]
    assert any("scaled" in note for note in film.notes)


def test_times_that_go_back(tmp_path):
    # Two films one behind the other, each beginning at 0: the second keeps its rhythm, after the first.
    one = make(tmp_path / "1.ts", Recipe(clock=MPEG)).read_bytes()
    (tmp_path / "both.ts").write_bytes(one + one)
    copy(tmp_path / "both.ts", tmp_path / "out.ts")
    assert rising(tmp_path / "out.ts") == [*range(12), *range(12)]


# --- nothing half-made stays -------------------------------------------------------------------------------------


def failing(after: int, error: type[BaseException]) -> Callable[[Frame], Frame]:
    """Return a translation that fails behind `after` frames."""
    frames = itertools.count()

    def translate(frame: Frame) -> Frame:
        if next(frames) == after:
            raise error
        return frame

    return translate


@pytest.mark.parametrize("kind", ["cfr-24.mp4", "everything.mkv", "odd-vp9-opus.webm", "mpeg4.avi", "h264-aac.ts"])
@pytest.mark.parametrize("after", [0, 1, 6])
def test_a_failure_leaves_nothing(tmp_path, kind, after):
    src = make(tmp_path / kind, KINDS[kind])
    (tmp_path / "out").mkdir()
    with pytest.raises(ZeroDivisionError):
        copy(src, tmp_path / "out" / kind, failing(after, ZeroDivisionError))
    assert list((tmp_path / "out").iterdir()) == []


def test_a_failure_keeps_the_film_that_was_there(tmp_path):
    src = make(tmp_path / "a.mp4", Recipe())
    old = make(tmp_path / "b.mp4", Recipe(count=2)).read_bytes()
    with pytest.raises(KeyboardInterrupt):
        copy(src, tmp_path / "b.mp4", failing(1, KeyboardInterrupt))
    assert (tmp_path / "b.mp4").read_bytes() == old
    assert len(list(tmp_path.iterdir())) == 2
    copy(src, tmp_path / "b.mp4")
    assert len(facts(tmp_path / "b.mp4").times) == 12


def test_a_film_of_no_frames_is_not_left_behind(tmp_path):
    data = bytearray(
        make(tmp_path / "a.mkv", Recipe(count=6, codec="mjpeg", pix_fmt="yuvj420p", options={})).read_bytes()
    )
    start = data.index(b"\xff\xd8")
    data[start : len(data) * 9 // 10] = bytes(len(data) * 9 // 10 - start)
    (tmp_path / "bad.mkv").write_bytes(data)
    (tmp_path / "out").mkdir()
    with pytest.raises(InputError) as error:
        copy(tmp_path / "bad.mkv", tmp_path / "out" / "bad.mkv")
    one_line(error.value, "bad.mkv")
    assert list((tmp_path / "out").iterdir()) == []


@contextlib.contextmanager
def files_up_to(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes, as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95, -1])
@pytest.mark.parametrize("kind", ["a.mp4", "a.mkv", "a.ts"])
def test_disk_full(tmp_path, kind, share):
    timing = {"clock": MPEG, "pts": range(0, 86400, 3600)} if kind == "a.ts" else {}
    # 128 × 64: smaller films libx264 does not code in the same number of bytes every time (av alone).
    src = make(tmp_path / kind, Recipe(width=128, height=64, count=24, **timing))
    (tmp_path / "out").mkdir()
    dst = tmp_path / "out" / kind

    def noisy(frame: Frame) -> Frame:
        noise = np.random.default_rng(frame.pts).integers(0, 256, (64, 128, 3), np.uint8)
        return Frame(noise, None, frame.pts, frame.duration)

    copy(src, dst, noisy)
    size = dst.stat().st_size
    assert size > 80_000
    dst.unlink()
    limit = size - 1 if share < 0 else int(size * share)  # the last byte of all too
    with files_up_to(limit), pytest.raises((OSError, StylError)) as error:
        copy(src, dst, noisy)
    assert str(error.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_folder_that_cannot_be(tmp_path):
    src = make(tmp_path / "a.mp4", Recipe(count=2))
    (tmp_path / "file").write_text("x")
    with pytest.raises((OSError, StylError)):
        copy(src, tmp_path / "file" / "b.mp4")
    (tmp_path / "b.mp4").mkdir()
    with pytest.raises((OSError, StylError)):
        copy(src, tmp_path / "b.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4", "file"]


# --- other streams -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suffix", "name", "unknown"),
    [(".mkv", b"A_AAC", b"A_XYZ"), (".mkv", b"S_TEXT/UTF8", b"S_TEXT/ABCD"), (".avi", b"auds", b"dats")],
)
def test_streams_nobody_knows(tmp_path, suffix, name, unknown):
    # Refused in one line, or left out and said: what no muxer knows cannot be copied.
    kinds = {
        ".mkv": {"sounds": [Sound()], "subtitles": [(0.1, 0.3, "hello")]},
        ".avi": {"sounds": [Sound("pcm_s16le")]},
    }
    data = make(tmp_path / f"a{suffix}", Recipe(**kinds[suffix])).read_bytes()
    assert name in data
    (tmp_path / f"b{suffix}").write_bytes(data.replace(name, unknown))
    result = tmp_path / f"c{suffix}"
    try:
        film = copy(tmp_path / f"b{suffix}", result)
    except StylError as error:
        one_line(error)
        assert not result.exists()
    else:
        assert rising(result) == list(range(12))
        assert film.notes


def test_attachments_are_copied(tmp_path):
    src = make(tmp_path / "a.mkv", Recipe(attachments=[("font.ttf", "font/ttf", b"not really a font")]))
    copy(src, tmp_path / "b.mkv")
    with av.open(str(tmp_path / "b.mkv")) as film:
        (attachment,) = film.streams.attachments
        assert (attachment.name, attachment.mimetype) == ("font.ttf", "font/ttf")
        assert attachment.data == b"not really a font"


def test_a_second_film_is_copied_as_it_is(tmp_path):
    # The first is the default one and is translated; of the other not a byte changes.
    src = tmp_path / "a.mkv"
    with av.open(str(src), "w") as out:
        streams = [out.add_stream("libx264", rate=25, options=FAST) for _ in range(2)]
        for stream, size in zip(streams, ((96, 64), (64, 48)), strict=True):
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        streams[0].disposition = av.stream.Disposition.default
        for stream in streams:
            for place in range(6):
                shown = pattern(place, width=stream.width, height=stream.height)
                out.mux(stream.encode(picture(shown, pix_fmt="yuv420p")))
            out.mux(stream.encode(None))
    film = copy(src, tmp_path / "b.mkv", lambda f: Frame(255 - f.pixels, None, f.pts, f.duration))
    before, after = facts(src), facts(tmp_path / "b.mkv")
    assert after.size == (96, 64)
    assert np.abs(255 - before.pictures[2] - after.pictures[2]).mean() < LOSSY
    assert after.of("video") == before.of("video")
    assert len(after.of("video")[0].packets) == 6
    assert film.notes


@pytest.mark.parametrize("suffix", [".ts", ".mkv"])
def test_data_is_left_out_and_named(tmp_path, suffix):
    src = tmp_path / "a.ts"
    with av.open(str(src), "w") as out:
        stream = out.add_stream("libx264", rate=25, options=FAST)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        data = out.add_data_stream("klv")
        for place in range(6):
            out.mux(stream.encode(picture(pattern(place), pix_fmt="yuv420p")))
            packet = av.Packet(b"\x06\x0e\x2b\x34" + bytes(16))
            packet.stream, packet.pts, packet.dts, packet.time_base = data, place, place, Fraction(1, 25)
            out.mux(packet)
        out.mux(stream.encode(None))
    film = copy(src, tmp_path / f"b{suffix}")
    with av.open(str(src)) as opened:
        assert opened.streams.data
    with av.open(str(tmp_path / f"b{suffix}")) as opened:
        assert opened.streams.data or any("data" in note for note in film.notes)
    assert rising(tmp_path / f"b{suffix}") == list(range(6))


def test_the_clock_of_a_transport_stream_may_run_over(tmp_path):
    # 33 bits of 90 kHz: it starts again after 26.5 hours, here behind the sixth frame.
    first = 2**33 - 6 * 3600
    recipe = Recipe(clock=MPEG, pts=range(first, first + 12 * 3600, 3600), container={"mpegts_copyts": "1"})
    src = make(tmp_path / "a.ts", recipe)
    film = copy(src, tmp_path / "b.ts")
    source, result = facts(src), facts(tmp_path / "b.ts")
    assert film.lost is None
    assert [number(shown) for shown in result.pictures] == list(range(12))
    steps = [[b - a for a, b in itertools.pairwise(found.times)] for found in (source, result)]
    assert steps[0] == steps[1]


# --- what is private ---------------------------------------------------------------------------------------------

PRIVATE = {
    "artist": "Ann Author",
    "title": "Our garden",
    "comment": "a secret",
    "location": "+48.2082+016.3738/",
    "creation_time": "2020-02-02T20:20:20.000000Z",
}


@pytest.mark.parametrize("kind", ["a.mp4", "a.mov", "a.mkv"])
def test_metadata_only_if_asked(tmp_path, kind):
    src = make(tmp_path / kind, Recipe(metadata=PRIVATE, sounds=[Sound(language="eng")], chapters=[(0, 0.5, "Part")]))
    before = facts(src).metadata
    assert {"artist", "title"} <= {key.lower() for key in before}
    copy(src, tmp_path / f"plain-{kind}")
    copy(src, tmp_path / f"kept-{kind}", keep_metadata=True)
    plain, kept = (tmp_path / f"{how}-{kind}" for how in ("plain", "kept"))
    for secret in (b"Ann Author", b"Our garden", b"a secret", b"48.2"):
        assert secret not in plain.read_bytes()
    assert not {key.lower() for key in facts(plain).metadata} & {
        "artist",
        "title",
        "comment",
        "location",
        "creation_time",
    }
    after = {key.lower(): value for key, value in facts(kept).metadata.items()}
    for key, value in before.items():
        if key.lower() in PRIVATE:
            assert after[key.lower()] == value
    assert facts(plain).chapters == facts(kept).chapters == [(0, 0.5, "Part")]
    assert facts(plain).of("audio")[0].language == "eng"


# --- films of pictures -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", sorted(FILM_SUFFIXES))
def test_a_film_of_pictures(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    with create_film_of_stills(path, width=65, height=47, rate=Fraction(25, 2), encoding=Encoding()) as out:
        for place in range(5):
            out.write(Frame(pattern(place, width=65, height=47), None, place, 1))
    result = facts(path)
    assert [number(picture) for picture in result.pictures] == list(range(5))
    assert result.pictures[0].shape == (47, 65, 3)
    assert [float(time - result.times[0]) for time in result.times] == pytest.approx(
        [0, 0.08, 0.16, 0.24, 0.32], abs=1e-3
    )
    assert float(result.end - result.times[0]) == pytest.approx(0.4, abs=1e-3)
    errors = [np.abs(picture - pattern(n, width=65, height=47)).mean() for n, picture in enumerate(result.pictures)]
    assert max(errors) < LOSSY
    assert [path.name for path in tmp_path.iterdir()] == [f"a{suffix}"]


def test_a_film_of_pictures_has_true_colours(tmp_path):
    path = tmp_path / "a.mp4"
    with create_film_of_stills(path, width=64, height=48, rate=Fraction(24), encoding=Encoding(crf=0)) as out:
        for place in range(3):
            out.write(Frame(smooth(), None, place, 1))
    result = facts(path)
    assert result.colour.matrix != UNSAID  # players guess differently what is not said
    assert np.abs(result.pictures[0] - smooth()).mean() < 1.5


def test_a_film_of_pictures_that_fails_leaves_nothing(tmp_path):
    def fail() -> None:
        make_of = {"width": 64, "height": 48, "rate": Fraction(24), "encoding": Encoding()}
        with create_film_of_stills(tmp_path / "a.mp4", **make_of) as out:
            out.write(Frame(pattern(0), None, 0, 1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


# --- resources ---------------------------------------------------------------------------------------------------


def test_memory_stays_flat(tmp_path):
    src = make(tmp_path / "long.mp4", Recipe(width=32, height=32, count=600, sounds=[Sound(seconds=25)]))
    process, seen = psutil.Process(), []
    with open_film(src) as film, create_film(tmp_path / "out.mp4", like=film) as out:
        for place, frame in enumerate(film):
            out.write(frame)
            if place % 50 == 49:
                gc.collect()
                seen.append(process.memory_info().rss)
    assert len(seen) == 12
    assert max(seen) - seen[1] < 20e6  # the encoder has filled its own queues by the hundredth frame
    assert len(facts(tmp_path / "out.mp4").times) == 600


def test_files_are_closed(tmp_path):
    src = make(tmp_path / "a.mp4", Recipe(count=3))
    copy(src, tmp_path / "b.mp4")
    gc.collect()
    process = psutil.Process()
    before = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
    for _ in range(5):
        copy(src, tmp_path / "b.mp4")
        with open_film(src) as film:
            next(iter(film))
        film = open_film(src)
        film.close()
    after = process.num_fds() if hasattr(process, "num_fds") else process.num_handles()
    assert after <= before
    assert process.num_threads() < 200


def test_nothing_is_printed(tmp_path, capfd):
    data = bytearray(make(tmp_path / "a.mkv", Recipe(count=24)).read_bytes())
    data[len(data) // 2 : len(data) // 2 + 400] = bytes(400)
    (tmp_path / "bad.mkv").write_bytes(data)
    capfd.readouterr()
    copy(tmp_path / "bad.mkv", tmp_path / "out.mkv")
    copy(tmp_path / "bad.mkv", tmp_path / "out.mp4", codec="h265")
    copy(tmp_path / "bad.mkv", tmp_path / "out.webm", codec="av1")
    assert capfd.readouterr() == ("", "")


def test_a_film_may_be_read_in_part(tmp_path):
    src = make(tmp_path / "a.mp4", KINDS["everything.mov"])
    with open_film(src) as film:
        assert number(next(iter(film)).pixels) == 0
    with open_film(src) as film:
        assert film.count == 12
        assert film.seconds == pytest.approx(0.5, abs=0.05)
