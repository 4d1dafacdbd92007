"""How much memory a process takes, and took at most."""

import sys
from pathlib import Path

import torch

_STATUS = Path("/proc/self/status")


def resident() -> int:
    """Return the bytes of memory that this process takes; where only the peak is known, that."""
    return _status("VmRSS") if _STATUS.is_file() else peak("cpu")


def peak(device: str) -> int:
    """Return the most bytes that this process has taken: of the device's memory on CUDA, of the machine's elsewhere."""
    if device.startswith("cuda"):
        return int(torch.cuda.max_memory_allocated(device))
    if _STATUS.is_file():
        return _status("VmHWM")  # unlike getrusage's, it does not begin with what the parent took
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def _status(name: str) -> int:
    lines = _STATUS.read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) * 1024
