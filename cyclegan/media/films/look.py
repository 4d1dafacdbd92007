"""What the coded frames of a film are like, as its first frame and its header tell."""

from dataclasses import dataclass
from fractions import Fraction

from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from cyclegan.media.films import colour


@dataclass(frozen=True)
class Look:
    """Describe the coded frames of a film, as far as a writer has to know."""

    width: int
    height: int
    sar: Fraction | None
    turn: colour.Turn
    tags: colour.Tags
    layout: VideoFormat
    interlaced: bool

    def notes(self) -> list[str]:
        """Tell what a person should know about how such frames are read."""
        told = {
            "HDR brought to SDR (BT.709)": self.tags.hdr,
            "interlaced: both fields are translated as one frame": self.interlaced,
            "turned by an odd angle: translated as it is coded": not self.turn.straight,
        }
        return [note for note, true in told.items() if true]


def describe(frame: VideoFrame, stream: VideoStream) -> Look:
    """Describe a decoded frame; its size is that of the header, as a damaged frame may have any."""
    tags, told = colour.tags_of(frame), stream.codec_context
    unsaid = colour.UNSPECIFIED
    tags = colour.Tags(
        matrix=tags.matrix if tags.matrix != unsaid or frame.format.is_rgb else int(told.colorspace),
        primaries=tags.primaries if tags.primaries != unsaid else int(told.color_primaries),
        transfer=tags.transfer if tags.transfer != unsaid else int(told.color_trc),
        levels=tags.levels or int(told.color_range),
    )
    sar = stream.sample_aspect_ratio or None
    turn = colour.turn_of(frame)
    return Look(stream.width, stream.height, sar, turn, tags, frame.format, frame.interlaced_frame)
