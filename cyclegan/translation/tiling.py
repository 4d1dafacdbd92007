"""A picture larger than memory, in tiles without seams: the very result of the whole picture, to rounding.

Tiles show seams because instance norm judges each tile by itself. Statistics from a sample do not help: measured on a
real translator, 5 % off in a few layers are 4 levels of 255 in the picture, and iterating from there diverges. So the
network is taken layer by layer. The input of every instance norm is computed in tiles over the whole picture first,
which gives its mean and variance; then comes the next layer. What is small (a quarter of the side or less) is kept for
the layers behind it; what is large is computed again from what is kept. Neighbouring tiles overlap by what single
layers see, a few pixels, not by the receptive field of the network.
"""

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from cyclegan.networks.blocks import BlurHalve

JOINING: dict[object, Callable[[list[Tensor]], Tensor]] = {  # what has several inputs, all of the same place
    operator.add: lambda parts: parts[0] + parts[1],
    torch.cat: lambda parts: torch.cat(parts, dim=1),
}
KEPT_LEVEL = 2  # halvings from which on a layer is kept: at a quarter of the side it has a sixteenth of the pixels


@dataclass(frozen=True)
class Box:
    """Rows `top` to `bottom` and columns `left` to `right` of a layer, ends excluded."""

    top: int
    bottom: int
    left: int
    right: int

    def __call__(self, tensor: Tensor) -> Tensor:
        """Cut the box out of (..., H, W)."""
        return tensor[..., self.top : self.bottom, self.left : self.right]

    def __sub__(self, origin: tuple[int, int]) -> "Box":
        """Return the box as seen from another origin (row, column)."""
        down, right = origin
        return Box(self.top - down, self.bottom - down, self.left - right, self.right - right)


class Store(Protocol):
    """Holds one layer between its computation and its use: put and get a box, (C, h, w)."""

    def put(self, box: Box, values: Tensor) -> None: ...

    def get(self, box: Box) -> Tensor: ...


@dataclass(frozen=True)
class Reach:
    """How a layer looks at its input: `halves` is 1 where it halves the side, -1 where it doubles it."""

    pixels: int  # of the input, beyond those that lie under the output
    halves: int = 0


def reach(layer: object) -> Reach:
    """Return what a layer sees; raise NotImplementedError for one that is not local."""
    match layer:
        case nn.ConvTranspose2d(stride=(2, 2), padding=(1, 1), kernel_size=(3 | 4, _)):
            return Reach(1, halves=-1)
        case nn.Conv2d(stride=(2, 2), padding=(1, 1), kernel_size=(3 | 4, _)):
            return Reach(2, halves=1)
        case nn.Conv2d(stride=(1, 1), padding=(pixels, _), kernel_size=(size, _)) if size == 2 * pixels + 1:
            return Reach(pixels)
        case nn.Upsample(scale_factor=2.0):
            return Reach(1, halves=-1)
        case BlurHalve():
            return Reach(2, halves=1)
        case nn.ReLU() | nn.LeakyReLU() | nn.Tanh() | nn.Dropout() | nn.InstanceNorm2d() | nn.BatchNorm2d():
            return Reach(0)
        case _ if layer in JOINING:
            return Reach(0)
        case _:
            raise NotImplementedError(f"{layer}: cannot be taken in tiles")


class _Leaves(fx.Tracer):
    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        return not any(True for _ in module.children())


def in_float32(tensor: Tensor) -> Tensor:
    """Return a tensor in float32 at least: what norms compute in."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


class Moments:
    """Mean and variance of every channel, gathered tile by tile in double precision."""

    def __init__(self) -> None:
        self.count, self.mean, self.scatter = 0, torch.zeros(()), torch.zeros(())

    def add(self, tile: Tensor) -> None:
        """Take in a tile (1, C, H, W): the pairwise update of Chan, Golub and LeVeque 1979."""
        values = in_float32(tile[0]).flatten(1)
        count, mean = values.shape[1], values.mean(dim=1)
        scatter = (values - mean[:, None]).square_().sum(dim=1).double()  # five times as fast as torch.var_mean
        mean = mean.double()
        both = self.count + count
        apart = mean - self.mean.to(mean)
        self.scatter = self.scatter.to(mean) + scatter + apart.square() * (self.count * count / both)
        self.mean = self.mean.to(mean) + apart * (count / both)
        self.count = both


class Tiled:
    """A network that takes one picture layer by layer, in tiles."""

    def __init__(self, network: nn.Module) -> None:
        self.graph = _Leaves().trace(network)
        self.layers = dict(network.named_modules())
        self.levels = dict[fx.Node, int]()
        for node in self.graph.nodes:
            above = [self.levels[parent] for parent in node.all_input_nodes]
            halves = reach(self._layer(node)).halves if node.op.startswith("call") else 0
            self.levels[node] = max(above, default=0) + halves

    def __call__(
        self,
        read: Callable[[Box], Tensor],
        write: Callable[[Box, Tensor], None],
        *,
        size: tuple[int, int],
        tile: int,
        keep: Callable[[int, int, int], Store],
    ) -> None:
        """Translate a picture of `size` (H, W), multiples of what the network needs, in tiles of `tile` pixels a side.

        `read` gives (1, C, h, w) of a box of the picture, `write` takes (1, C, h, w) of the result; `keep` makes a
        store for so many channels, rows and columns.
        """
        work = _Work(self, read, size=size, tile=tile, keep=keep)
        for number, node in enumerate(work.sweeps):
            if node.op == "output":
                for box in work.boxes(0):
                    write(box, work.fetch(node.all_input_nodes[0], box))
            else:
                work.sweep(node)
            work.forget(number)

    def _layer(self, node: fx.Node) -> Any:
        return self.layers[str(node.target)] if node.op == "call_module" else node.target

    def judged(self, node: fx.Node) -> list[fx.Node]:
        """Return the instance norms that this layer goes into."""
        return [user for user in node.users if isinstance(self._layer(user), nn.InstanceNorm2d)]


class _Work:
    """What is known on the way through one picture: kept layers and statistics."""

    def __init__(
        self,
        tiled: Tiled,
        read: Callable[[Box], Tensor],
        *,
        size: tuple[int, int],
        tile: int,
        keep: Callable[[int, int, int], Store],
    ) -> None:
        self.tiled, self.read, self.size, self.tile, self.keep = tiled, read, size, tile, keep
        self.kept = dict[fx.Node, Store]()
        self.moments = dict[fx.Node, Moments]()
        self.sweeps = [node for node in tiled.graph.nodes if self._is_swept(node)]
        self.cones = [self._cone(node) for node in self.sweeps]

    def _is_kept(self, node: fx.Node) -> bool:
        small = node.op.startswith("call") and self.tiled.levels[node] >= KEPT_LEVEL
        return small and (bool(self.tiled.judged(node)) or node.target is operator.add)

    def _is_swept(self, node: fx.Node) -> bool:
        return node.op == "output" or bool(self.tiled.judged(node)) or self._is_kept(node)

    def _cone(self, node: fx.Node) -> set[fx.Node]:
        """Return the kept layers from which this one is computed."""
        parents = set(node.all_input_nodes)
        return set().union(*({p} if self._is_kept(p) else self._cone(p) for p in parents)) if parents else set()

    def boxes(self, level: int) -> Iterator[Box]:
        """Cut a layer into boxes of about equal size, with edges that every coarser layer has too."""
        height, width = (side >> level for side in self.size)
        rows, columns = (_cuts(side, max(1, self.tile >> level)) for side in (height, width))
        for (top, bottom), (left, right) in itertools.product(itertools.pairwise(rows), itertools.pairwise(columns)):
            yield Box(top, bottom, left, right)

    def sweep(self, node: fx.Node) -> None:
        """Compute a layer everywhere: for its statistics, and to keep it where it is small."""
        level, kept = self.tiled.levels[node], self._is_kept(node)
        judged = bool(self.tiled.judged(node))
        moments, store = Moments(), None
        for box in self.boxes(level):
            found = self.fetch(node, box)
            if judged:
                moments.add(found)
            if kept:
                store = store or self.keep(found.shape[1], *(side >> level for side in self.size))
                store.put(box, found[0])
        self.moments[node] = moments
        if store:
            self.kept[node] = store

    def forget(self, number: int) -> None:
        """Drop what no later sweep needs."""
        needed = set().union(*self.cones[number + 1 :])
        self.kept = {node: store for node, store in self.kept.items() if node in needed}

    def fetch(self, node: fx.Node, box: Box) -> Tensor:
        """Return a box of a layer, from what is kept or through the layers before it."""
        if node in self.kept:
            return self.kept[node].get(box)[None]
        if node.op == "placeholder":
            return self.read(box)
        layer = self.tiled._layer(node)
        if isinstance(layer, nn.InstanceNorm2d):
            return self._normalised(layer, node.all_input_nodes[0], box)
        sees = reach(layer)
        if layer in JOINING:
            return JOINING[layer]([self.fetch(parent, box) for parent in node.all_input_nodes])
        parent = node.all_input_nodes[0]
        wider, origin = self._under(box, sees, self.tiled.levels[parent])
        found: Tensor = layer(self.fetch(parent, wider))
        return (box - origin)(found).clone(memory_format=torch.channels_last)

    def _normalised(self, layer: nn.InstanceNorm2d, parent: fx.Node, box: Box) -> Tensor:
        known, x = self.moments[parent], in_float32(self.fetch(parent, box))
        mean, variance = known.mean.to(x), (known.scatter / known.count).to(x)
        return F.batch_norm(x, mean, variance, layer.weight, layer.bias, training=False, eps=layer.eps)

    def _under(self, box: Box, sees: Reach, level: int) -> tuple[Box, tuple[int, int]]:
        """Return the box of the input that a box of the output needs, and where the output of it begins.

        The layer pads it as it would the whole picture: right at the picture's edges, and elsewhere beyond the box.
        """
        top, bottom = _span(box.top, box.bottom, sees, self.size[0] >> level)
        left, right = _span(box.left, box.right, sees, self.size[1] >> level)
        begins = (_scaled(top, -sees.halves), _scaled(left, -sees.halves))
        return Box(top, bottom, left, right), begins


def _scaled(position: int, halves: int) -> int:
    return position << halves if halves >= 0 else position >> -halves


def _span(start: int, end: int, sees: Reach, side: int) -> tuple[int, int]:
    low = _scaled(start, sees.halves) - sees.pixels
    high = -(-end // 2) + sees.pixels if sees.halves < 0 else _scaled(end, sees.halves) + sees.pixels
    return max(0, low), min(side, high)


def _cuts(side: int, tile: int) -> list[int]:
    count = math.ceil(side / tile)
    return [side * i // count for i in range(count + 1)]
