"""Which encoder, with which options and pixels, a film is written with."""

import os
from dataclasses import dataclass
from fractions import Fraction

import av
from av.codec.codec import Codec, UnknownCodecError
from av.codec.context import CodecContext

from cyclegan.errors import UsageError, did_you_mean

FORMATS = {  # the suffix of a film, and what FFmpeg calls its container
    ".mp4": "mp4",
    ".m4v": "mp4",
    ".mov": "mov",
    ".mkv": "matroska",
    ".webm": "webm",
    ".avi": "avi",
    ".ts": "mpegts",
    ".m2ts": "mpegts",
    ".mts": "mpegts",
}


@dataclass(frozen=True)
class Encoding:
    """Choose how a film is coded: codec or encoder name, quality (None: the codec's own), and private metadata."""

    codec: str = "auto"
    crf: int | None = None
    keep_metadata: bool = False


@dataclass(frozen=True)
class Recipe:
    """Hold what opens an encoder: its name, options for its quality, pixel format, and what is to be said about it."""

    name: str
    options: dict[str, str]
    layout: str
    alpha: bool = False
    notes: tuple[str, ...] = ()


_ENCODERS = {  # what people say, and the encoder in software
    "h264": "libx264",
    "h265": "libx265",
    "hevc": "libx265",
    "vp9": "libvpx-vp9",
    "av1": "libsvtav1",
    "prores": "prores_ks",
    "ffv1": "ffv1",
    "mpeg4": "mpeg4",
}

# Measured on one core, 50 frames of 854×480: ms a frame, kB, PSNR in dB.
#   libx264 crf 18: superfast 7.3, 1121, 38.2; veryfast 11.5, 904, 38.6; faster 14.1, 907, 39.9; fast 19.6, 880, 40.5;
#   medium 24.0, 862, 40.6. libvpx-vp9 crf 24: good 4 59, 1015, 39.0; realtime 5 25, 1107, 39.3; 6 13.2, 1132, 39.2.
# cpu-independent: else x264 reads memory that was never written on CPUs with AVX-512, in the tree of macroblocks, and
# the same frames give other bytes from run to run. Costs 4 % of its time and 0.01 dB; mbtree=0 would cost 1.2 dB.
_OPTIONS = {
    "libx264": {"preset": "faster", "x264-params": "cpu-independent=1"},
    "libx265": {"preset": "veryfast", "x265-params": "log-level=none"},
    "libvpx-vp9": {"b": "0", "deadline": "realtime", "cpu-used": "6", "row-mt": "1"},
    "libsvtav1": {"preset": "9"},
    "prores_ks": {},
    "ffv1": {"level": "3"},
    "mpeg4": {},
}
_QUALITY = {"libx264": 18, "libx265": 20, "libvpx-vp9": 24, "libsvtav1": 28, "mpeg4": 3}
_MOST = 63
_LOOKAHEAD = 20  # frames that x264 looks ahead at, with this preset
_HELD = 192 << 20  # pixels that it may hold so
_HARDWARE = {"amf", "mediacodec", "mf", "nvenc", "qsv", "v4l2m2m", "vaapi", "videotoolbox", "vulkan"}


def choose(
    encoding: Encoding, suffix: str, *, width: int, height: int, alpha: bool, rate: Fraction, steady: bool
) -> Recipe:
    """Choose encoder, options and pixels for a film of this container and size; raise UsageError for unknown names."""
    if encoding.crf is not None and not 0 <= encoding.crf <= _MOST:
        raise UsageError(f"--crf {encoding.crf}: not a quality", hint=f"0 (best) to {_MOST} (smallest)")
    name, spare = _named(encoding.codec, suffix)
    notes = list[str]()
    if name not in _OPTIONS and not _opens(name, encoding.crf, width=width, height=height, rate=rate):
        if spare is None:
            raise UsageError(f"{name}: cannot be opened for this film", hint=f"choose one of {' '.join(_ENCODERS)}")
        notes.append(f"{name} cannot be opened on this machine: {spare} is used")
        name = spare
    if name == "libsvtav1":  # it prints to the terminal by itself, and listens to nothing else
        os.environ.setdefault("SVT_LOG", "0")
    layout, held = _layout(name, odd=bool(width % 2 or height % 2), alpha=alpha)
    if layout == "yuv444p":
        notes.append(f"odd size {width} × {height}: coded as 4:4:4, which some players cannot show")
    options = _OPTIONS.get(name, {}) | _quality(name, encoding.crf) | _timing(name, suffix, steady=steady)
    options |= _in_memory(name, width * height)
    return Recipe(name, options, layout, held, tuple(notes))


def _timing(name: str, suffix: str, *, steady: bool) -> dict[str, str]:
    """Return what makes an encoder keep times where the container would not."""
    if name == "libx265":
        return {"bf": "0"}  # with B-frames, films of one or two frames get times of chance (measured)
    if name != "libx264":
        return {}
    if suffix in (".ts", ".m2ts", ".mts"):  # would begin before zero; and readers take the rate from the codec there
        return {"bf": "0", "x264-params": f"{_OPTIONS[name]['x264-params']}:force-cfr=1"}
    if suffix == ".avi" or (suffix in (".mp4", ".m4v", ".mov") and not steady):
        return {"bf": "0"}  # one time a packet; and durations in order of decoding, wrong at the end of uneven films
    return {}


def _in_memory(name: str, pixels: int) -> dict[str, str]:
    """Return what keeps an encoder from holding dozens of frames that are larger than those of 4K."""
    frames = max(2, _HELD // pixels)
    if name != "libx264" or frames >= _LOOKAHEAD:
        return {}
    return {"rc-lookahead": str(frames), "threads": str(min(frames, os.cpu_count() or 1))}


def _named(codec: str, suffix: str) -> tuple[str, str | None]:
    if codec == "auto":
        # avi shows h264 a frame late
        return {".webm": "libvpx-vp9", ".avi": "mpeg4"}.get(suffix, "libx264"), None
    return encoder_of(codec)


def encoder_of(codec: str) -> tuple[str, str | None]:
    """Return the encoder that people mean, and one in software that can stand in for it; raise UsageError."""
    name = _ENCODERS.get(codec.lower(), codec.lower())
    family, _, maker = name.partition("_")
    spare = _ENCODERS.get(family) if maker in _HARDWARE else None
    if spare is None and not _encodes_films(name):
        hint = did_you_mean(codec, [*_ENCODERS, *filter(_encodes_films, sorted(av.codecs_available))])
        hint = hint if hint.startswith("did") else f"known: auto {' '.join(_ENCODERS)}, or the name of any encoder"
        raise UsageError(f"--codec {codec}: no such codec", hint=hint)
    return name, spare


def _encodes_films(name: str) -> bool:
    try:
        return Codec(name, "w").type == "video"
    except UnknownCodecError:
        return False


def _opens(name: str, crf: int | None, *, width: int, height: int, rate: Fraction) -> bool:
    """Try an encoder of which nobody can know whether its hardware is here."""
    if not _encodes_films(name):
        return False
    trial = CodecContext.create(name, "w")
    assert isinstance(trial, av.VideoCodecContext)
    trial.width, trial.height, trial.framerate, trial.time_base = width, height, rate, 1 / rate
    trial.pix_fmt = _layout(name, odd=bool(width % 2 or height % 2), alpha=False)[0]
    trial.options = _quality(name, crf)
    try:
        trial.open()
    except (av.FFmpegError, OSError, ValueError, RuntimeError):
        return False
    return True


def _layout(name: str, *, odd: bool, alpha: bool) -> tuple[str, bool]:
    """Return the pixel format of an encoder, and whether it holds transparency."""
    known = {f.name for f in Codec(name, "w").video_formats or ()}
    if name == "ffv1":
        return ("bgra", True) if alpha else ("bgr0", False)
    if name.startswith("prores"):
        return ("yuva444p10le", True) if alpha and "yuva444p10le" in known else ("yuv422p10le", False)
    if alpha and name == "libvpx-vp9":
        return "yuva420p", True
    if odd and any(family in name for family in ("264", "265", "hevc")) and "yuv444p" in known:
        return "yuv444p", False
    if not known or "yuv420p" in known:
        return "yuv420p", False
    return ("nv12" if "nv12" in known else sorted(known)[0]), False


def _quality(name: str, crf: int | None) -> dict[str, str]:
    """Spell one figure of quality the way an encoder wants it."""
    if name in ("prores_ks", "ffv1") or (name not in _QUALITY and "_" not in name):
        return {}
    value = _QUALITY.get(name, 20) if crf is None else crf
    if name == "mpeg4":
        scale = str(max(1, min(31, value)))
        return {"qmin": scale, "qmax": scale}  # it does not hear global_quality
    if name.endswith("_nvenc"):
        return {"rc": "vbr", "cq": str(value), "b": "0"}
    if name.endswith("_videotoolbox"):  # 1 to 100, more is better
        return {"flags": "+qscale", "global_quality": str(118 * max(1, 100 - 2 * value))}
    if name.endswith("_qsv"):
        return {"global_quality": str(value)}
    return {"crf": str(value)} if name in _QUALITY else {}
