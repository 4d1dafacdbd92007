"""Sounds, written with PyAV: a file that appears whole or not at all."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.packet import Packet

from cyclegan.files import atomic
from cyclegan.media.container import Written, create_container, refused
from cyclegan.media.kinds import FILM_SUFFIXES
from cyclegan.media.sounds.reader import Recording
from cyclegan.media.sounds.samples import Block
from cyclegan.media.sounds.track import Coding, Track, coding_of, encoder_of

CONTAINERS = {  # the suffix of a sound, and what FFmpeg calls its container
    ".wav": "wav",
    ".flac": "flac",
    ".ogg": "ogg",
    ".oga": "ogg",
    ".opus": "opus",
    ".mp3": "mp3",
    ".m4a": "ipod",
    ".aac": "adts",
    ".aiff": "aiff",
    ".aif": "aiff",
}
_CODECS = {"wav": "pcm", "flac": "flac", "ogg": "libopus", "opus": "libopus", "mp3": "libmp3lame"} | {
    "ipod": "aac",
    "adts": "aac",
    "aiff": "pcm_be",
}
_KEPT = {"ogg": ("flac",), "ipod": ("alac",)}  # what a container also holds, where the source is that
_MADE_ANEW = {"major_brand", "minor_version", "compatible_brands", "encoder", "ENCODER", "comment", "COMMENT"}


class SoundWriter(Written):
    """Writes a sound; it appears under its name when the with ends well, and nothing is left of it when it does not."""

    def __init__(self, path: Path, *, like: Recording, comment: str, keep_metadata: bool) -> None:
        self.notes = list[str]()
        self._path, self._suffix, self._like = path, path.suffix.lower(), like
        self._comment, self._private = comment, keep_metadata
        self._stack = ExitStack()
        try:
            self._begin()
        except BaseException as error:
            self._stack.__exit__(type(error), error, error.__traceback__)
            raise

    def _begin(self) -> None:
        temporary = self._stack.enter_context(atomic(self._path))
        self._container = self._open(temporary.resolve())
        self._stack.callback(self._abandon)
        try:
            self._add()
            self._describe()
            self._container.start_encoding()
        except (av.FFmpegError, ValueError, RuntimeError) as error:
            raise self._refused(error) from error

    def _refused(self, error: Exception) -> Exception:
        hint = "choose .mkv" if self._suffix in FILM_SUFFIXES else "choose .wav or .flac"
        return refused(error, self._path, what=f"cannot be written as {self._suffix}", hint=hint)

    def _open(self, path: Path) -> OutputContainer:
        name = CONTAINERS[self._suffix]
        options = {
            "wav": {"rf64": "auto"},
            "adts": {"write_id3v2": "1"},
            "aiff": {"write_id3v2": "1"},
            "ipod": {"movie_timescale": str(min(self._like.rate, 2**31 - 1))},  # else the end is cut to milliseconds
        }
        return create_container(path, format=name, options=options.get(name, {}))

    def _add(self) -> None:
        name, own = CONTAINERS[self._suffix], encoder_of(self._like)
        codec = own if own and own in _KEPT.get(name, ()) else _CODECS[name]
        self._sing(coding_of(codec, self._like), start=Fraction(0))

    def _sing(self, coding: Coding, *, start: Fraction, primed: bool = True) -> None:
        self.notes += coding.notes
        self._track = Track(self._container, coding, like=self._like, start=start, primed=primed)

    def _describe(self) -> None:
        """Say who made the file; what else the source says of itself only where that was asked for."""
        if self._private:
            if self._like.container.streams.video and not self._like.film:
                self.notes.append("cover left out")
            said = self._like.container.metadata | self._like.stream.metadata
            self._container.metadata.update({k: v for k, v in said.items() if k not in _MADE_ANEW})
        if self._comment:
            self._container.metadata["comment"] = self._comment

    def write(self, block: Block) -> None:
        """Write a block (T, channels), full scale ±1; raise OSError where the disk refuses.

        Raises UsageError where only now turns out what the container cannot hold.
        """
        assert block.ndim == 2, "blocks are samples × channels"
        assert block.shape[1] == self._like.channels, "the number of channels stays"
        try:
            self._put(block)
        except (av.FFmpegError, OSError) as error:
            raise self._refused(error) from error

    def _put(self, block: Block) -> None:
        self._mux(self._track.encode(block))

    def _mux(self, packets: "list[Packet[Any]]") -> None:
        for packet in packets:
            packet.stream = self._track.stream
            self._container.mux_one(packet)

    def _put_rest(self) -> None:
        self._mux(self._track.finish())

    def _finish(self) -> None:
        try:
            self._put_rest()
            self._container.close()
        except (av.FFmpegError, OSError) as error:
            raise self._refused(error) from error
        self.notes += self._track.notes
