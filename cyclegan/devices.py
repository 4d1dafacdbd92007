"""Where to compute: the device a person names, or the best there is."""

import ctypes
import os
import sys

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
