"""Films with another sound: pictures, subtitles and chapters go packet by packet into a copy."""

import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Discard, Disposition, Stream

from cyclegan.errors import UsageError
from cyclegan.media.container import create_container, open_container, raise_shortage
from cyclegan.media.films.encodings import FORMATS
from cyclegan.media.films.tracks import Parcels, Tracks, holds
from cyclegan.media.sounds.reader import Recording
from cyclegan.media.sounds.samples import Block
from cyclegan.media.sounds.soundfile import SOUND
from cyclegan.media.sounds.target import SoundWriter
from cyclegan.media.sounds.track import Coding, Track, coding_of, encoder_of

_INSTEAD = {"webm": "libopus", "avi": "libmp3lame"}  # of a codec that cannot be written; else aac
_REORDERED = 64  # packets at most of which the time of decoding is not known
_PATIENCE = 50  # read errors in a row before the rest of the pictures is given up


class Pictures:
    """Reads everything of a film but its sound: packets in the order of the file, covers first."""

    def __init__(self, path: Path) -> None:
        self.path, self.container = path, open_container(path, SOUND)
        self.covers = dict[int, bytes]()
        self.unreadable = False
        for stream in self.container.streams:
            if stream.type in ("audio", "data"):
                stream.discard = Discard.all
        self._packets = _dated(self._read())
        self._ahead: list[Packet[Any]] = []
        for packet in self._packets:
            self._ahead.append(packet)
            if not packet.stream.disposition & Disposition.attached_pic:
                break
            self.covers[packet.stream_index] = bytes(packet)

    def __iter__(self) -> "Iterator[Packet[Any]]":
        return chain(self._ahead, self._packets)

    def _read(self) -> "Iterator[Packet[Any]]":
        failures = 0
        while failures < _PATIENCE:
            try:
                for packet in self.container.demux():
                    if packet.size and packet.stream.type not in ("audio", "data"):
                        failures = 0
                        yield packet
                return
            except IndexError:  # of av, for a packet of a stream that begins on the way: it was not there to be added
                continue
            except av.FFmpegError as error:
                raise_shortage(error)
                failures += 1
        self.unreadable = True


def _dated(packets: "Iterator[Packet[Any]]") -> "Iterator[Packet[Any]]":
    """Give the first packets of a film their times of decoding, which Matroska leaves open where frames are reordered.

    Without one they could not be copied: packets must come in the order of these times.
    """
    waiting: dict[int, list[Packet[Any]]] = {}
    known = set[int]()
    for packet in packets:
        index = packet.stream_index
        held = waiting.setdefault(index, [])
        if not _moves(packet.stream) or index in known:
            yield packet
        elif packet.dts is None and len(held) < _REORDERED:
            held.append(packet)
        else:
            known.add(index)
            _date(held, before=packet.dts)
            yield from waiting.pop(index)
            yield packet
    for held in waiting.values():
        _date(held, before=None)
        yield from held


def _date(packets: "list[Packet[Any]]", *, before: int | None) -> None:
    """Date packets in the order in which they are shown, early enough for each, and for what follows."""
    order = sorted(packet.pts for packet in packets if packet.pts is not None)
    if len(order) < len(packets) or not order:
        return
    late = max(time - packet.pts for time, packet in zip(order, packets, strict=True) if packet.pts is not None)
    late = late if before is None else max(late, order[-1] + 1 - before)
    for time, packet in zip(order, packets, strict=True):
        packet.dts = time - late


class Dub(SoundWriter):
    """Writes a film whose pictures are those of the recording's, bit by bit, and whose sound is what is written."""

    def __init__(self, path: Path, *, like: Recording, comment: str, keep_metadata: bool) -> None:
        self._parcels: Parcels = SimpleQueue()
        super().__init__(path, like=like, comment=comment, keep_metadata=keep_metadata)

    def _open(self, path: Path) -> OutputContainer:
        self._pictures = Pictures(self._like.path)
        self._stack.callback(self._pictures.container.close)
        self._coming = iter(self._pictures)
        self._format = FORMATS[self._suffix]
        options = dict[str, str]()
        if self._format in ("mp4", "mov"):
            options = {"movie_timescale": str(self._like.rate)}  # else sound may shift by half a millisecond
        if self._format == "mpegts":
            options = {"mpegts_copyts": "1", "mpegts_m2ts_mode": str(int(self._suffix != ".ts"))}
        return create_container(path, format=self._format, options=options)

    def _add(self) -> None:
        """Add the streams in the order of the source; other sound would still be the old voice."""
        tracks = Tracks(self._pictures, self._path, self._container, self._parcels, private=self._private)
        for stream in self._pictures.container.streams:
            if stream.index == self._like.stream.index:
                self._sing(self._coding(), start=self._like.origin, primed=self._format != "avi")
                self._track.stream.disposition = stream.disposition
                tracks.describe(stream, self._track.stream)
            elif stream.type == "audio":
                self.notes.append(f"sound track {stream.index} left out: it was not translated")
            elif _moves(stream) and holds(stream, self._suffix):
                tracks.copy(stream)
            else:
                tracks.add(stream)
        self.notes += tracks.notes
        self._tracks = tracks

    def _coding(self) -> Coding:
        """Choose the codec of the source where it can be written, else what players of this container know."""
        for codec in (encoder_of(self._like), _INSTEAD.get(self._format, "aac")):
            if codec:
                coding = coding_of(codec, self._like)
                if _takes(coding, like=self._like, format=self._format):
                    break
        return coding

    def _describe(self) -> None:
        self._tracks.add_words()
        if self._comment:
            self._container.metadata["comment"] = self._comment

    def _put(self, block: Block) -> None:
        """Write a block of sound, and the pictures that are seen with it."""
        super()._put(block)
        self._show(until=self._like.origin + Fraction(self._track.heard, self._like.rate))

    def _show(self, *, until: Fraction | None) -> None:
        for packet in self._coming:
            self._parcels.put((packet.stream_index, packet))
            self._tracks.mux()
            time = packet.pts if packet.dts is None else packet.dts
            if until is not None and time is not None and time * packet.time_base >= until:
                return

    def _put_rest(self) -> None:
        super()._put_rest()
        self._show(until=None)
        self._tracks.finish()
        if self._tracks.dropped:
            self.notes.append(f"{self._tracks.dropped} damaged packets of pictures or subtitles left out")
        if self._pictures.unreadable:
            self.notes.append("the rest of the pictures cannot be read")


def _moves(stream: Stream) -> bool:
    return stream.type == "video" and not stream.disposition & Disposition.attached_pic


def _takes(coding: Coding, *, like: Recording, format: str) -> bool:
    """Try whether a container takes a track, in memory."""
    try:
        with av.open(io.BytesIO(), "w", format=format) as trial:
            Track(trial, coding, like=like, start=Fraction(0))
            trial.start_encoding()
    except (av.FFmpegError, ValueError, RuntimeError, UsageError):
        return False
    return True
