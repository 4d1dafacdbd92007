"""A training as a diary: what is carried out, and what is written down when."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cyclegan import codecs
from cyclegan.chance import seed_for
from cyclegan.devices import choose_device, cores
from cyclegan.experiment import Experiment
from cyclegan.objectives import assemble
from cyclegan.training.data import Batches
from cyclegan.training.look import look
from cyclegan.training.runfolder import RunFolder
from cyclegan.training.signals import Interruption
from cyclegan.training.trainer import Trainer

CODEC: dict[str, Any] = {"name": "pictures", "channels": 3}


@dataclass(frozen=True)
class Outcome:
    """How a training ended: pictures seen, whether it had been finished before, the signal that stopped it, if one
    did, what was wrong with the files that were passed over, and what else a person should know."""

    directory: Path
    images: int
    already: bool = False
    signal: int | None = None
    damaged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def train(
    experiment: Experiment,
    directory: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    tensorboard: bool = False,
    tell: Callable[[dict[str, Any]], None] = lambda _: None,
) -> Outcome:
    """Carry out an experiment in a run folder; called again on the same folder, it continues.

    `workers` processes decode pictures beside the training (None: one fewer than there are cores, at most 4).
    `tell` is given every line of the log as it is written. Ctrl-C and SIGTERM save within a step.
    Raises UsageError, InputError, CheckpointError, and StoppedEarly when a disk is full or a loss is no number.
    """
    device = choose_device(device)
    workers = min(4, cores() - 1) if workers is None else workers
    batches = Batches(
        experiment.data, batch=experiment.training.batch, seed=experiment.seed, workers=workers, device=device
    )
    experiment = settle(experiment, larger_folder=max(len(d.train) for d in batches.domains), device=device)
    folder = RunFolder(directory, experiment, codec=CODEC)
    if folder.finished:
        assert folder.state
        return Outcome(directory, folder.state.about["images"], already=True)

    torch.manual_seed(seed_for(experiment.seed, "weights"))
    objective = assemble(experiment, channels=CODEC["channels"])
    trainer = Trainer(objective, experiment.training, seed=experiment.seed, device=device)
    with folder as run, Interruption() as interruption:
        run.begin(trainer, tell=tell, tensorboard=tensorboard)
        _carry_on(run, trainer, batches, interruption)
    signal = interruption.received if trainer.progress < 1 else None
    damaged, notes = tuple(batches.damaged), tuple(folder.notes)
    return Outcome(directory, trainer.images, signal=signal, damaged=damaged, notes=notes)


def _carry_on(run: RunFolder, trainer: Trainer, batches: Batches, interruption: Interruption) -> None:
    """Train to the end of the budget, or to a signal, and write down what the experiment says, when it says."""
    codec, every, domains = codecs.build(run.codec), run.experiment.every, run.experiment.data.domains
    fixed = [codec.encode(pictures) for pictures in batches.fixed()]
    encoded = ([codec.encode(pictures) for pictures in batch] for batch in batches.starting(trainer.images))
    for report in trainer.reports(encoded):
        run.note(report)
        stop = report.progress >= 1 or interruption.received is not None
        if stop or report.every(every.log):
            run.log(report, seconds=trainer.seconds)
        if report.progress >= 1 or report.every(every.sheet):
            with trainer.averaged():
                run.look(trainer, look(trainer.objective, fixed, codec, domains=domains))
        if stop or report.every(every.save):
            run.save(trainer)
        if stop:
            break


def settle(experiment: Experiment, *, larger_folder: int, device: str) -> Experiment:
    """Return the experiment with every open choice made, for folders of this size and for this device."""
    settled = experiment.settled(larger_folder)
    if settled.training.precision == "auto":
        settled = settled.replace(training__precision="bf16" if device.startswith("cuda") else "fp32")
    return settled
