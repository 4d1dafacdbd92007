"""What is played: objectives, their losses, and how an experiment's objective is put together."""

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import nn

from cyclegan import recipes
from cyclegan.errors import UsageError
from cyclegan.experiment import Experiment
from cyclegan.networks import NETWORKS, PatchHeads, ResNet, UNet, initialise
from cyclegan.objectives.cyclegan import CycleGAN
from cyclegan.objectives.distillation import Distillation, heads
from cyclegan.objectives.gan import GAN
from cyclegan.objectives.history import History
from cyclegan.objectives.mask_cyclegan import MaskCycleGAN
from cyclegan.objectives.objective import Objective, Turn
from cyclegan.objectives.vae import VAE

__all__ = [
    "GAN",
    "OBJECTIVES",
    "VAE",
    "CycleGAN",
    "Distillation",
    "History",
    "MaskCycleGAN",
    "Objective",
    "Turn",
    "assemble",
    "network_specs",
]


def network_specs(experiment: Experiment, *, channels: int) -> dict[str, dict[str, Any]]:
    """Return, for each network of the experiment's objective, its name and options, as saved files hold them."""
    objective, size = experiment.objective, {"size": experiment.data.size}
    takes, gives = {"channels_in": channels}, {"channels_out": channels}
    translator, critic = dataclasses.asdict(experiment.translator), dataclasses.asdict(experiment.critic)
    if isinstance(objective, recipes.VAE):
        return {"V": translator | takes | gives | size}
    if isinstance(objective, recipes.GAN):
        return {"G": translator | gives | size, "D": critic | takes | size}
    translator, critic = translator | takes | gives, critic | takes
    if isinstance(experiment.codec, recipes.Voice):
        translator |= {"height": experiment.codec.coefficients}
    if isinstance(objective, recipes.Distillation):
        return {"G": translator} | ({"D_y": critic} if objective.critic else {})
    second = isinstance(objective, recipes.MaskCycleGAN) and objective.two_step
    critics = ("D_x", "D_y", "D2_x", "D2_y") if second else ("D_x", "D_y")
    return {"G": translator, "F": translator} | dict.fromkeys(critics, critic)


def assemble(experiment: Experiment, *, channels: int, teacher: nn.Module | None = None) -> Objective:
    """Build the experiment's objective with fresh weights, drawn from torch's generator; a student needs a `teacher`.

    Raises UsageError for a student without one.
    """
    built: dict[str, nn.Module] = {
        name: _build(spec) for name, spec in network_specs(experiment, channels=channels).items()
    }
    extra = _heads(experiment, built, teacher)
    for network in built.values():
        initialise(network, gain=experiment.training.init_gain)
    named = dataclasses.asdict(experiment.objective)
    kind = named.pop("name")
    for option in TOLD_ELSEWHERE:
        named.pop(option, None)
    return OBJECTIVES[kind](**built, **extra, **named)


def _heads(experiment: Experiment, built: dict[str, nn.Module], teacher: nn.Module | None) -> dict[str, nn.Module]:
    """Return what an objective owns beside translators and critics."""
    objective = experiment.objective
    if isinstance(objective, recipes.Distillation):
        student = built["G"]
        if teacher is None:
            raise UsageError("objective.teacher: no student without a teacher", hint="styl distill MODEL SOURCE TARGET")
        if objective.features and isinstance(student, ResNet) and isinstance(teacher, ResNet):
            return {"teacher": teacher, "H": heads(student, teacher)}
        return {"teacher": teacher}
    if isinstance(objective, recipes.CycleGAN) and objective.nce:
        translator = built["G"]
        assert isinstance(translator, ResNet | UNet)
        return {name: PatchHeads(channels=translator.seen_widths) for name in ("H_x", "H_y")}
    return {}


def _build(spec: dict[str, Any]) -> nn.Module:
    options = dict(spec)
    return NETWORKS[options.pop("name")](**options)


OBJECTIVES: dict[str, Callable[..., Objective]] = {
    "cyclegan": CycleGAN,
    "mask-cyclegan": MaskCycleGAN,
    "distillation": Distillation,
    "vae": VAE,
    "gan": GAN,
}
TOLD_ELSEWHERE = ("teacher", "fingerprint")  # where the teacher lies, which is a matter of files
