"""What is played: objectives, their losses, and how an experiment's objective is put together."""

import dataclasses
from collections.abc import Callable
from typing import Any

from torch import nn

from cyclegan.experiment import Experiment
from cyclegan.networks import NETWORKS, PatchHeads, ResNet, UNet, initialise
from cyclegan.objectives.cyclegan import CycleGAN
from cyclegan.objectives.history import History
from cyclegan.objectives.objective import Objective, Turn

__all__ = ["OBJECTIVES", "CycleGAN", "History", "Objective", "Turn", "assemble", "network_specs"]


def network_specs(experiment: Experiment, *, channels: int) -> dict[str, dict[str, Any]]:
    """Return, for each network of the experiment's objective, its name and options, as saved files hold them."""
    translator = dataclasses.asdict(experiment.translator) | {"channels_in": channels, "channels_out": channels}
    critic = dataclasses.asdict(experiment.critic) | {"channels_in": channels}
    return {"G": translator, "F": translator, "D_x": critic, "D_y": critic}


def assemble(experiment: Experiment, *, channels: int) -> Objective:
    """Build the experiment's objective with fresh weights, drawn from torch's generator."""
    built: dict[str, nn.Module] = {
        name: _build(spec) for name, spec in network_specs(experiment, channels=channels).items()
    }
    if experiment.objective.nce:
        assert isinstance(built["G"], ResNet | UNet)
        built |= {name: PatchHeads(channels=built["G"].seen_widths) for name in ("H_x", "H_y")}
    for network in built.values():
        initialise(network, gain=experiment.training.init_gain)
    options = dataclasses.asdict(experiment.objective)
    return OBJECTIVES[options.pop("name")](**built, **options)


def _build(spec: dict[str, Any]) -> nn.Module:
    options = dict(spec)
    return NETWORKS[options.pop("name")](**options)


OBJECTIVES: dict[str, Callable[..., Objective]] = {"cyclegan": CycleGAN}
