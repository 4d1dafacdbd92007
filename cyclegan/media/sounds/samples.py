"""Samples as files hold them, and as waveforms: float32 (T, channels), full scale ±1."""

from typing import Any, TypeAlias

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream
from numpy.typing import NDArray

Block: TypeAlias = NDArray[np.float32]

_BITS = {"u8": 8, "s16": 16, "s32": 32}
_PLANES = 8  # from so many on, av counts the planes of a frame beyond their end, and may crash: packed ones are safe
_LOSSLESS = {"flac", "alac", "wavpack", "tta", "truehd", "mlp", "pcm_bluray", "pcm_dvd"}


def waveform(frame: AudioFrame) -> Block:
    """Return the samples of a decoded frame, exactly where they have at most 24 bits."""
    if frame.format.is_planar and frame.layout.nb_channels >= _PLANES:
        packed = AudioResampler(format=frame.format.packed.name, layout=frame.layout, rate=frame.sample_rate)
        parts = [waveform(part) for part in [*packed.resample(frame), *packed.resample(None)]]
        return np.concatenate(parts)
    made: Any = frame.to_ndarray()
    made = made.T if frame.format.is_planar else made.reshape(-1, frame.layout.nb_channels)
    bits = _BITS.get(frame.format.name.removesuffix("p"))
    if bits == 8:
        return np.asarray((made.astype(np.float32) - 128) / 128, np.float32)
    if bits:
        return np.asarray(made * 0.5 ** (bits - 1), np.float32)
    with np.errstate(over="ignore"):  # 64 bits may hold what becomes infinite, and is counted then
        return np.asarray(made, np.float32)


def finite(block: Block) -> tuple[Block, int]:
    """Return a block with silence in place of NaN and infinities, and how many there were."""
    strange = ~np.isfinite(block)
    number = int(strange.sum())
    return (np.where(strange, np.float32(0), block), number) if number else (block, 0)


def clipped(block: Block) -> tuple[Block, int]:
    """Return a block within ±1, and how many samples were not."""
    number = int((np.abs(block) > 1).sum())
    return (np.clip(block, -1, 1), number) if number else (block, 0)


def frame_of(block: Block, *, layout: str, kind: str, bits: int) -> AudioFrame:
    """Return a frame of sample format `kind` made of a block within ±1, rounded to `bits` (0: floating point)."""
    packed = kind.removesuffix("p")
    kind = packed if block.shape[1] >= _PLANES else kind  # encoders take it, and part the channels themselves
    made: Any
    if bits:
        top = 1 << (bits - 1)
        whole = np.clip(np.rint(block.astype(np.float64) * top), -top, top - 1).astype(np.int64)
        held = _BITS[packed]
        made = (whole + 128 if held == 8 else whole << (held - bits)).astype({8: "u1", 16: "i2", 32: "i4"}[held])
    else:
        made = block.astype(np.float64 if packed == "dbl" else np.float32)
    shaped = made.T if kind.endswith("p") else made.reshape(1, -1)
    return AudioFrame.from_ndarray(np.ascontiguousarray(shaped), format=kind, layout=layout)


def depth_of(track: AudioStream, frame: AudioFrame) -> str:
    """Return what a track holds: u8, s16, s24, s32, flt or dbl; "lossy" where that says nothing of its quality."""
    name, packed = track.codec_context.name, frame.format.name.removesuffix("p")
    if name in _LOSSLESS:
        return "s24" if packed == "s32" else packed
    kind = name.removeprefix("pcm_")
    if kind == name or kind in ("alaw", "mulaw", "vidc"):
        return "lossy"
    return "s24" if packed == "s32" and "24" in kind else packed


def layout_of(frame: AudioFrame) -> str:
    """Name how the channels of a frame are heard; one or two that are not named are mono and stereo."""
    named = {1: "mono", 2: "stereo"} if "channels" in frame.layout.name else {}
    return named.get(frame.layout.nb_channels, frame.layout.name)
