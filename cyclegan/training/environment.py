"""Where a run takes place: device, threads, versions; what is needed to understand a result later."""

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from cyclegan.devices import cores

PACKAGES = ("styl", "torch", "torchvision", "kornia", "albumentations", "numpy", "pillow", "safetensors")


def describe(device: str) -> dict[str, Any]:
    """Return command, versions, device, threads and the program's own commit."""
    return {
        "command": sys.argv,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
        "device": device,
        "device_name": _device_name(device),
        "threads": torch.get_num_threads(),
        "cores": cores(),
    }


def circumstances(device: str) -> dict[str, Any]:
    """Return what a result depends on to the last bit, besides experiment and pictures."""
    return {"torch": str(torch.__version__), "device": _device_name(device), "threads": torch.get_num_threads()}


def _device_name(device: str) -> str:
    if device.startswith("cuda"):
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """Return the git commit of the checkout that the program runs from, if it does."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    try:
        found = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
