"""A network that takes pictures of any size: extended to what it needs, whole where memory allows, else in tiles."""

import math
from collections import Counter
from collections.abc import Callable
from functools import cached_property

import torch
from torch import Tensor, nn

from cyclegan.codecs import Pictures
from cyclegan.devices import exact_float32
from cyclegan.errors import OutOfMemory, UsageError, out_of_memory
from cyclegan.networks.compiling import compiled
from cyclegan.translation.exported import Exported
from cyclegan.translation.memory import PROBE, Kept, bytes_per_pixel, room
from cyclegan.translation.tiling import Box, Tiled

LARGEST_TILE = {"cpu": 512}  # pixels a side; more leaves the caches of a CPU
LARGEST_ELSEWHERE = 2048
SMALLEST_TILE = 64
COMPILING = ("cuda",)  # devices; on CPUs what is compiled was slower than what oneDNN does (tools/NOTES.md)
OFTEN = 100  # passes of one shape, from which on compiling pays
TILES = "the weights it was made from are translated in tiles: name those with -m"


class AnySize:
    """Translates batches (N, C, H, W), uint8 or floating point in [-1, 1], to the same kind and size.

    `tile` is the side of the tiles in pixels; 0 forbids them, None leaves it to memory. `tell` gets a line where memory
    turned out to be less than it seemed.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        codec: Pictures,
        device: str,
        tile: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> None:
        # channels last is what fast convolutions of CPUs and of CUDA read
        self.layout = torch.contiguous_format if device == "mps" else torch.channels_last
        self.network = network.to(device).to(memory_format=self.layout).eval().requires_grad_(False)
        self.codec, self.device, self.tile, self.tell = codec, device, tile, tell
        self.passes = Counter[torch.Size]()
        self.always_whole = isinstance(network, Exported)
        if tile and self.always_whole:
            raise UsageError(f"--tile {tile}: an exported model takes pictures whole", hint=TILES)

    @exact_float32()
    @torch.inference_mode()
    def __call__(self, frames: Tensor) -> Tensor:
        """Translate a batch; raises OutOfMemory when memory does not even hold a tile."""
        tile = self._tile(frames)
        while True:
            try:
                return self._whole(frames) if tile == 0 else self._in_tiles(frames, tile)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                shortage = error.with_traceback(None)  # which would hold on to what fills the memory
            tile = self._smaller(frames, tile, shortage)

    def _tile(self, frames: Tensor) -> int:
        height, width = frames.shape[-2:]
        if self.tile is not None:
            return self.tile if self.tile < max(height, width) else 0
        if self.always_whole:
            return 0
        space = room(self.device)
        if len(frames) * height * width * self._bytes_per_pixel <= space:
            return 0
        side = math.isqrt(int(space / 2 / self._bytes_per_pixel))
        return max(SMALLEST_TILE, min(side, LARGEST_TILE.get(self.device, LARGEST_ELSEWHERE)))

    def _smaller(self, frames: Tensor, tile: int, shortage: BaseException) -> int:
        height, width = frames.shape[-2:]
        smaller = (tile or max(height, width)) // 2
        if self.tile == 0 or self.always_whole or smaller < SMALLEST_TILE:
            hint = "without --tile 0 it is translated in tiles" if self.tile == 0 else "close other programs"
            hint = TILES if self.always_whole else hint
            raise OutOfMemory(f"{width} × {height} pixels: not enough memory", hint=hint) from shortage
        if self.device.startswith("cuda"):
            torch.cuda.empty_cache()
        self.tell(f"note: {width} × {height} pixels: out of memory; now in tiles of {smaller}")
        return smaller

    @cached_property
    def _bytes_per_pixel(self) -> float:
        return bytes_per_pixel(
            self.network, channels=self.codec.channels, side=self._extended(PROBE), device=self.device
        )

    @cached_property
    def _tiled(self) -> Tiled:
        return Tiled(self.network)

    def _extended(self, side: int) -> int:
        multiple, smallest = int(self.network.multiple), int(self.network.smallest)  # type: ignore[arg-type]
        return max(-(-side // multiple) * multiple, smallest)

    def _whole(self, frames: Tensor) -> Tensor:
        height, width = frames.shape[-2:]
        everything = Box(0, self._extended(height), 0, self._extended(width))
        result = self._translated(self._read(frames, everything))
        return self._decoded(result[..., :height, :width], like=frames)

    def _translated(self, x: Tensor) -> Tensor:
        """Pass pictures through the network, compiled where many of one shape have come by on CUDA."""
        self.passes[x.shape] += 1
        often = self.device.startswith(COMPILING) and self.passes[x.shape] > OFTEN
        result: Tensor = self._compiled(x) if often else self.network(x)
        return result

    @cached_property
    def _compiled(self) -> Callable[[Tensor], Tensor]:
        return compiled(self.network)

    def _in_tiles(self, frames: Tensor, tile: int) -> Tensor:
        height, width = frames.shape[-2:]
        result = torch.empty_like(frames)
        memory = room(self.device) // 5  # about five layers are kept at a time

        def keep(channels: int, rows: int, columns: int) -> Kept:
            return Kept(channels, rows, columns, memory=memory, device=self.device)

        for frame, target in zip(frames, result, strict=True):

            def read(box: Box, frame: Tensor = frame) -> Tensor:
                return self._read(frame[None], box)

            def write(box: Box, values: Tensor, target: Tensor = target) -> None:
                inside = box(target)  # cut off at the picture's own edges
                decoded = self._decoded(values[0], like=target)
                inside.copy_(decoded[..., : inside.shape[-2], : inside.shape[-1]])

            size = self._extended(height), self._extended(width)
            self._tiled(read, write, size=size, tile=tile, keep=keep)
        return result

    def _read(self, frames: Tensor, box: Box) -> Tensor:
        """Return a box of the extended pictures in [-1, 1], on the device."""
        height, width = frames.shape[-2:]
        if box.bottom <= height and box.right <= width:
            cut = box(frames)
        else:
            rows, columns = _mirrored(box.top, box.bottom, height), _mirrored(box.left, box.right, width)
            cut = frames.index_select(-2, rows.to(frames.device)).index_select(-1, columns.to(frames.device))
        cut = cut.to(self.device)
        numbers = self.codec.encode(cut) if cut.dtype == torch.uint8 else cut.float()
        return numbers.contiguous(memory_format=self.layout)

    def _decoded(self, values: Tensor, *, like: Tensor) -> Tensor:
        return (self.codec.decode(values) if like.dtype == torch.uint8 else values.to(like.dtype)).to(like.device)


def _mirrored(start: int, end: int, side: int) -> Tensor:
    """Return positions of a side that is mirrored on at its far edge; where it is too short, its last is repeated."""
    positions = torch.arange(start, end)
    mirrored = 2 * (side - 1) - positions
    beyond = mirrored if end <= 2 * side - 1 else torch.full_like(positions, side - 1)
    return torch.where(positions < side, positions, beyond)
