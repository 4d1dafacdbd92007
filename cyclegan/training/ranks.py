"""This process among those that torchrun started: gradients, chance and decisions are shared, only rank 0 writes.

One process alone is the usual case, and every operation then does nothing.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from datetime import timedelta

import torch
from torch import Tensor
from torch import distributed as dist

from cyclegan.errors import StoppedEarly, UsageError

State = dict[str, Tensor]
STEP = timedelta(minutes=10)  # that one rank waits for another in the middle of a step, before it gives up
WORK = timedelta(days=7)  # while the first rank scans folders, validates or saves; a rank that dies is noticed at once


class Ranks:
    """`count` processes play together; this one is number `rank` of them."""

    rank, count = 0, 1

    @property
    def first(self) -> bool:
        """Whether this process writes and speaks for all."""
        return self.rank == 0

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors, in place, by their mean over the ranks."""

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return every rank's tensor of this shape, in their order."""
        return [tensor]

    def largest(self, number: float) -> float:
        """Return the largest of the ranks' numbers, so that all decide alike."""
        return number

    def shared(self, state: State) -> State:
        """Return rank 0's tensors by name, whatever this rank has."""
        return state

    def told(self, text: bytes) -> bytes:
        """Return rank 0's bytes, whatever this rank has."""
        return text

    def together(self) -> None:
        """Wait until every rank is here, however long the first one has worked alone."""


class ManyRanks(Ranks):
    """Ranks that talk through torch.distributed: NCCL between GPUs, gloo for the rest."""

    def __init__(self) -> None:
        self.rank, self.count = dist.get_rank(), dist.get_world_size()
        patient = dist.new_group(backend="gloo", timeout=WORK)
        assert isinstance(patient, dist.ProcessGroup)
        self.patient = patient

    def average_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors, in place, by their mean over the ranks: one message, whatever their number."""
        flat = torch.cat([t.flatten() for t in tensors])
        dist.all_reduce(flat)
        pieces = torch.split(flat / self.count, [t.numel() for t in tensors])
        torch._foreach_copy_(list(tensors), [piece.view_as(t) for piece, t in zip(pieces, tensors, strict=True)])

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return every rank's tensor of this shape, in their order."""
        tensor = tensor.contiguous()
        parts = [torch.empty_like(tensor) for _ in range(self.count)]
        dist.all_gather(parts, tensor)
        return parts

    def largest(self, number: float) -> float:
        """Return the largest of the ranks' numbers, so that all decide alike."""
        shared = torch.tensor(number, dtype=torch.float64)
        dist.all_reduce(shared, op=dist.ReduceOp.MAX)
        return shared.item()

    def shared(self, state: State) -> State:
        """Return rank 0's tensors by name, on the CPU; the run folder need not be visible to the others."""
        described = [[(name, tuple(t.shape), t.dtype) for name, t in state.items()]]
        dist.broadcast_object_list(described, group=self.patient)
        received = {}
        for name, shape, dtype in described[0]:
            tensor = state[name].cpu().contiguous() if self.first else torch.empty(shape, dtype=dtype)
            dist.broadcast(tensor, 0, group=self.patient)
            received[name] = tensor
        return received

    def told(self, text: bytes) -> bytes:
        """Return rank 0's bytes, whatever this rank has."""
        letters = torch.frombuffer(bytearray(text), dtype=torch.uint8) if text else torch.empty(0, dtype=torch.uint8)
        return self.shared({"text": letters})["text"].numpy().tobytes()

    def together(self) -> None:
        """Wait until every rank is here, however long the first one has worked alone."""
        dist.barrier(group=self.patient)


def local_device(device: str) -> str:
    """Return this process's own device: "cuda" becomes the GPU that torchrun meant for it."""
    return f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if device == "cuda" and launched() else device


def launched() -> bool:
    """Tell whether torchrun, or something like it, started this process among others."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def neighbours() -> int:
    """Return how many processes share this machine's cores."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", "1"))


@contextlib.contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """Join the other processes, where there are any, for as long as the block lasts.

    Raises UsageError where they do not find each other, and StoppedEarly where one is lost.
    """
    if not launched():
        yield Ranks()
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    try:
        dist.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo", timeout=STEP)
    except (ValueError, RuntimeError) as error:
        what = f"the processes do not find each other: {error}".splitlines()[0]
        raise UsageError(what, hint="torchrun --nproc-per-node 2 -m cyclegan train …") from None
    try:
        yield ManyRanks()
    except RuntimeError as error:
        if not (isinstance(error, dist.DistError) or "gloo" in str(error)):
            raise
        what = "another process of this training has ended, or gives no answer"
        raise StoppedEarly(what, hint="look at what it said; the same command goes on from what was saved") from error
    finally:
        dist.destroy_process_group()
