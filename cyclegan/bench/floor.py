"""The floor under every time: what a case must compute and move, over the best that this very machine was seen to do.

That best is of matrix products, convolutions and the largest operations of the case itself, each alone; the last are
measured in turns with the case, since a machine that was busy or cool before is another machine.
"""

import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only
from torch.utils.flop_counter import flop_registry

from cyclegan.objectives import Objective
from cyclegan.training.environment import describe

PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
ADAM_BYTES = 28  # a parameter: it, its gradient and two moments are read, all but the gradient written, in float32
LARGEST = 6  # operations of a case that are timed by themselves
SHAPES = [(1, 256, 64), (2, 256, 64), (1, 128, 128), (1, 64, 256), (1, 512, 32)]  # pictures, channels, pixels a side
AVERAGE_BYTES = 12  # a parameter: it and its average are read, the average written


@dataclass(frozen=True)
class Operation:
    """A convolution or a matrix product: what is called, on tensors told by their shapes, and how much it computes."""

    call: Any
    arguments: tuple[Any, ...]
    flops: float

    def rate(self, device: str, *, precision: str, seconds: float) -> float:
        """Return the most operations a second that it reaches by itself, on numbers that mean nothing."""

        def made(shape: _Shape) -> Tensor:
            tensor = torch.rand(shape.sides, device=device, dtype=PRECISIONS[precision])
            return tensor.to(memory_format=torch.channels_last) if tensor.ndim == 4 and device != "mps" else tensor

        arguments, named = tree_map_only(_Shape, made, self.arguments)
        return self.flops / _best(lambda: self.call(*arguments, **named), device, seconds)


@dataclass(frozen=True)
class _Shape:
    """Stands for a tensor among an operation's arguments."""

    sides: tuple[int, ...]


@dataclass(frozen=True)
class Work:
    """What a case cannot do without: `flops` (two a multiply-add), and `bytes` to and from memory.

    Bytes are counted at their lowest: convolutions and matrix products read their inputs and weights and write their
    results once, an optimiser reads and writes its state once, and all between them is free, since it can be fused.
    `operations` are what it is made of, each kind and shape once.
    """

    flops: float
    bytes: float
    operations: Mapping[str, Operation] = field(default_factory=dict, compare=False, repr=False)

    def __add__(self, other: "Work") -> "Work":
        return Work(self.flops + other.flops, self.bytes + other.bytes, {**self.operations, **other.operations})

    def __rmul__(self, times: float) -> "Work":
        return Work(times * self.flops, times * self.bytes, self.operations)

    @torch.inference_mode()
    def rate(self, device: str, *, precision: str, seconds: float) -> float:
        """Return the most operations a second that one of its largest operations reaches; 0 where there is none."""
        largest = sorted(self.operations.values(), key=lambda one: one.flops, reverse=True)[:LARGEST]
        return max((one.rate(device, precision=precision, seconds=seconds / LARGEST) for one in largest), default=0.0)


@dataclass(frozen=True)
class Floor:
    """The best that a device was seen to do: operations a second by precision, bytes a second moved; and which it is.

    Convolutions count beside matrix products, because on some CPUs they are the faster ones.
    """

    rates: dict[str, float]
    bandwidth: float
    machine: dict[str, Any]

    def seconds(self, work: Work, *, precision: str, rate: float = 0.0) -> float:
        """Return the least time that work can take: computing and moving bytes go on side by side.

        `rate` is what was seen of its own operations.
        """
        return max(work.flops / max(rate, self.rates[precision]), work.bytes / self.bandwidth)


def measure(device: str, *, seconds: float = 0.3) -> Floor:
    """Measure a device, so many seconds a shape."""
    rates = {name: max(_rates(device, kind, seconds)) for name, kind in PRECISIONS.items()}
    known = describe(device)
    machine = {name: known[name] for name in ("cores", "threads", "device", "device_name", "python")}
    return Floor(rates, _bandwidth(device, seconds), machine | {"torch": torch.__version__, "on": platform.platform()})


@torch.inference_mode()
def _rates(device: str, kind: torch.dtype, seconds: float) -> Iterator[float]:
    """Yield operations a second of matrix products and of 3×3 convolutions, wide and deep, of one picture and more."""
    large = device.startswith("cuda")
    for side in (4096, 8192) if large else (1024, 1536):
        a, b = (torch.rand(side, side, device=device, dtype=kind) for _ in range(2))
        yield 2 * side**3 / _best(lambda a=a, b=b: a @ b, device, seconds)  # type: ignore[misc]
    for batch, channels, side in [(n * (8 if large else 1), c, s) for n, c, s in SHAPES]:
        conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False, device=device, dtype=kind)
        conv = conv.to(memory_format=torch.channels_last)
        x = torch.rand(batch, channels, side, side, device=device, dtype=kind).to(memory_format=torch.channels_last)
        yield 2 * 9 * channels * x.numel() / _best(lambda conv=conv, x=x: conv(x), device, seconds)  # type: ignore[misc]


@torch.inference_mode()
def _bandwidth(device: str, seconds: float) -> float:
    """Return bytes a second that are moved where no cache holds them: copied, filled, or added up."""
    count = 1 << (28 if device.startswith("cuda") else 26)
    source, target = (torch.zeros(count, device=device) for _ in range(2))
    moves: list[tuple[int, Callable[[], object]]] = [(2, lambda: target.copy_(source)), (1, lambda: target.fill_(1.0))]
    moves += [(1, source.sum)]
    return max(times * source.nbytes / _best(move, device, seconds) for times, move in moves)


def _best(play: Callable[[], object], device: str, seconds: float) -> float:
    """Return the least time that something takes, of at least two tries after one that warms up."""
    times = list[float]()
    while len(times) < 3 or sum(times) < seconds:
        start = time.perf_counter()
        play()
        wait(device)
        times.append(time.perf_counter() - start)
    return min(times[1:])


def wait(device: str) -> None:
    """Wait until a device has done what it was asked for."""
    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
    elif device == "mps":
        torch.mps.synchronize()


class _Tally(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what convolutions and matrix products compute, take and give."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = self.bytes = 0
        self.operations: dict[str, Operation] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        result = func(*args, **named)
        count = flop_registry.get(func.overloadpacket)
        if count:
            flops = count(*args, **named, out_val=result)
            given = tree_map_only(Tensor, lambda t: _Shape(tuple(t.shape)), (args, named))
            self.operations.setdefault(f"{func} {given}", Operation(func, given, flops))
            self.flops += flops
            self.bytes += sum(t.nbytes for t in tree_leaves((args, result)) if isinstance(t, Tensor))
        return result


def work_of(play: Callable[[], object], *, precision: str) -> Work:
    """Count what one call takes, gradients included, without computing: tensors made in it have shapes and no values.

    It is played in float32; its bytes are those of `precision`.
    """
    with FakeTensorMode(allow_non_fake_inputs=True), _Tally() as tally:
        play()
    return Work(tally.flops, tally.bytes * PRECISIONS[precision].itemsize / 4, tally.operations)


def work_of_translating(network: nn.Module, shape: Sequence[int], *, precision: str) -> Work:
    """Count the work of one pass over pictures (N, C, H, W); `network` lies on the CPU, in float32."""

    @torch.no_grad()  # in inference mode, convolutions have other names
    def play() -> None:
        network(torch.empty(*shape))

    return work_of(play, precision=precision)


def work_of_game(build: Callable[[], Objective], shape: Sequence[int], *, precision: str) -> Work:
    """Count the work of one game on pictures (N, C, H, W) of each domain: turns, gradients, Adam's steps, the average.

    `build` makes the objective, with the `step` and `progress` of that game.
    """
    state = 0

    def play() -> None:
        nonlocal state
        objective, pictures = build(), torch.empty(*shape)
        moved = {name: _parameters(objective, networks) for name, networks in objective.players.items()}
        for turn in objective.turns(pictures, pictures):
            torch.autograd.backward(turn.loss, inputs=moved[turn.player])
        state = ADAM_BYTES * sum(p.numel() for parameters in moved.values() for p in parameters)
        state += AVERAGE_BYTES * sum(p.numel() for p in _parameters(objective, objective.averaged))

    return work_of(play, precision=precision) + Work(0, state)


def _parameters(objective: Objective, networks: Sequence[str]) -> list[nn.Parameter]:
    return [p for name in networks for p in objective.get_submodule(name).parameters()]
