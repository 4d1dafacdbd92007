"""What a run was begun with, and what of it may change on the way."""

from pathlib import Path

from cyclegan.errors import UsageError, shown
from cyclegan.experiment import Experiment
from cyclegan.recipes import ResNet, UNet

QUIET_TO_CHANGE = (
    "training.images",
    "training.minutes",
    "every.",
    "data.folders",
    "data.only",
    "data.cache_gb",
    "training.compile",
    "objective.teacher",
)
FREE_TO_CHANGE = (
    *QUIET_TO_CHANGE,
    *("training.batch", "training.accumulate", "training.learning_rate", "training.decay", "training.precision"),
    "data.size",
)


def changes(experiment: Experiment, directory: Path) -> list[str]:
    """Return a note for every option that is not as the run was begun with; raise UsageError where it must be."""
    path = directory / "experiment.toml"
    notes: list[str] = []
    for name, old, new in Experiment.load(str(path)).differences(experiment) if path.exists() else ():
        if not name.startswith(FREE_TO_CHANGE):
            what = f"{shown(directory)}: was begun with {name} = {old!r}, now it is {new!r}"
            raise UsageError(what, hint="go on with the same options, or -o chooses a new folder")
        if not name.startswith(QUIET_TO_CHANGE):
            notes.append(f"{name} is {new!r} from here on, it was {old!r}")
    return notes


def as_begun(experiment: Experiment, directory: Path) -> Experiment:
    """Return the experiment with choices that are left open, and follow the size, made as this folder's run made them.

    A run that is continued with a smaller size, because memory did not suffice, keeps its networks; one that goes on
    on another machine keeps its arithmetic.
    """
    path = directory / "experiment.toml"
    if not path.exists():
        return experiment
    run = Experiment.load(str(path))
    if experiment.training.precision == "auto":
        experiment = experiment.replace(training__precision=run.training.precision)
    begun, wanted = run.translator, experiment.translator
    if isinstance(begun, ResNet) and isinstance(wanted, ResNet) and not wanted.blocks:
        return experiment.replace(translator__blocks=begun.blocks)
    if isinstance(begun, UNet) and isinstance(wanted, UNet) and not wanted.depth:
        return experiment.replace(translator__depth=begun.depth)
    return experiment
