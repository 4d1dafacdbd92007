"""Films, written with PyAV: translated frames, and everything else of the source packet by packet."""

from contextlib import ExitStack
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from cyclegan.errors import UsageError
from cyclegan.files import atomic
from cyclegan.media.container import Written, create_container, refused
from cyclegan.media.films import colour
from cyclegan.media.films.encodings import FORMATS, Encoding, choose
from cyclegan.media.films.plan import Plan, clock_of, planned
from cyclegan.media.films.tracks import Parcels, Tracks
from cyclegan.media.films.video import Film
from cyclegan.media.formats.pixels import on_white
from cyclegan.media.frames import Frame

_FASTEST = 240  # pictures a second


def create_film(path: Path, *, like: Film, encoding: Encoding = Encoding()) -> "FilmWriter":  # noqa: B008 - frozen
    """Begin a film with the times, shape, colours, sound, subtitles and chapters of `like`, which must not be read yet.

    Raises UsageError for a codec that does not exist, InputError for a stream the container cannot hold.
    """
    parcels = like.collect()  # before anything is decoded
    return FilmWriter(path, planned(path, like), like=like, parcels=parcels, encoding=encoding)


def create_film_of_stills(
    path: Path,
    *,
    width: int,
    height: int,
    rate: Fraction,
    encoding: Encoding = Encoding(),  # noqa: B008 - frozen
) -> "FilmWriter":
    """Begin a film of `rate` pictures a second without sound; the pts of its frames count 0, 1, 2.

    A rate above 240 is a clock rather, that of an animation whose frames come at any time.
    """
    tags = colour.Tags(colour.BT709, colour.BT709, colour.BT709, 1)
    steady = rate <= _FASTEST
    plan = Plan(width, height, 1 / rate, rate if steady else Fraction(25), steady, None, colour.Turn(), None, tags)
    return FilmWriter(path, plan, like=None, parcels=SimpleQueue(), encoding=encoding)


class FilmWriter(Written):
    """Writes a film; it appears under its name when the with ends well, and nothing is left of it when it does not."""

    def __init__(self, path: Path, plan: Plan, *, like: Film | None, parcels: Parcels, encoding: Encoding) -> None:
        self.notes = list[str]()
        self._path, self._plan, self._suffix = path, plan, path.suffix.lower()
        if self._suffix not in FORMATS:
            raise UsageError(f"films cannot be written as {path.suffix!r}", hint=f"known: {' '.join(sorted(FORMATS))}")
        alpha = like is not None and colour.has_alpha(like.look().layout)
        self._recipe = choose(
            encoding,
            self._suffix,
            width=plan.width,
            height=plan.height,
            alpha=alpha,
            rate=plan.rate,
            steady=plan.steady,
        )
        self.notes += self._recipe.notes
        if self._recipe.name == "mpeg4" and FORMATS[self._suffix] in ("avi", "mpegts"):
            plan = self._plan = replace(plan, tags=colour.Tags())  # neither says anything of colours
        self._clock = clock_of(plan, self._recipe, self._suffix, like)
        self._reformatter = VideoReformatter()
        self._durations = dict[int, int]()  # of the frames that are inside the encoder
        self._last: int | None = None
        self._tracks: Tracks | None = None
        self._parcels = parcels
        self._stack = ExitStack()
        try:
            self._begin(like, encoding)
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise

    def _begin(self, like: Film | None, encoding: Encoding) -> None:
        temporary = self._stack.enter_context(atomic(self._path))
        self._container = _open(temporary.resolve(), self._suffix, self._clock)
        self._stack.callback(self._abandon)
        try:
            if like is None:
                self._video = self._add_video()
            else:
                self._video = self._add_all(like, encoding)
            self._container.start_encoding()
        except (av.FFmpegError, ValueError, RuntimeError) as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> Exception:
        what = f"{self._recipe.name} cannot write this film"
        return refused(error, self._path, what=what, hint="choose another codec, or .mkv")

    def _add_all(self, film: Film, encoding: Encoding) -> VideoStream:
        """Add the streams in the order of the source."""
        tracks = Tracks(film, self._path, self._container, self._parcels, private=encoding.keep_metadata)
        made: VideoStream | None = None
        for stream in film.container.streams:
            if stream.index == film.stream.index:
                made = self._add_video()
                made.disposition = stream.disposition
                tracks.describe(stream, made)
            else:
                tracks.add(stream)
        assert made is not None
        tracks.add_words()
        self._tracks = tracks
        self.notes += tracks.notes
        self._explain(film)
        return made

    def _add_video(self) -> VideoStream:
        plan, recipe = self._plan, self._recipe
        made = self._container.add_stream(recipe.name, rate=plan.rate, options=dict(recipe.options))
        assert isinstance(made, VideoStream)
        made.width, made.height, made.pix_fmt = plan.width, plan.height, recipe.layout
        context = made.codec_context
        context.time_base = made.time_base = self._clock
        context.thread_type = "FRAME"  # slices would cost quality
        if plan.sar:
            context.sample_aspect_ratio = plan.sar
        context.color_primaries, context.color_trc = plan.tags.primaries, plan.tags.transfer
        if recipe.layout not in ("bgr0", "bgra"):
            context.colorspace, context.color_range = plan.tags.matrix, plan.tags.levels
        if plan.matrix:
            made.set_display_matrix(plan.matrix)
        if recipe.name == "libx265" and self._suffix in (".mp4", ".m4v", ".mov"):
            context.codec_tag = "hvc1"  # the only one that players of Apple know
        return made

    def _explain(self, film: Film) -> None:
        look, plan = film.look(), self._plan
        if colour.bits(look.layout) > 8 and "10" not in self._recipe.layout:
            self.notes.append(f"{colour.bits(look.layout)} bits a sample read, 8 written")
        if colour.has_alpha(look.layout) and not self._recipe.alpha:
            self.notes.append("transparent parts laid on white")
        if look.turn.matrix and not plan.matrix:
            self.notes.append(f"rotated pixels were turned upright, as {self._suffix} cannot hold a rotation")
        silent = self._recipe.name in ("libvpx-vp9", "libsvtav1", "ffv1") and self._suffix in (".webm", ".mkv")
        if silent and plan.sar and plan.sar != 1:
            self.notes.append(f"pixels of shape {plan.sar} cannot be told with {self._recipe.name}")

    def write(self, frame: Frame) -> None:
        """Write one frame, and what sound and subtitles were read meanwhile; raise OSError where the disk refuses."""
        try:
            self._mux(self._video.encode(self._coded(frame)))
            if self._tracks:
                self._tracks.mux()
        except (av.FFmpegError, OSError) as error:
            raise self._refused(error) from error

    def _coded(self, frame: Frame) -> VideoFrame:
        pixels, alpha = frame.pixels, frame.alpha
        if alpha is not None and not self._recipe.alpha:
            pixels, alpha = on_white(pixels, alpha), None
        if alpha is None and self._recipe.alpha:
            alpha = pixels[..., 0] * 0 + 255
        turn = self._plan.turn
        made = colour.coded(
            turn.coded(pixels),
            None if alpha is None else turn.coded(alpha),
            layout=self._recipe.layout,
            tags=self._plan.tags,
            reformatter=self._reformatter,
        )
        assert (made.width, made.height) == (self._plan.width, self._plan.height), "the size of a film stays"
        made.pts, made.time_base = self._ticks(frame.pts), self._clock
        if self._last is not None and made.pts <= self._last:  # a coarser clock than that of the source
            made.pts = self._last + 1
        self._last = made.pts
        made.duration = max(1, self._ticks(frame.duration)) if frame.duration else 0
        self._durations[made.pts] = made.duration
        return made

    def _ticks(self, pts: int) -> int:
        return pts if self._clock == self._plan.clock else round(pts * self._plan.clock / self._clock)

    def _mux(self, packets: "list[Packet[Any]]") -> None:
        for packet in packets:
            duration = self._durations.pop(packet.pts, 0) if packet.pts is not None else 0
            if duration:
                packet.duration = duration
            self._mux_one(packet)

    def _mux_one(self, packet: "Packet[Any]") -> None:
        try:
            self._container.mux_one(packet)
        except av.InvalidDataError:
            if not self._tracks:
                raise
            self._tracks.dropped += 1  # of sound or subtitles that had waited for this packet

    def _finish(self) -> None:
        try:
            self._mux(self._video.encode(None))
            if self._tracks:
                self._tracks.finish()
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise self._refused(error) from error
        if self._tracks and self._tracks.dropped:
            self.notes.append(f"{self._tracks.dropped} damaged packets of sound or subtitles left out")


def _open(path: Path, suffix: str, clock: Fraction) -> OutputContainer:
    options = dict[str, str]()
    if FORMATS[suffix] in ("mp4", "mov"):
        options["video_track_timescale"] = str(clock.denominator)
    if FORMATS[suffix] == "mpegts":
        options |= {"mpegts_copyts": "1", "mpegts_m2ts_mode": str(int(suffix != ".ts"))}
    return create_container(path, format=FORMATS[suffix], options=options)
