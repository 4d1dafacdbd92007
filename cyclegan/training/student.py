"""Teachers and students: whose work is to be done, and how small a network it is asked of."""

import bisect
import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import nn

from cyclegan import catalog
from cyclegan.errors import CheckpointError, UsageError, shown
from cyclegan.experiment import Experiment
from cyclegan.networks import NETWORKS
from cyclegan.networks.cost import multiply_adds
from cyclegan.recipes import Distillation, ResNet

SEEN = ("size", "enlarge", "fit")  # how pictures come into a training
WIDEST = 256  # channels after a student's first convolution


@dataclass(frozen=True)
class Teacher:
    """A translator whose work a student learns; `spec` is its name and options, as weights hold them."""

    network: nn.Module
    spec: dict[str, Any]
    source: str
    target: str
    fingerprint: str


@dataclass(frozen=True)
class Apprentice:
    """A distillation that can begin, and the multiply-adds of teacher and student for one picture of its size."""

    experiment: Experiment
    teacher: int
    student: int

    def __str__(self) -> str:
        option, side = self.experiment.translator, self.experiment.data.size
        assert isinstance(option, ResNet)
        return (
            f"multiply-adds at {side} pixels: teacher {self.teacher / 1e6:,.1f} M, "
            f"student {self.student / 1e6:,.1f} M, {self.teacher / self.student:.1f} × fewer "
            f"(width {option.width}, {option.blocks} blocks)"
        )


def load_teacher(model: str, *, to: str | None) -> Teacher:
    """Load the translator to a domain (None: the model's first way) by name, file or run folder.

    Raises CheckpointError for weights that are missing, damaged or unfit, UsageError for a domain they do not know.
    """
    found = catalog.load(model)
    source, target, name = catalog.route(found, to)
    network, spec = catalog.build(found, name), found.about["networks"][name]
    if found.about["codec"] != {"name": "pictures", "channels": 3}:
        raise CheckpointError(f"{shown(model)}: does not translate RGB pictures", hint="students learn from such only")
    return Teacher(network, spec, source, target, _fingerprint(network, spec))


def familiar(model: str) -> list[str]:
    """Return overrides for pictures as a model's training saw them, as its weights tell; raises CheckpointError."""
    about = catalog.load(model).about
    try:
        data = tomllib.loads(about["experiment"])["data"]
    except (KeyError, TypeError, ValueError):
        data = {"size": about.get("trained_at")}
    return [f"data.{name}={data[name]}" for name in SEEN if isinstance(data.get(name), int | float | str)]


def teacher_for(experiment: Experiment) -> Teacher | None:
    """Return the teacher that a distillation names, None for any other experiment.

    Raises UsageError where it is not the one that the student began with, or goes another way than the folders.
    """
    objective, domains = experiment.objective, experiment.data.domains
    if not isinstance(objective, Distillation):
        return None
    if not objective.teacher:
        raise UsageError("objective.teacher: no student without a teacher", hint="styl distill MODEL SOURCE TARGET")
    teacher = load_teacher(objective.teacher, to=domains[1])
    if teacher.source != domains[0]:
        what = f"{shown(objective.teacher)}: goes from {teacher.source} to {teacher.target}, not from {domains[0]}"
        raise UsageError(what, hint="name the folders' domains as the teacher does")
    if objective.fingerprint not in ("", teacher.fingerprint):
        what = f"{shown(objective.teacher)}: is not the teacher that this student began with"
        raise UsageError(what, hint="name the same weights, or -o begins another run")
    return teacher


def apprentice(experiment: Experiment, model: str, *, to: str | None, fewer: float) -> Apprentice:
    """Return the experiment with a teacher, and with the widest student of at most 1/`fewer` its multiply-adds.

    `fewer` 0 keeps the experiment's width. A student resembles its teacher in what makes its pictures: what it
    paints, how it normalises and, as far as the experiment leaves it open, how many blocks it has.
    Raises as `load_teacher` does, and UsageError where no student is small enough.
    """
    teacher = load_teacher(model, to=to)
    if not isinstance(experiment.translator, ResNet):
        raise UsageError(
            "translator.name = unet: students are residual", hint="leave it out, or translator.name=resnet"
        )
    student = alike(experiment.translator, teacher)
    side = experiment.data.size
    theirs = multiply_adds(teacher.network, side=side)
    if fewer:
        student = narrowed(student, at_most=theirs / fewer, side=side)
    ours = cost(student, side=side)
    settled = experiment.replace(translator=asdict(student), data__domains=(teacher.source, teacher.target))
    place = str(catalog.find(model).resolve())
    settled = settled.replace(objective__teacher=place, objective__fingerprint=teacher.fingerprint)
    return Apprentice(settled, theirs, ours)


def alike(student: ResNet, teacher: Teacher) -> ResNet:
    """Return the student with what it takes from a residual teacher; of other teachers it takes nothing but time."""
    spec = teacher.spec
    if spec["name"] != "resnet":
        return replace(student, blocks=student.blocks or 6)
    kept = {name: spec.get(name, getattr(ResNet(), name)) for name in ("output", "norm", "padding")}
    return replace(student, blocks=student.blocks or int(spec.get("blocks", 9)), **kept)


def narrowed(student: ResNet, *, at_most: float, side: int) -> ResNet:
    """Return the widest student of at most so many multiply-adds; raises UsageError where there is none."""
    widths = range(1, WIDEST + 1)
    widest = bisect.bisect_right(widths, at_most, key=lambda width: cost(replace(student, width=width), side=side))
    if not widest:
        what = f"no student of {student.blocks} blocks has so few multiply-adds ({at_most / 1e6:,.1f} M)"
        raise UsageError(what, hint="fewer times fewer, as in --macs 15x, or --set translator.blocks=3")
    return replace(student, width=widest)


def cost(student: ResNet, *, side: int) -> int:
    """Return the multiply-adds of a student that need not exist yet."""
    options = asdict(student)
    with torch.device("meta"):
        return multiply_adds(NETWORKS[options.pop("name")](**options), side=side)


def _fingerprint(network: nn.Module, spec: dict[str, Any]) -> str:
    """Return the SHA-256 of what a network is, whatever file it came in."""
    total = hashlib.sha256(json.dumps(spec, sort_keys=True).encode())
    for name, tensor in sorted(network.state_dict().items()):
        total.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode() + tensor.float().numpy().tobytes())
    return total.hexdigest()
