"""Short sounds as the bytes of a WAV file."""

import io
import struct
import wave

import numpy as np
from numpy.typing import NDArray

CONVERTED = "synthetic voice: converted by styl, not spoken by the person it sounds like"  # in every file made


def encode_wav(samples: NDArray[np.floating], *, rate: int, comment: str = "") -> bytes:
    """Return samples (S,) of full scale ±1 as 16-bit PCM, with a comment that players show."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    text = comment.encode() + b"\0"
    text += b"\0" * (len(text) % 2)
    said = b"INFO" + b"ICMT" + struct.pack("<I", len(text)) + text
    whole = buffer.getvalue() + (b"LIST" + struct.pack("<I", len(said)) + said if comment else b"")
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]
