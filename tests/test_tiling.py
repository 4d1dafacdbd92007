"""A picture in tiles is the picture: exact for every network, in constant memory, and whatever memory does."""

import copy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from cyclegan.codecs import Pictures
from cyclegan.errors import OutOfMemory
from cyclegan.networks import ResNet, UNet, initialise
from cyclegan.translation import anysize
from cyclegan.translation.anysize import AnySize
from cyclegan.translation.memory import Kept, bytes_per_pixel, room
from cyclegan.translation.tiling import Box, Moments, Tiled

NETWORKS = {
    "strided": lambda: ResNet(width=8, blocks=3),
    "antialiased": lambda: ResNet(width=8, blocks=2, resample="antialiased", output="residual"),
    "light": lambda: ResNet(width=8, blocks=2, resample="light", separable=True),
    "nearest, zero padding": lambda: ResNet(width=8, blocks=2, resample="nearest", padding="zero"),
    "separable, affine": lambda: ResNet(width=8, blocks=2, separable=True, norm="instance-affine", dropout=0.5),
    "batch norm": lambda: ResNet(width=8, blocks=2, norm="batch"),
    "no norm": lambda: ResNet(width=8, blocks=1, norm="none"),
    "U-Net": lambda: UNet(width=8, depth=4),
}


def network(name: str) -> nn.Module:
    torch.manual_seed(1)
    made = initialise(NETWORKS[name](), gain=0.3)  # large enough that statistics matter
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return made.eval()


def uneven(height: int, width: int, *, seed: int = 0) -> Tensor:
    """Return a picture whose parts differ as much as they can: bright and flat here, dark and noisy there."""
    noise = torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(seed))
    strength = torch.linspace(0, 1, width) * torch.linspace(1, 0.2, height)[:, None]
    return ((noise * strength + (1 - strength) * 0.9) * 255).to(torch.uint8)


def applied(net: nn.Module, *, tile: int | None) -> AnySize:
    return AnySize(net, codec=Pictures(), device="cpu", tile=tile)


class Exactly:
    """Keeps a layer in double precision."""

    def __init__(self, *shape: int) -> None:
        self.values = torch.empty(shape, dtype=torch.float64)

    def put(self, box: Box, values: Tensor) -> None:
        box(self.values).copy_(values)

    def get(self, box: Box) -> Tensor:
        return box(self.values).clone()


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("height", "width", "tile"), [(96, 160, 48), (112, 64, 33), (16, 304, 64), (128, 16, 16)])
def test_tiles_are_the_whole_picture(name: str, height: int, width: int, tile: int) -> None:
    net, picture = network(name).double(), uneven(height, width).double().div(127.5).sub(1)
    tiled = torch.full_like(picture, torch.nan)
    with torch.inference_mode():
        write = lambda box, values: box(tiled).copy_(values)  # noqa: E731
        Tiled(net)(lambda box: box(picture), write, size=(height, width), tile=tile, keep=Exactly)
        assert (tiled - net(picture)).abs().max() < 1e-4, "the norms of the whole picture are in single precision"


@pytest.mark.parametrize(("height", "width", "tile"), [(101, 67, 33), (7, 300, 64), (64, 64, 48), (90, 30, 1000)])
def test_any_size_in_tiles_is_the_size_it_was(height: int, width: int, tile: int) -> None:
    net, frames = network("strided"), uneven(height, width)
    whole, tiled = applied(net, tile=0)(frames), applied(net, tile=tile)(frames)
    assert tiled.shape == frames.shape
    assert (tiled.float() - whole.float()).abs().max() <= 1


def test_large_pictures_are_those_of_float64_to_a_level() -> None:
    net, frames = network("separable, affine"), uneven(896, 1024)
    with torch.inference_mode():
        exact = Pictures().decode(copy.deepcopy(net).double()(frames.double() / 127.5 - 1))
    for tile in (0, 256):
        assert (applied(net, tile=tile)(frames).float() - exact.float()).abs().max() <= 1


def test_what_torch_keeps_of_a_gpu_counts_as_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (1000, 8000))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda _: 5000)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda _: 2000)
    assert room("cuda") == (1000 + 3000) // 2


def test_without_the_statistics_of_the_whole_there_are_seams() -> None:
    net, frames = network("strided"), uneven(96, 160)
    whole = applied(net, tile=0)(frames).float()
    apart = torch.cat([applied(net, tile=0)(part) for part in frames.split(80, dim=-1)], dim=-1).float()
    assert (apart - whole).abs().mean() > 5, "the picture is too even for this test to mean anything"


def test_every_picture_of_a_batch_has_its_own_statistics() -> None:
    net, frames = network("strided"), torch.cat([uneven(64, 64), 255 - uneven(64, 64, seed=1)])
    together = applied(net, tile=32)(frames)
    assert torch.equal(together, torch.cat([applied(net, tile=32)(frame[None]) for frame in frames]))


def test_moments_of_parts_are_the_moments_of_the_whole() -> None:
    values = torch.tensor([1.0, 2, 3, 4, 10, 20]).reshape(1, 1, 1, 6) + 1e4
    moments = Moments()
    for part in values.split([1, 3, 2], dim=-1):
        moments.add(part)
    assert float(moments.mean) == pytest.approx(1e4 + 40 / 6, abs=1e-3)
    assert float(moments.scatter / moments.count) == pytest.approx(530 / 6 - (40 / 6) ** 2, rel=1e-3)  # by hand


def test_what_is_kept_is_let_go() -> None:
    alive, most = set[int](), 0

    class Counted(Kept):
        def __init__(self, *shape: int) -> None:
            nonlocal most
            super().__init__(*shape, memory=1 << 30, device="cpu")
            alive.add(id(self))
            most = max(most, len(alive))

        def __del__(self) -> None:
            alive.discard(id(self))

    picture, result = uneven(64, 64).float().div(127.5).sub(1), torch.empty(1, 3, 64, 64)
    with torch.inference_mode():
        tiled = Tiled(network("strided"))
        tiled(lambda b: b(picture), lambda b, r: b(result).copy_(r), size=(64, 64), tile=32, keep=Counted)
    assert most <= 5
    assert not alive


def test_a_layer_that_is_not_local_is_refused_by_name() -> None:
    with pytest.raises(NotImplementedError, match="Linear"):
        Tiled(nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Linear(4, 4)))
    with pytest.raises(NotImplementedError, match="Conv2d"):
        Tiled(nn.Sequential(nn.Conv2d(3, 3, 3)))  # unpadded: the picture would shrink


@pytest.mark.parametrize("memory_", [1 << 30, 0], ids=["in memory", "in a file"])
def test_a_kept_layer_comes_back(memory_: int) -> None:
    kept = Kept(3, 40, 50, memory=memory_, device="cpu")
    values = torch.randn(3, 40, 50)
    for box in (Box(0, 17, 0, 50), Box(17, 40, 0, 9), Box(17, 40, 9, 50)):
        kept.put(box, box(values))
    inner = Box(10, 30, 5, 20)
    assert (kept.get(inner) - inner(values)).abs().max() <= (0 if memory_ else 2e-3)
    kept.put(inner, torch.full((3, 20, 15), 1e9))
    assert kept.get(inner).isfinite().all()


def test_scratch_in_a_file_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anysize, "room", lambda device: 0)
    net, frames = network("strided"), uneven(96, 160)
    whole, tiled = applied(net, tile=0)(frames).float(), applied(net, tile=48)(frames).float()
    assert (tiled - whole).abs().mean() < 0.1


def test_a_full_disk_is_an_error_and_not_a_crash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with pytest.raises(OSError):
        Kept(1 << 20, 1 << 20, 1 << 10, memory=0, device="cpu")
    assert not list(tmp_path.iterdir())


def test_memory_decides_between_whole_and_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    applied_ = applied(network("strided"), tile=None)
    per_pixel = bytes_per_pixel(applied_.network, channels=3, side=64, device="cpu")
    monkeypatch.setattr(anysize, "room", lambda device: int(per_pixel * 200 * 200))
    calls = list[str]()
    monkeypatch.setattr(applied_, "_whole", lambda frames: calls.append("whole"))
    monkeypatch.setattr(applied_, "_in_tiles", lambda frames, tile: calls.append(f"tiles of {tile}"))
    applied_(uneven(200, 199))
    applied_(uneven(200, 201))
    assert calls == ["whole", "tiles of 141"]  # half the room: 200 / √2


def test_out_of_memory_halves_the_tile_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    said = list[str]()
    applied_ = AnySize(network("strided"), codec=Pictures(), device="cpu", tell=said.append)
    right, tiles = applied(applied_.network, tile=0)(uneven(300, 400)), applied_._in_tiles
    monkeypatch.setattr(applied_, "_whole", raising(RuntimeError("DefaultCPUAllocator: can't allocate memory")))
    monkeypatch.setattr(applied_, "_in_tiles", lambda f, t: tiles(f, t) if t <= 100 else raising(MemoryError())())
    assert (applied_(uneven(300, 400)).float() - right.float()).abs().max() <= 1
    assert said == [f"note: 400 × 300 pixels: out of memory; now in tiles of {side}" for side in (200, 100)]
    monkeypatch.setattr(applied_, "_in_tiles", raising(torch.OutOfMemoryError("CUDA out of memory")))
    with pytest.raises(OutOfMemory, match="400 × 300 pixels: not enough memory"):
        applied_(uneven(300, 400))
    monkeypatch.setattr(applied_, "_whole", raising(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        applied_(uneven(300, 400))


def raising(error: Exception) -> object:
    def fail(*_: object) -> None:
        raise error

    return fail


HUGE = """
import resource, sys, numpy, torch
sys.path.insert(0, {root!r})
from cyclegan.codecs import Pictures
from cyclegan.networks import ResNet
from cyclegan.translation.anysize import AnySize
torch.set_num_threads(1)
paint = AnySize(ResNet(width=8, blocks=1).eval(), codec=Pictures(), device="cpu", tile=512)
paint(torch.zeros(1, 3, 600, 600, dtype=torch.uint8))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
paint(torch.zeros(1, 3, 2400, 2400, dtype=torch.uint8))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_memory_follows_the_tile_and_not_the_picture() -> None:
    program = HUGE.format(root=str(Path(__file__).parents[1]))
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert int(found.stdout) < 150_000, "sixteen times the pixels; whole they take 700 MB"
