"""What a picture takes, what there is, and where to keep what does not fit."""

import mmap
import os
import tempfile
from pathlib import Path

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from cyclegan.devices import return_freed_memory
from cyclegan.errors import InputError, shown
from cyclegan.translation.tiling import Box

MODEST = 1 << 30  # bytes on the CPU for layers at once: in tiles nothing is slower from there on (tools/NOTES.md)
STILL, PLAIN, STEADY = (
    24,
    150,
    200,
)  # bytes for each pixel: of a picture, of a film as measured at 5120 × 2880, steadied
PROBE = 64  # pixels a side of the picture that is measured
WORKSPACE = 2.2  # measured memory over the largest layer with its input: four networks, 1.8 to 2.4
_GROUPS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")  # limits of containers


def room(device: str) -> int:
    """Return how many bytes the layers of a picture may take on a device."""
    if device.startswith("cuda"):
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # torch's own cache
        return (int(torch.cuda.mem_get_info(device)[0]) + unused) // 2
    return min(MODEST, available() // 4)


def available() -> int:
    """Return how many bytes this process may still take: of the machine, of its container, and of `ulimit -v`."""
    process = psutil.Process()
    own = process.memory_info()
    texts = [path.read_text().strip() for path in map(Path, _GROUPS) if path.is_file()]
    left = [int(text) - own.rss for text in texts if text.isdigit()]
    if hasattr(process, "rlimit") and (limit := process.rlimit(psutil.RLIMIT_AS)[0]) >= 0:  # below 0 there is none
        left.append(limit - own.vms)
    return max(0, min(map(int, [psutil.virtual_memory().available, *left])))


def refuse_unaffordable(path: Path, pixels: int, *, each: int, hint: str = "close other programs") -> None:
    """Raise InputError where a file whose pictures have so many pixels takes more memory than there is.

    `each` is what a pixel takes in all, in bytes: STILL, PLAIN or STEADY. Else the system would end the whole process.
    """
    needed, left = pixels * each, available()
    if needed > left:  # what this process has freed, and kept
        return_freed_memory()
        left = available()
    if needed > left:
        what = (
            f"{pixels / 1e6:,.0f} megapixels take about {needed / 1e9:.1f} GB of memory, and {left / 1e9:.1f} are free"
        )
        raise InputError(f"{shown(path)}: {what}", hint=hint)


@torch.inference_mode()
def bytes_per_pixel(network: nn.Module, *, channels: int, side: int, device: str) -> float:
    """Return what a network takes for every pixel of a picture, measured on one of so many pixels a side; float32."""
    largest = 0

    def watch(layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal largest
        copies = 2 if getattr(layer, "padding_mode", "zeros") != "zeros" else 1
        largest = max(largest, output.numel() + copies * sum(tensor.numel() for tensor in inputs))

    layers = [module for module in network.modules() if not any(True for _ in module.children())]
    hooks = [layer.register_forward_hook(watch) for layer in layers]
    try:
        network(torch.zeros(1, channels, side, side, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return WORKSPACE * 4 * largest / side**2


class Kept:
    """One layer of a large picture (C, H, W): in memory, or in a file without a name where it is larger than that."""

    def __init__(self, channels: int, height: int, width: int, *, memory: int, device: str) -> None:
        count = channels * height * width
        self._map: mmap.mmap | None = None
        if 4 * count <= memory:
            self._values = torch.empty(height, width, channels, device=device).permute(2, 0, 1)
        else:  # half precision costs 0.02 levels of 255 on a real translator, and halves what the disk has to do
            self._map = _scratch(2 * count)
            layout = np.frombuffer(self._map, np.float16).reshape(height, width, channels)
            self._values = torch.from_numpy(layout).permute(2, 0, 1)
        self._device = device

    def put(self, box: Box, values: Tensor) -> None:
        """Store (C, h, w) at a box."""
        top = torch.finfo(self._values.dtype).max
        box(self._values).copy_(values.float().clamp(-top, top))
        self._let_go()

    def get(self, box: Box) -> Tensor:
        """Return what a box holds as (C, h, w), float32, channels last in memory."""
        found = box(self._values).to(self._device, torch.float32, copy=True)
        self._let_go()
        return found

    def _let_go(self) -> None:
        """Leave the file to the system's cache, so that it does not count as this process's memory."""
        if self._map is not None and hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def _scratch(size: int) -> mmap.mmap:
    """Return a file without a name, mapped; raise OSError when the disk has no room: later it would be a crash."""
    folder = os.environ.get("TMPDIR") or ("/var/tmp" if Path("/var/tmp").is_dir() else None)  # /tmp is often memory
    with tempfile.TemporaryFile(dir=folder) as file:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)
        else:
            file.truncate(size)
        return mmap.mmap(file.fileno(), size)
