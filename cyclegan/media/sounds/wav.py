"""Short sounds as the bytes of a WAV file."""

import io
import struct
import wave

import numpy as np
from numpy.typing import NDArray

CONVERTED = "synthetic voice: converted by styl, not spoken by the person it sounds like"  # in every file made


def encode_wav(samples: NDArray[np.floating], *, rate: int, title: str = "", comment: str = "") -> bytes:
    """Return samples (S,) of full scale ±1 as 16-bit PCM, with a title and a comment that players show."""
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    texts = {b"INAM": title, b"ICMT": comment}
    said = b"".join(_chunk(name, text.encode() + b"\0") for name, text in texts.items() if text)
    whole = buffer.getvalue() + (_chunk(b"LIST", b"INFO" + said) if said else b"")
    return whole[:4] + struct.pack("<I", len(whole) - 8) + whole[8:]


def _chunk(name: bytes, data: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)
    return name + struct.pack("<I", len(data)) + data
