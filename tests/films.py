"""Small films of many kinds, made in this process, and what a file holds as av alone reads it."""

import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

FULL, LIMITED, UNSAID = 2, 1, 2  # AVColorRange; "unspecified" for matrix, primaries and transfer (H.273) is 2
BT709, BT601_625, BT2020, PQ, HLG = 1, 5, 9, 16, 18
# Kr and Kb of H.273; unspecified is read as BT.601, as FFmpeg does
LUMA = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 5: (0.299, 0.114), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}


@dataclass(frozen=True)
class Colour:
    """Name range, matrix, primaries and transfer by their numbers in H.273."""

    range: int = 0
    matrix: int = UNSAID
    primaries: int = UNSAID
    transfer: int = UNSAID


@dataclass(frozen=True)
class Sound:
    """Describe a sound track: a sweep of `seconds`, beginning at `offset` seconds."""

    codec: str = "aac"
    seconds: float = 0.5
    offset: float = 0.0
    language: str | None = None
    rate: int = 16000


@dataclass(frozen=True)
class Recipe:
    """Describe a film; `pts` count ticks of `clock`, None means one frame after another at `rate`."""

    width: int = 64
    height: int = 48
    count: int = 12
    rate: Fraction = Fraction(24)
    pts: Sequence[int] | None = None
    clock: Fraction | None = None
    last: int | None = None  # ticks the last frame is shown, if not as long as the others
    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    options: dict[str, str] = field(default_factory=lambda: {"crf": "8", "preset": "ultrafast", "threads": "1"})
    colour: Colour = Colour()
    rotation: int = 0
    sar: Fraction = Fraction(1)
    sounds: Sequence[Sound] = ()
    subtitles: Sequence[tuple[float, float, str]] = ()
    chapters: Sequence[tuple[float, float, str]] = ()
    cover: bool = False
    attachments: Sequence[tuple[str, str, bytes]] = ()  # name, kind and bytes
    metadata: dict[str, str] = field(default_factory=dict)
    container: dict[str, str] = field(default_factory=dict)
    format: str | None = None

    @property
    def ticks(self) -> list[int]:
        """Return the time of every frame in ticks of `timing`."""
        if self.pts is not None:
            return list(self.pts)
        step = 1 / (self.rate * self.timing)
        assert step.denominator == 1
        return [place * int(step) for place in range(self.count)]

    @property
    def timing(self) -> Fraction:
        return self.clock or 1 / self.rate


def pattern(number: int, *, width: int = 64, height: int = 48) -> np.ndarray:
    """Return frame `number` (H, W, 3) uint8: eight squares, black or white, spell it; below are three moving colours.

    Both halves are wide flat fields, which lossy coding keeps; the grey bar walks to give neighbours some motion.
    """
    y, x = np.mgrid[:height, :width]
    square = (y * 4 // height) * 4 + x * 4 // width  # 0..7 in the upper half
    lit = (number >> np.minimum(square, 7)) & 1
    fields = np.array([(190, 70, 60), (60, 160, 80), (70, 80, 180)], np.uint8)[x * 3 // width]
    fields[np.abs(x - (2 * number) % width) < width // 8] = (120, 120, 120)
    return np.where((square < 8)[..., None], (20 + 215 * lit)[..., None], fields).astype(np.uint8)


def number(pixels: np.ndarray) -> int:
    """Return the number spelled by a frame of the pattern (0..255)."""
    height, width = pixels.shape[:2]
    grey = pixels.mean(axis=2) > 127
    rows, columns = (height * (2 * np.arange(2) + 1) // 8), (width * (2 * np.arange(4) + 1) // 8)
    bits = grey[np.ix_(rows, columns)].ravel()
    return int(sum(1 << place for place in range(8) if bits[place]))


def to_yuv(rgb: np.ndarray, *, colour: Colour, depth: int = 8) -> np.ndarray:
    """Return Y'CbCr (3, H, W) of R'G'B' (H, W, 3) in 0..1, by the formulas of H.273, in whole numbers."""
    kr, kb = LUMA[colour.matrix]
    luma = rgb @ np.array([kr, 1 - kr - kb, kb])
    blue, red = (rgb[..., 2] - luma) / (2 - 2 * kb), (rgb[..., 0] - luma) / (2 - 2 * kr)
    top, scale = 2**depth - 1, 2 ** (depth - 8)
    if colour.range == FULL:
        planes = [luma * top, blue * top + 128 * scale, red * top + 128 * scale]
    else:
        planes = [(219 * luma + 16) * scale, (224 * blue + 128) * scale, (224 * red + 128) * scale]
    return np.clip(np.rint(np.stack(planes)), 0, top).astype(np.uint16)


def _halved(plane: np.ndarray) -> np.ndarray:
    """Return every second sample both ways: beside the left column (as MPEG-2 and later), between two rows."""
    height, width = plane.shape
    rows = np.pad(plane, ((0, height % 2), (1, 1 + width % 2)), mode="edge").astype(float)
    rows = (rows[::2] + rows[1::2]) / 2
    return (rows[:, :-2:2] + 2 * rows[:, 1:-1:2] + rows[:, 2::2]) / 4


def _doubled(plane: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """Undo `_halved` by straight lines between the samples."""
    if plane.shape[1] < width:
        across = np.pad(plane, ((0, 0), (0, 1)), mode="edge")
        plane = np.stack([across[:, :-1], (across[:, :-1] + across[:, 1:]) / 2], axis=-1).reshape(len(plane), -1)
    if plane.shape[0] < height:
        down = np.pad(plane, ((1, 1), (0, 0)), mode="edge")
        pair = [(3 * down[1:-1] + down[:-2]) / 4, (3 * down[1:-1] + down[2:]) / 4]
        plane = np.stack(pair, axis=1).reshape(-1, plane.shape[1])
    return plane[:height, :width]


def picture(rgb: np.ndarray, *, pix_fmt: str, colour: Colour = Colour()) -> av.VideoFrame:
    """Return a frame of av made by hand from R'G'B' (H, W, 3) uint8, or float in 0..1."""
    height, width = rgb.shape[:2]
    frame = av.VideoFrame(width, height, pix_fmt)
    if pix_fmt in ("bgr0", "rgb24", "gbrp"):
        return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pix_fmt)
    depth = 10 if "10" in pix_fmt else 8
    planes = list(to_yuv(rgb / 255 if rgb.dtype == np.uint8 else rgb, colour=colour, depth=depth))
    if "420" in pix_fmt:
        planes[1:] = [np.rint(_halved(plane)) for plane in planes[1:]]
    for target, plane in zip(frame.planes, planes, strict=True):
        kind = np.dtype(np.uint16 if depth > 8 else np.uint8)
        rows = np.zeros((target.height, target.line_size // kind.itemsize), kind)
        rows[: plane.shape[0], : plane.shape[1]] = plane
        target.update(rows)
    frame.color_range, frame.colorspace = colour.range, colour.matrix
    frame.color_primaries, frame.color_trc = colour.primaries, colour.transfer
    return frame


def shown_pixels(frame: av.VideoFrame, *, range: int | None = None, matrix: int | None = None) -> np.ndarray:
    """Return R'G'B' (H, W, 3) float in 0..255 as a player would show it, upright; computed here, not by swscale."""
    name = frame.format.name
    if not name.startswith("yuv"):
        rgb = frame.to_ndarray(format="rgb24").astype(float)
    else:
        rgb = _from_yuv(frame, frame.color_range if range is None else range, matrix or frame.colorspace)
    return np.rot90(rgb, k=(frame.rotation // 90) % 4)  # rotation is anticlockwise in PyAV, as rot90 is


def _from_yuv(frame: av.VideoFrame, colour_range: int, matrix: int) -> np.ndarray:
    depth = frame.format.components[0].bits
    kind = np.dtype(np.uint16 if depth > 8 else np.uint8)
    planes = []
    for plane in frame.planes[:3]:
        rows = np.frombuffer(plane, kind).reshape(plane.height, -1)[:, : plane.width].astype(float)
        planes.append(_doubled(rows, height=frame.height, width=frame.width) / 2 ** (depth - 8))
    full = colour_range == FULL or frame.format.name.startswith("yuvj")
    luma = planes[0] / 255 if full else (planes[0] - 16) / 219
    blue, red = ((plane - 128) / (255 if full else 224) for plane in planes[1:])
    kr, kb = LUMA[matrix]
    r, b = luma + (2 - 2 * kr) * red, luma + (2 - 2 * kb) * blue
    g = (luma - kr * r - kb * b) / (1 - kr - kb)
    return np.clip(np.stack([r, g, b], axis=-1), 0, 1) * 255


def make(path: Path, recipe: Recipe, *, pictures: Sequence[np.ndarray] | None = None) -> Path:
    """Write the film a recipe describes and return its path; `pictures` replace the pattern."""
    with av.open(str(path.absolute()), "w", format=recipe.format, options=recipe.container) as out:
        out.metadata.update(recipe.metadata)
        video = _add_video(out, recipe)
        sounds = [_add_sound(out, sound) for sound in recipe.sounds]
        text = _add_text(out) if recipe.subtitles else None
        cover = _add_cover(out) if recipe.cover else None
        for name, kind, data in recipe.attachments:
            out.add_attachment(name, kind, data)
        out.set_chapters([_chapter(place, *chapter) for place, chapter in enumerate(recipe.chapters)])
        out.start_encoding()
        if cover is not None:
            out.mux(_packet(cover, cover_picture(), pts=0, duration=0, clock=Fraction(1, 90000)))
        _encode_video(out, video, recipe, pictures)
        for stream, sound in zip(sounds, recipe.sounds, strict=True):
            _encode_sound(out, stream, sound)
        for begin, end, words in recipe.subtitles:
            body = words.encode()
            data = (
                body if out.format.name == "matroska" else len(body).to_bytes(2, "big") + body
            )  # mov_text: its length
            clock = Fraction(1, 1000)
            times = {"pts": round(begin * 1000), "duration": round((end - begin) * 1000)}
            out.mux(_packet(text, data, clock=clock, **times))
    return path


def _add_video(out: av.container.OutputContainer, recipe: Recipe) -> av.VideoStream:
    stream = out.add_stream(recipe.codec, rate=recipe.rate, options=dict(recipe.options))
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = recipe.width, recipe.height, recipe.pix_fmt
    context.time_base = recipe.timing
    stream.time_base = recipe.timing
    context.flags |= av.codec.context.Flags.frame_duration
    context.sample_aspect_ratio = recipe.sar
    context.color_range, context.colorspace = recipe.colour.range, recipe.colour.matrix
    context.color_primaries, context.color_trc = recipe.colour.primaries, recipe.colour.transfer
    if recipe.rotation:
        stream.set_display_rotation(recipe.rotation)
    return stream


def _encode_video(
    out: av.container.OutputContainer, stream: av.VideoStream, recipe: Recipe, pictures: Sequence[np.ndarray] | None
) -> None:
    ticks = recipe.ticks
    for place, pts in enumerate(ticks):
        size = {"width": recipe.width, "height": recipe.height}
        rgb = pattern(place, **size) if pictures is None else pictures[place]
        frame = picture(rgb, pix_fmt=recipe.pix_fmt, colour=recipe.colour)
        frame.pts, frame.time_base = pts, recipe.timing
        frame.duration = ticks[place + 1] - pts if place + 1 < len(ticks) else recipe.last or _usual(ticks)
        out.mux(stream.encode(frame))
    out.mux(stream.encode(None))


def _usual(ticks: list[int]) -> int:
    return ticks[-1] - ticks[-2] if len(ticks) > 1 else 1


def _add_sound(out: av.container.OutputContainer, sound: Sound) -> av.AudioStream:
    stream = out.add_stream(sound.codec, rate=sound.rate)
    stream.codec_context.layout = "mono"
    if sound.language:
        stream.metadata["language"] = sound.language
    return stream


def _encode_sound(out: av.container.OutputContainer, stream: av.AudioStream, sound: Sound) -> None:
    context = stream.codec_context
    size = context.frame_size or 1024
    start = round(sound.offset * sound.rate)
    for begin in range(0, round(sound.seconds * sound.rate), size):
        time = (begin + np.arange(size)) / sound.rate
        wave = 0.4 * np.sin(2 * np.pi * (300 + 200 * time) * time)
        samples = (wave * 32767).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = sound.rate, start + begin, Fraction(1, sound.rate)
        for ready in av.AudioResampler(format=context.format, layout="mono", rate=sound.rate).resample(frame):
            ready.pts, ready.time_base = frame.pts, frame.time_base
            out.mux(stream.encode(ready))
    out.mux(stream.encode(None))


def _add_text(out: av.container.OutputContainer) -> av.stream.Stream:
    names = {"mp4": "mov_text", "mov": "mov_text", "matroska": "subrip"}
    stream = out.add_mux_stream(names[out.format.name])
    stream.time_base = Fraction(1, 1000)
    stream.metadata["language"] = "ger"
    return stream


def _add_cover(out: av.container.OutputContainer) -> av.stream.Stream | None:
    if out.format.name == "matroska":  # there a cover is a file among the attachments
        out.add_attachment("cover.png", "image/png", cover_picture())
        return None
    stream = out.add_mux_stream("png", width=16, height=16)
    stream.disposition = av.stream.Disposition.attached_pic
    return stream


def _packet(stream: av.stream.Stream, data: bytes, *, pts: int, duration: int, clock: Fraction) -> av.Packet:
    packet = av.Packet(data)
    packet.stream, packet.time_base = stream, clock
    packet.pts = packet.dts = pts
    packet.duration, packet.is_keyframe = duration, True
    return packet


def cover_picture() -> bytes:
    """Return a small PNG."""
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (200, 30, 30)).save(buffer, "PNG")
    return buffer.getvalue()


def _chapter(place: int, begin: float, end: float, title: str) -> dict[str, object]:
    times = {"start": round(begin * 1000), "end": round(end * 1000), "time_base": Fraction(1, 1000)}
    return {"id": place + 1, "metadata": {"title": title}, **times}


@dataclass
class Track:
    """Hold a stream that is copied: what it is, and every packet's time in seconds and bytes."""

    kind: str
    codec: str
    language: str | None
    disposition: int
    packets: list[tuple[Fraction | None, bytes]] = field(default_factory=list)


@dataclass
class Facts:
    """Hold what av alone reads from a film."""

    times: list[Fraction]  # of every frame, in seconds, as a player sees them
    end: Fraction  # of the last frame
    seconds: float | None  # of the whole file
    size: tuple[int, int]
    rotation: int
    sar: Fraction
    colour: Colour
    codec: str
    pix_fmt: str
    tick: Fraction
    interlaced: bool
    pictures: list[np.ndarray]
    tracks: list[Track]
    chapters: list[tuple[float, float, str]]
    metadata: dict[str, str]

    def of(self, kind: str) -> list[Track]:
        return [track for track in self.tracks if track.kind == kind]


def facts(path: Path) -> Facts:
    """Read everything about a film, frames and packets, with av alone."""
    with av.open(str(path.absolute())) as film:
        video = next(s for s in film.streams.video if not s.disposition & av.stream.Disposition.attached_pic)
        tracks = {s.index: _track(s) for s in film.streams if s is not video}
        frames, last = [], Fraction(0)
        for packet in film.demux():
            if packet.stream.index in tracks:
                if packet.size:
                    tracks[packet.stream.index].packets.append((_time(packet), bytes(packet)))
            else:
                frames += packet.decode()
        times = [frame.pts * frame.time_base for frame in frames]
        last = times[-1] + frames[-1].duration * frames[-1].time_base
        first = frames[0]
        return Facts(
            times=times,
            end=last,
            seconds=film.duration / av.time_base if film.duration else None,
            size=(first.width, first.height),
            rotation=first.rotation % 360,
            sar=video.sample_aspect_ratio or Fraction(1),
            colour=Colour(first.color_range, first.colorspace, first.color_primaries, first.color_trc),
            codec=video.codec_context.name,
            pix_fmt=first.format.name,
            tick=video.time_base,
            interlaced=first.interlaced_frame,
            pictures=[shown_pixels(frame) for frame in frames],
            tracks=list(tracks.values()),
            chapters=[_section(chapter) for chapter in film.chapters()],
            metadata=dict(film.metadata),
        )


def _track(stream: av.stream.Stream) -> Track:
    codec = stream.codec_context.name if stream.codec_context else "none"
    cover = stream.disposition & av.stream.Disposition.attached_pic
    return Track("cover" if cover else stream.type, codec, stream.metadata.get("language"), int(stream.disposition))


def _time(packet: av.Packet) -> Fraction | None:
    return None if packet.pts is None else packet.pts * packet.time_base


def _section(chapter: dict[str, Any]) -> tuple[float, float, str]:
    clock = chapter["time_base"]
    return float(chapter["start"] * clock), float(chapter["end"] * clock), chapter["metadata"].get("title", "")
