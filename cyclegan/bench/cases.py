"""What is timed: a step of training, a batch of pictures translated; on noise, which takes as long as photographs."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from cyclegan import catalog
from cyclegan.bench.floor import Work, work_of_game, work_of_translating
from cyclegan.bench.memory import resident
from cyclegan.codecs import Pictures
from cyclegan.devices import choose_device, keep_freed_memory
from cyclegan.errors import UsageError
from cyclegan.experiment import Experiment
from cyclegan.objectives import Objective, assemble

ENDLESS = ("training.images=1000000000", "training.minutes=0")  # no falling step, whatever the preset


@dataclass(frozen=True)
class Case:
    """One row of a benchmark: what is done, to pictures of which size (width, height), how many at once, and where.

    Networks are those of a `preset` with `settings` (key=value) on top, with fresh weights, or those of `model`.
    Pictures are translated by the network that the preset trains at its own size, whatever theirs.
    """

    verb: str
    size: tuple[int, int]
    batch: int = 1
    precision: str = "auto"
    device: str = "auto"
    preset: str = "default"
    settings: tuple[str, ...] = ()
    model: str | None = None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Return (N, C, H, W)."""
        width, height = self.size
        return self.batch, 3, height, width

    def experiment(self) -> Experiment:
        """Return the experiment, settled for one picture; raises UsageError for what does not exist or does not fit."""
        own = [*ENDLESS]
        if self.verb == "train":
            width, height = self.size
            if width != height:
                raise UsageError(f"--size {width}x{height}: trainings take squares", hint=f"for example --size {width}")
            own += [f"data.size={width}", f"training.batch={self.batch}", f"training.precision={self.precision}"]
        return Experiment.load(self.preset, overrides=[*self.settings, *own]).settled(1)

    def check(self) -> None:
        """Raise the error that a person should see before anything is begun."""
        choose_device(self.device)
        if self.model:
            catalog.find(self.model)
        else:
            self.experiment()


@dataclass(frozen=True)
class Move:
    """Something to time, and for how much of a step it counts: where steps differ, each kind is timed by itself.

    It `settles` after so many steps, where something happens on the way.
    """

    play: Callable[[], object]
    share: float = 1.0
    settles: int = 0


@dataclass(frozen=True)
class Prepared:
    """A case that is ready: its kinds of steps, pictures a step, parameters, the precision it came to, and its work.

    `resident` is what the process took before anything was built, in bytes.
    """

    moves: Sequence[Move]
    pictures: int
    parameters: int
    precision: str
    work: Work
    device: str
    resident: int


def prepare(case: Case) -> Prepared:
    """Return a case of ours ready to be timed in this process."""
    return prepare_training(case) if case.verb == "train" else prepare_translating(case)


def prepare_training(case: Case) -> Prepared:
    """Return steps of training; where a penalty is paid in every so many steps only, those are timed by themselves."""
    from cyclegan.training.run import settle
    from cyclegan.training.trainer import Trainer

    start, device = resident(), choose_device(case.device)
    keep_freed_memory(device)
    experiment = settle(case.experiment(), larger_folder=1, device=device)
    kinds, precision = kinds_of_steps(experiment), experiment.training.precision
    torch.manual_seed(0)
    trainer, codec = Trainer(assemble(experiment, channels=3), experiment.training, device=device), Pictures()
    frames = [torch.randint(256, case.shape, dtype=torch.uint8).to(device) for _ in range(2)]

    def play(step: int) -> None:
        trainer.images = step * case.batch
        trainer.play([[codec.encode(f) for f in frames]])

    moves = [Move(lambda step=step: play(step), share) for step, share in kinds.items()]  # type: ignore[misc]
    parameters = sum(p.numel() for p in trainer.objective.parameters())
    work = work_of_training(experiment, case.shape, precision=precision)
    return Prepared(moves, case.batch, parameters, precision, work, device, start)


def kinds_of_steps(experiment: Experiment) -> dict[int, float]:
    """Return the number of one step of each kind, and how many of all steps are of it."""
    objective: Any = experiment.objective
    every = objective.r1_every if getattr(objective, "r1", 0) else 1
    return {every: 1 / every, every + 1: 1 - 1 / every} if every > 1 else {1: 1.0}


def work_of_training(experiment: Experiment, shape: Sequence[int], *, precision: str) -> Work:
    """Count a mean step's work on pictures (N, C, H, W), without computing anything."""
    work = Work(0, 0)
    for step, share in kinds_of_steps(experiment).items():

        def build(step: int = step) -> Objective:
            objective = assemble(experiment, channels=3)
            objective.step = step
            return objective

        work += share * work_of_game(build, shape, precision=precision)
    return work


def prepare_translating(case: Case) -> Prepared:
    """Return one batch of pictures, as arrays, through a translator's stream."""
    start, translator = resident(), translator_of(case)
    chance, (width, height) = np.random.default_rng(0), case.size
    frames = [chance.integers(0, 256, (height, width, 3), np.uint8) for _ in range(case.batch)]
    return through(translator, case, lambda: list(translator.stream(frames, batch=case.batch)), case.batch, start)


def through(translator: Any, case: Case, play: Callable[[], object], pictures: int, start: int) -> Prepared:
    """Return what takes so many pictures through a translator, ready to be timed."""
    from cyclegan.translation.anysize import COMPILING, OFTEN

    precision = str(translator.precision)
    shadow = copy.deepcopy(translator.paint.network).to("cpu").float()
    parameters = sum(p.numel() for p in shadow.parameters())
    shape = (1, *case.shape[1:])
    one = work_of_translating(shadow, shape, precision=precision) if parameters else Work(0, 0)  # another runtime's
    compiling = OFTEN + 2 if translator.device.startswith(COMPILING) else 0
    return Prepared(
        [Move(play, settles=compiling)], pictures, parameters, precision, pictures * one, translator.device, start
    )


def translator_of(case: Case) -> Any:
    """Return the case's translator: of its model, or of its preset with fresh weights. Every picture is taken whole."""
    from cyclegan.translation.translator import Translator

    device = choose_device(case.device)
    arithmetic: Any = {"precision": case.precision}
    if case.model:
        return Translator.load(case.model, device=device, scale_to=0, **arithmetic)
    network = fresh_translator(case)
    arithmetic = {"precision": "fp32"} if case.precision == "auto" else arithmetic  # only trained weights can tell
    return Translator(network, codec=Pictures(), source="x", target="y", device=device, **arithmetic)


def fresh_translator(case: Case) -> nn.Module:
    """Return the translator that the case's preset trains first, with fresh weights."""
    torch.manual_seed(0)
    objective = assemble(case.experiment(), channels=3)
    return objective.get_submodule(objective.averaged[0])
