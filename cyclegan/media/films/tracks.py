"""Everything of a film but its pictures, put into another file: sound, subtitles, covers, attachments, chapters."""

import io
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, Protocol, TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from cyclegan.errors import InputError, shown
from cyclegan.media.films.encodings import FORMATS

_CHAPTERS = {".mp4", ".m4v", ".mov", ".mkv", ".webm"}
_COVERS = {".mp4", ".m4v", ".mov", ".mkv"}
_SPOKEN = ("language", "title")  # of sound and subtitles: without them nobody would find the track
_MADE_ANEW = {"major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER"}

Parcels: TypeAlias = "SimpleQueue[tuple[int, Packet[Any]]]"


class Carrier(Protocol):
    """Holds a file whose other streams are copied, and the covers that stand before everything else in it."""

    path: Path
    container: InputContainer
    covers: dict[int, bytes]  # by the number of their stream


class Tracks:
    """Adds the other streams of a film to a new container, in their order, and muxes their packets as they were."""

    def __init__(self, film: Carrier, path: Path, out: OutputContainer, parcels: Parcels, *, private: bool) -> None:
        self.notes = list[str]()
        self.dropped = 0  # packets too damaged to be copied
        self._out, self._parcels = out, parcels
        self._copies = dict[int, Stream]()  # what to mux into, by the number in the source
        self._texts = set[int]()  # which of them are subtitles of mov and mp4
        self._held = dict[int, "Packet[Any]"]()
        self._muxed = dict[int, int | None]()  # the time of the last packet of each
        self._film, self._path, self._private = film, path, private
        self._suffix = path.suffix.lower()

    def add(self, stream: Stream) -> None:
        """Add one stream; raise InputError where the container cannot hold it."""
        if stream.type in ("data", "unknown"):
            self._note_data(stream)
        elif stream.disposition & Disposition.attached_pic:
            self._add_cover(stream)
        elif stream.type == "attachment":
            self._add_attachment(stream)
        elif not holds(stream, self._suffix):
            self._refuse(stream)
        else:
            self.copy(stream)
            if stream.type == "video":
                self.notes.append(f"stream {stream.index}, another film, was copied as it is")

    def _refuse(self, stream: Stream) -> None:
        """Leave out what its own kind of file cannot hold either, as its header is damaged; refuse the rest."""
        own, name = self._film.path.suffix.lower(), _name(stream)
        if own == self._suffix or stream.codec_context is None:
            self._note(f"stream {stream.index} left out: {stream.type} that cannot be understood ({name})")
            return
        what = f"{shown(self._film.path)}: {self._suffix} cannot hold its {name} ({stream.type})"
        raise InputError(what, hint="choose .mkv" if self._suffix != ".mkv" else f"choose {own}")

    def copy(self, stream: Stream) -> None:
        """Add one stream that the container can hold."""
        made = self._out.add_stream_from_template(stream, opaque=True)
        made.disposition = stream.disposition
        self.describe(stream, made)
        self._copies[stream.index] = made
        if _name(stream) == "mov_text":
            self._texts.add(stream.index)

    def _note_data(self, stream: Stream) -> None:
        name = _name(stream)
        if name == "bin_data" and self._film.container.chapters():
            return  # the titles of the chapters, which are written from their list
        self._note(f"data stream left out ({name})")

    def _add_cover(self, stream: Stream) -> None:
        data = self._film.covers.get(stream.index)
        if self._suffix not in _COVERS or not data or (self._suffix != ".mkv" and not holds(stream, self._suffix)):
            self._note(f"cover left out, as {self._suffix} cannot hold it")
        elif self._suffix == ".mkv":  # there a cover is a file among the attachments
            kind = "png" if data.startswith(b"\x89PNG") else "jpeg"
            self._out.add_attachment(stream.metadata.get("filename", f"cover.{kind}"), f"image/{kind}", data)
        else:
            self.copy(stream)

    def _add_attachment(self, stream: Stream) -> None:
        if self._suffix == ".mkv":
            self._out.add_stream_from_template(stream)
        else:
            self._note(f"attachments left out, as {self._suffix} cannot hold them")

    def describe(self, stream: Stream, made: Stream) -> None:
        """Copy what a stream says of itself: its language, and everything where that was asked for."""
        kept = ("language",) if stream.type == "video" else _SPOKEN
        made.metadata.update({k: v for k, v in stream.metadata.items() if self._private or k in kept})

    def add_words(self) -> None:
        """Add chapters, and what else the file says of itself only where that was asked for: it may be private."""
        chapters = self._film.container.chapters()
        if chapters and self._suffix not in _CHAPTERS:
            self._note(f"chapters left out, as {self._suffix} cannot hold them")
        elif chapters:
            for chapter in chapters:
                chapter["metadata"] = {k: v for k, v in chapter["metadata"].items() if k == "title"}
            self._out.set_chapters(chapters)
        if self._private:
            self._out.metadata.update({k: v for k, v in self._film.container.metadata.items() if k not in _MADE_ANEW})

    def mux(self) -> None:
        """Mux what was read of the other streams since the last call."""
        while True:
            try:
                index, packet = self._parcels.get_nowait()
            except Empty:
                return
            gap = index in self._texts and packet.size == 2  # between subtitles: the container makes them anew
            if index in self._copies and not gap:
                packet.stream = self._copies[index]
                packet.dts = packet.pts if packet.dts is None else packet.dts
                self._pass_on(index, packet)

    def finish(self) -> None:
        """Mux the rest."""
        self.mux()
        for index, packet in self._held.items():
            self._mux(index, packet)

    def _pass_on(self, index: int, packet: "Packet[Any]") -> None:
        """Hold one packet of each stream back: a time that leaps is known by the next, which lies before it."""
        held, last = self._held.get(index), self._muxed.get(index)
        if held is None or packet.dts is None or held.dts is None or held.dts <= packet.dts:
            self._held[index] = packet
            if held is not None:
                self._mux(index, held)
            return
        self.dropped += 1
        if last is None or packet.dts > last:
            self._held[index] = packet

    def _mux(self, index: int, packet: "Packet[Any]") -> None:
        self._muxed[index] = packet.dts
        try:
            self._out.mux_one(packet)
        except (av.ArgumentError, av.InvalidDataError):  # damaged beyond what the container can frame
            self.dropped += 1

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)


def _name(stream: Stream) -> str:
    """Name the codec of a stream; those that FFmpeg does not know have not even an attribute for it."""
    return getattr(stream, "name", None) or "an unknown codec"


def holds(stream: Stream, suffix: str) -> bool:
    """Try whether a container takes a stream, in memory."""
    try:
        with av.open(io.BytesIO(), "w", format=FORMATS[suffix]) as trial:
            trial.add_stream_from_template(stream, opaque=True)
            trial.start_encoding()
    except (av.FFmpegError, ValueError):
        return False
    return True
