"""A training as a diary: what is carried out, and what is written down when."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from cyclegan.chance import seed_for
from cyclegan.devices import choose_device, cores, has_bfloat16, keep_freed_memory
from cyclegan.errors import StoppedEarly, UsageError, out_of_memory
from cyclegan.experiment import Experiment
from cyclegan.media.folder import passed_over, told_passed_over
from cyclegan.objectives import assemble
from cyclegan.recipes import Voice
from cyclegan.training.balance import balanced
from cyclegan.training.begun import as_begun
from cyclegan.training.codec import codec_for
from cyclegan.training.data import Batches
from cyclegan.training.diary import Diary
from cyclegan.training.ledger import Ledger
from cyclegan.training.medium import medium_of
from cyclegan.training.ranks import Ranks, joined, local_device, neighbours
from cyclegan.training.remarks import remarks, summary
from cyclegan.training.runfolder import RunFolder
from cyclegan.training.signals import Interruption
from cyclegan.training.student import teacher_for
from cyclegan.training.survey import survey
from cyclegan.training.trainer import Trainer


@dataclass(frozen=True)
class Outcome:
    """How a training ended: pictures seen, whether it had been finished before, the signal that stopped it, if one
    did, what was wrong with damaged files, what else a person should know, and what was passed over, by its suffix."""

    directory: Path
    images: int
    already: bool = False
    signal: int | None = None
    damaged: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    passed_over: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Circumstances:
    """How a training is carried out, as far as it does not decide what is learnt; `train` explains them."""

    device: str
    workers: int
    features: str
    tensorboard: bool
    strict: bool
    changed_data: bool
    tell: Callable[[dict[str, Any]], None]


def train(
    experiment: Experiment,
    directory: Path,
    *,
    device: str = "auto",
    workers: int | None = None,
    features: str = "auto",
    tensorboard: bool = False,
    strict: bool = False,
    changed_data: bool = False,
    tell: Callable[[dict[str, Any]], None] = lambda _: None,
) -> Outcome:
    """Carry out an experiment in a run folder; called again on the same folder, it continues.

    Under torchrun all processes play together, and the first one writes. `workers` processes decode pictures beside
    each (None: one fewer than there are cores for it, at most 4). `features` are what held-back pictures are measured
    by, see `cyclegan.metrics.features`. `strict` refuses folders with files that cannot be read; `changed_data` lets a
    run go on with other pictures than it was begun with. `tell` is given every line of the log as it is written, and
    notes. Ctrl-C, SIGTERM and SIGHUP save within a step. Raises UsageError, InputError, CheckpointError, and
    StoppedEarly when a disk is full, memory is used up, a process is lost, or a loss is no number.
    """
    if isinstance(experiment.codec, Voice) and features != "auto":
        what = f"--features {features}: measures pictures, not voices"
        raise UsageError(what, hint="leave it out: voices are measured by how they are spoken")
    device = local_device(choose_device(device))
    keep_freed_memory(device)
    workers = max(0, min(4, cores() // neighbours() - 1)) if workers is None else workers
    how = Circumstances(device, workers, features, tensorboard, strict, changed_data, tell)
    with joined(device) as ranks:
        return _train(experiment, directory, how, ranks)


def _train(experiment: Experiment, directory: Path, how: Circumstances, ranks: Ranks) -> Outcome:
    data, seed, teacher, medium = experiment.data, experiment.seed, teacher_for(experiment), medium_of(experiment)
    passed = passed_over(map(Path, data.folders)) if ranks.first else {}
    if passed:
        how.tell({"note": told_passed_over(passed)})
    found = survey(data, directory, medium, ranks=ranks, strict=how.strict, changed=how.changed_data, tell=how.tell)
    size = experiment.training.batch
    batches = Batches(data, medium, batch=size, seed=seed, workers=how.workers, device=how.device, scan=found)
    larger = max(len(domain.train) for domain in batches.domains)
    experiment = settle(as_begun(experiment, directory), larger_folder=larger, device=how.device)
    if data.settle and experiment.training.images:
        batches.settle_from = round(experiment.training.images * (1 - experiment.training.decay))
    codec = codec_for(experiment, batches, directory)
    folder = RunFolder(directory, experiment, codec=codec)
    ranks.together()  # recordings have been analysed
    if ranks.largest(folder.finished):
        images = folder.state.about["images"] if folder.state else 0
        return Outcome(directory, images, already=True, passed_over=passed)

    torch.manual_seed(seed_for(seed, "weights"))
    objective = assemble(experiment, channels=codec.channels, teacher=teacher.network if teacher else None)
    trainer = Trainer(objective, experiment.training, seed=seed, device=how.device, ranks=ranks)
    balance = balanced(experiment, found, directory, device=how.device, ranks=ranks, tell=how.tell)
    if balance:
        batches.weigh(balance.weights)
        if experiment.training.images:  # by the clock nobody knows when the end begins
            batches.alike_from = round(experiment.training.images * data.balance_until)
    with folder if ranks.first else contextlib.nullcontext(), Interruption() as interruption:
        if ranks.first:
            for line in (*summary(found), *remarks(found, experiment), *([balance.line] if balance else [])):
                how.tell({"note": line})
            folder.begin(trainer, found, balance, tell=how.tell, tensorboard=how.tensorboard)
        trainer.follow_first()
        with explained(trainer, experiment):
            signal = _carry_on(folder, trainer, batches, interruption, how.features)
    damaged, notes = (*found.left_out, *batches.damaged), (*folder.notes, *batches.notes)
    stopped = signal if trainer.progress < 1 else None
    return Outcome(directory, trainer.images, signal=stopped, damaged=damaged, notes=notes, passed_over=passed)


def _carry_on(
    run: RunFolder, trainer: Trainer, batches: Batches, interruption: Interruption, features: str
) -> int | None:
    """Train to the end of the budget, and write down what the experiment says, when it says; return what stopped it.

    A signal to any of the ranks is a signal to all.
    """
    every, ranks = run.experiment.every, trainer.ranks
    diary = Diary(run, batches, features, objective=trainer.objective) if ranks.first else None
    ranks.together()
    ledger = Ledger(ranks, files=lambda report: batches.named(report.images - report.batch, report.batch))
    ledger.logged = (trainer.images, trainer.seconds)
    ways = [run.codec.of(domain) for domain in run.experiment.data.domains]
    drawn = batches.starting(trainer.images, rank=ranks.rank, ranks=ranks.count)
    for report in trainer.reports([way.encode(x) for way, x in zip(ways, batch, strict=True)] for batch in drawn):
        ledger.note(report)
        signal = int(ranks.largest(interruption.received or 0)) or None
        stop = report.progress >= 1 or signal is not None
        if stop or report.every(every.log):
            line = ledger.line(seconds=trainer.seconds)
            if diary:
                run.line(line)
        look, save = report.progress >= 1 or report.every(every.sheet), stop or report.every(every.save)
        if diary and look:
            diary.look(trainer)
        if diary and save:
            run.save(trainer)
        if look or save:
            ranks.together()
        if stop:
            return signal
    return None


@contextlib.contextmanager
def explained(trainer: Trainer, experiment: Experiment) -> Iterator[None]:
    """Turn memory that is used up and a device that is lost into an early stop that says so."""
    try:
        yield
    except Exception as error:  # OpenCV's errors, which training pictures are resized with, have no parent but this
        data, training = experiment.data, experiment.training
        if out_of_memory(error):
            what = f"not enough memory for {data.size} pixels, batch {training.batch}, at {trainer.images:,} images"
            multiple = 1 << max(2, getattr(experiment.translator, "depth", 0))
            size = max(1, data.size * 3 // 4 // multiple) * multiple
            smaller = f"--batch {training.batch // 2}" if training.batch > 1 else f"--size {size}"
            raise StoppedEarly(what, hint=f"try {smaller}; it goes on from what was saved last") from None
        if isinstance(error, torch.AcceleratorError):
            what = f"{trainer.device} was lost at {trainer.images:,} images: {str(error).splitlines()[0]}"
            raise StoppedEarly(what, hint="the same command goes on from what was saved last") from None
        raise


def settle(experiment: Experiment, *, larger_folder: int, device: str) -> Experiment:
    """Return the experiment with every open choice made, for folders of this size and for this device."""
    settled = experiment.settled(larger_folder)
    if settled.training.precision == "auto":
        settled = settled.replace(training__precision="bf16" if has_bfloat16(device) else "fp32")
    return settled
