"""A picture translated small gets its size and its fine detail back.

    result = Y(original) + up(translation - Y(reduced))              Y: luminance (BT.601); reduced: what was translated

This is the translation's Laplacian pyramid continued with the finest levels of the original's luminance (Burt and
Adelson 1983). Colours come from the translation alone, so nothing of the old domain's colour shines through.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

BAND = 256  # rows worked on at once, so that a large picture needs little beyond its own bytes
_SHARPNESS = -0.75  # of the cubic kernel, as torch and OpenCV have it
_LUMINANCE = (0.299, 0.587, 0.114)


def reduced(pixels: Tensor, short_side: int) -> Tensor:
    """Return uint8 (N, 3, H, W) with so many pixels on the short side, by antialiased bicubic; smaller ones as is."""
    height, width = pixels.shape[-2:]
    scale = short_side / min(height, width)
    if scale >= 1:
        return pixels
    return resized(pixels, [max(1, round(height * scale)), max(1, round(width * scale))])


def resized(pixels: Tensor, size: list[int]) -> Tensor:
    """Resize uint8 pictures (N, 3, H, W) by antialiased bicubic, which torch does in bytes on a CPU only."""
    if pixels.device.type == "cpu":  # channels last: of planes it takes five times as long, and fails for one pixel
        lying = pixels.contiguous(memory_format=torch.channels_last)
        return F.interpolate(lying, size=size, mode="bicubic", antialias=True)
    exact = F.interpolate(pixels.float(), size=size, mode="bicubic", antialias=True)
    return exact.round_().clamp_(0, 255).to(torch.uint8)


def with_detail(small: Tensor, *, original: Tensor) -> Tensor:
    """Return the translation of `reduced(original)` at the original's size, both uint8 (N, 3, H, W)."""
    height, width = original.shape[-2:]
    if small.shape[-2:] == (height, width):
        return small
    size = list(small.shape[-2:])
    change = small.float() - _luminance(resized(original, size))
    wide = F.interpolate(change, size=[size[0], width], mode="bicubic")
    rows, weights = _taps(size[0], height, device=small.device)
    result = torch.empty_like(original)
    for top in range(0, height, BAND):
        band = slice(top, top + BAND)
        tall = sum(wide[:, :, rows[tap, band]] * weights[tap, band, None] for tap in range(4))
        found = _luminance(original[:, :, band]) + tall
        result[:, :, band] = found.round_().clamp_(0, 255).to(torch.uint8)
    return result


def _luminance(pixels: Tensor) -> Tensor:
    weights = torch.tensor(_LUMINANCE, device=pixels.device)[:, None, None]
    return (pixels * weights).sum(dim=1, keepdim=True)


def _taps(small: int, large: int, *, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the four rows (4, large) that each new row is made of, and their weights: Keys's cubic, edges repeated."""
    centre = (torch.arange(large, dtype=torch.float64) + 0.5) * (small / large) - 0.5
    first, a = centre.floor() - 1, _SHARPNESS
    away = [(centre - first - tap).abs() for tap in range(4)]
    near = [((a + 2) * d - (a + 3)) * d * d + 1 for d in away]
    far = [((d - 5) * d + 8) * d * a - 4 * a for d in away]
    weights = torch.stack([far[0], near[1], near[2], far[3]]).float()
    rows = torch.stack([(first + tap).clamp(0, small - 1).long() for tap in range(4)])
    return rows.to(device), weights.to(device)
