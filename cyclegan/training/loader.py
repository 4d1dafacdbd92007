"""Worker processes that read pictures beside a training, and may die or hang without taking it with them."""

import itertools
import multiprocessing
import os
import signal
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, Dataset

from cyclegan.errors import StoppedEarly
from cyclegan.training.signals import STOPPING

ASK = 1  # seconds between two looks whether the workers still live
DEATHS = 2  # so many end a training: the first may have been bad luck
LESS = "is memory used up? the same command goes on, and --workers 0 needs less"

Numbers = Callable[[int], Sequence[int]]
T = TypeVar("T")  # what is drawn
B = TypeVar("B")  # what many of them become


class _WorkerDied(Exception):
    """A worker is no more; what it was reading can be read again."""


class Loader(Generic[T, B]):
    """Draws from a data set in batches: which numbers batch k consists of is a function, so that any can be repeated.

    What `collate` returns should hold arrays, not tensors: they go through pipes, and need no /dev/shm, which is small
    in containers. `patience` are the seconds after which a worker that gives no answer is given up; `named` says which
    files some numbers mean.
    """

    def __init__(
        self,
        source: Dataset[T],
        *,
        collate: Callable[[list[T]], B],
        workers: int,
        patience: float,
        named: Callable[[Sequence[int]], str],
    ) -> None:
        self.source, self.collate, self.named = source, collate, named
        self.workers, self.patience = workers, patience
        self.deaths = 0
        self.notes: list[str] = []

    def batches(self, numbers: Numbers) -> Iterator[B]:
        """Yield batch 0, 1, 2, … for ever; raises StoppedEarly where workers die twice, or one does not answer."""
        k = 0
        while True:
            try:
                for batch in self._from(k, numbers):
                    yield batch
                    k += 1
            except _WorkerDied as error:
                self.deaths += 1
                what = f"a process that reads pictures was killed ({error}), at {self.named(numbers(k))}"
                if self.deaths >= DEATHS:
                    raise StoppedEarly(f"{what}, for the second time", hint=LESS) from None
                self.notes.append(f"{what}; it was begun again")

    def _from(self, first: int, numbers: Numbers) -> Iterator[B]:
        if self.workers:
            try:
                answers, processes = self._start(first, numbers)
            except OSError as error:  # semaphores lie in /dev/shm too, and a process may be one too many
                self.notes.append(f"no processes to read pictures, so that it is slower: {error.strerror or error}")
                self.workers = 0
        if not self.workers:
            for k in itertools.count(first):
                yield self.collate([self.source[number] for number in numbers(k)])
        end = Finalize(None, _kill, args=(processes,), exitpriority=1)  # also where a program ends in between
        try:
            for k in itertools.count(first):
                yield self._next(answers, numbers, k)
        except GeneratorExit:
            del answers  # nothing more is wanted: they are asked to end, and end by themselves
            raise
        finally:
            end()

    def _start(self, first: int, numbers: Numbers) -> tuple[Iterator[B], set[BaseProcess]]:
        before = set(multiprocessing.active_children())
        with warnings.catch_warnings():  # whoever asks for more workers than there are cores has a reason
            warnings.filterwarnings("ignore", message="This DataLoader will create")
            warnings.filterwarnings("ignore", message=".*use of fork", category=DeprecationWarning)  # workers only read
            loader: DataLoader[Any] = DataLoader(
                self.source,
                batch_sampler=map(numbers, itertools.count(first)),  # type: ignore[arg-type]
                num_workers=self.workers,
                collate_fn=self.collate,
                worker_init_fn=_quiet_worker,
                timeout=ASK,
                generator=torch.Generator(),  # its base seed must not be drawn from ours
            )
            answers = iter(loader)
        _ask_instead_of_being_told()
        return answers, set(multiprocessing.active_children()) - before

    def _next(self, answers: Iterator[B], numbers: Numbers, k: int) -> B:
        begun = time.monotonic()
        while True:
            try:
                return next(answers)
            except RuntimeError as error:
                text = str(error)
                if text.startswith("DataLoader worker (pid"):
                    raise _WorkerDied(text[len("DataLoader worker (") :].split(")")[0]) from None
                if not text.startswith("DataLoader timed out"):
                    raise
            if time.monotonic() - begun >= self.patience:
                what = f"no answer for {self.patience:g} seconds while reading {self.named(numbers(k))}"
                raise StoppedEarly(what, hint="check the disk or the network; the same command goes on")


def _kill(processes: set[BaseProcess]) -> None:
    """End workers that have not ended by themselves: one that hangs would not hear anything kinder."""
    for process in processes:
        process.kill()


def _quiet_worker(_: int) -> None:
    """Leave signals to the parent, and cores to the network; do not outlive the parent."""
    import cv2

    threading.Thread(target=_follow_parent, daemon=True).start()
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)
    cv2.setNumThreads(0)


def _follow_parent() -> None:
    """End this worker when its parent has, also where it hangs, or waits for someone to take what it has read."""
    parent = multiprocessing.parent_process()
    assert parent
    parent.join()
    os._exit(0)


def _ask_instead_of_being_told() -> None:
    """Take torch's handler off the death of a worker: it would raise anywhere, in the middle of a step.

    Who asks for the next batch hears of the death within a second, at a place where the draw can be repeated.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        return
    handler = signal.getsignal(signal.SIGCHLD)
    if getattr(handler, "__module__", "").startswith("torch."):
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
