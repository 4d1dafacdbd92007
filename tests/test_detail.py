"""A picture translated small is as large and as fine as the original again."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from cyclegan.translation import detail
from cyclegan.translation.detail import reduced, resized, with_detail


def picture(height: int, width: int, *, seed: int = 0) -> Tensor:
    """Return soft shapes with a fine grain of luminance on them."""
    chance = torch.Generator().manual_seed(seed)
    soft = F.interpolate(torch.rand(1, 3, 5, 7, generator=chance), size=(height, width), mode="bicubic") * 150 + 50
    grain = torch.randn(1, 1, height, width, generator=chance) * 8
    return (soft + grain).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize(("height", "width", "short"), [(97, 131, 32), (400, 301, 64), (33, 500, 16), (9, 8, 8)])
def test_a_translation_that_changes_nothing_gives_the_original_back(height: int, width: int, short: int) -> None:
    original = picture(height, width)
    result = with_detail(reduced(original, short), original=original)
    assert result.shape == original.shape
    assert result.dtype == torch.uint8
    assert (result.float() - original.float()).abs().mean() < 1.5


def test_pictures_are_resized_alike_however_they_lie() -> None:
    original = picture(33, 47)
    for size in ([9, 14], [1, 2], [2, 1], [80, 90]):
        expected = F.interpolate(original, size=size, mode="bicubic", antialias=True)
        assert torch.equal(resized(original, size), expected)
    mean = original.float().mean((2, 3))
    assert (resized(original, [1, 1])[..., 0, 0] - mean).abs().max() < 5, "of planes, torch fails"


def test_colour_comes_from_the_translation_and_detail_from_the_original() -> None:
    original = picture(200, 240)
    small = reduced(original, 50).flip(1)  # red and blue change places
    result = with_detail(small, original=original).float()
    assert (reduced(result.to(torch.uint8), 50).float() - small.float()).abs().mean() < 2.5, "seen from afar it is it"
    weights = torch.tensor([0.299, 0.587, 0.114])[:, None, None]
    plain = F.interpolate(small.float(), size=(200, 240), mode="bicubic")

    def fine(pixels: Tensor) -> Tensor:
        y = (pixels.float() * weights).sum(1, keepdim=True)
        return (y - F.avg_pool2d(y, 9, 1, 4))[..., 9:-9, 9:-9].flatten()

    assert torch.corrcoef(torch.stack([fine(original), fine(result)]))[0, 1] > 0.98
    assert torch.corrcoef(torch.stack([fine(original), fine(plain)]))[0, 1] < 0.5, "the control: without detail"


def test_grain_of_colour_does_not_shine_through() -> None:
    """What is only in the colour of the original is the old domain's: its luminance is all that is kept."""
    original = torch.full((1, 3, 64, 64), 100, dtype=torch.uint8)
    original[:, 0, ::2], original[:, 1, ::2] = 157, 71  # luminance 100.0 everywhere: 0.299·57 - 0.587·29 = 0.02
    small = torch.full((1, 3, 16, 16), 60, dtype=torch.uint8)
    assert (with_detail(small, original=original).float() - 60).abs().max() <= 1


def test_bands_join(monkeypatch: pytest.MonkeyPatch) -> None:
    original, small = picture(301, 90), picture(77, 23, seed=1)
    whole = with_detail(small, original=original)
    monkeypatch.setattr(detail, "BAND", 13)
    assert torch.equal(with_detail(small, original=original), whole)


def test_rows_are_those_of_torch() -> None:
    values = torch.randn(1, 1, 11, 1)
    rows, weights = detail._taps(11, 47, device=torch.device("cpu"))
    ours = (values[0, 0, :, 0][rows] * weights).sum(0)
    torch.testing.assert_close(ours, F.interpolate(values, size=[47, 1], mode="bicubic")[0, 0, :, 0], atol=1e-5, rtol=0)


def test_bytes_are_resized_on_a_cpu_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA has no antialiased bicubic kernel for uint8."""
    seen = []
    resize = F.interpolate

    def watched(x: Tensor, **options: object) -> Tensor:
        seen.append((x.device.type, x.dtype))
        return resize(x, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(F, "interpolate", watched)
    pixels = torch.empty(1, 3, 40, 60, dtype=torch.uint8, device="meta")
    assert reduced(pixels, 20).shape == (1, 3, 20, 30)
    assert reduced(pixels, 20).dtype == torch.uint8
    reduced(torch.zeros(1, 3, 40, 60, dtype=torch.uint8), 20)
    assert seen == [("meta", torch.float32)] * 2 + [("cpu", torch.uint8)]


def test_small_pictures_stay_and_constants_too() -> None:
    frames = picture(40, 60)
    assert reduced(frames, 40) is frames
    assert with_detail(frames, original=picture(40, 60, seed=1)) is frames
    assert reduced(frames, 20).shape == (1, 3, 20, 30)
    assert reduced(picture(1, 4000), 1).shape == (1, 3, 1, 4000)
    white = torch.full((2, 3, 50, 70), 255, dtype=torch.uint8)
    assert torch.equal(with_detail(reduced(white, 20), original=white), white)


LARGE = """
import resource, sys, torch
sys.path.insert(0, {root!r})
from cyclegan.translation.detail import reduced, resized, with_detail
torch.set_num_threads(1)
def run(side):
    original = torch.zeros(side, side, 3, dtype=torch.uint8).permute(2, 0, 1)[None]
    with_detail(reduced(original, 256), original=original)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
before = run(300)
print(run(4000) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_a_large_picture_needs_little_beyond_its_own_bytes() -> None:
    program = LARGE.format(root=str(Path(__file__).parents[1]))
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 300_000, "its own bytes, in and out, are 96 MB; in single precision they would be 400"
