"""Where to compute: the device a person names, or the best there is."""

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from typing import Any

import torch

from cyclegan.errors import UsageError

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # glibc's malloc.h
GROWTH = 64 << 20  # bytes that the heap grows by at least


def cores() -> int:
    """Return how many CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def keep_freed_memory(device: str) -> None:
    """Let this process keep what it frees on a CPU, where the C library is glibc.

    Else every large layer is mapped anew and its pages are cleared again: an eighth of the time of a training, up to
    half of that of a large picture (tools/NOTES.md).
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" and device == "cpu" else None
    if mallopt:
        mallopt(M_MMAP_MAX, 0)
        mallopt(M_TRIM_THRESHOLD, -1)
        mallopt(M_TOP_PAD, GROWTH)


@contextlib.contextmanager
def exact_float32() -> Iterator[None]:
    """Compute in IEEE float32 for as long as the block lasts: no TF32, which NVIDIA's convolutions use by default.

    TF32 keeps ten bits of the mantissa: good enough to train with, up to 19 levels of 255 off in a translation.
    """
    cudnn: Any = torch.backends.cudnn
    parts: tuple[Any, ...] = (cudnn.conv, cudnn.rnn, torch.backends.cuda.matmul)
    before = [part.fp32_precision for part in parts]
    for part in parts:
        part.fp32_precision = "ieee"
    try:
        yield
    finally:
        for part, precision in zip(parts, before, strict=True):
            part.fp32_precision = precision


def return_freed_memory() -> None:
    """Give what this process has freed back to the system, where the C library is glibc."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def has_bfloat16(device: str) -> bool:
    """Tell whether a device multiplies in bfloat16 faster than in float32."""
    if device.startswith("cuda"):
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    known = torch.cpu.get_capabilities() if device == "cpu" else {}
    return bool(known.get("amx_bf16") or known.get("avx512_bf16"))


def choose_device(wanted: str) -> str:
    """Return the device to use; "auto" is CUDA, then Apple's, then the CPU. Raises UsageError for one not there."""
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, index = wanted.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not index.isdigit()):
        raise UsageError(f"--device {wanted}: not a device", hint="auto, cpu, cuda, cuda:1 or mps")
    there = {"cpu": True, "cuda": cuda and int(index or 0) < torch.cuda.device_count(), "mps": mps}
    if not there[kind]:
        raise UsageError(f"--device {wanted}: this machine has none", hint="--device auto takes what there is")
    return wanted
