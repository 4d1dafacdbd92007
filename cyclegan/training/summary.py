"""What an experiment's networks are, without the memory they would take."""

from typing import Any

import torch
from torch import Tensor, nn

from cyclegan.experiment import Experiment
from cyclegan.objectives import assemble, network_specs
from cyclegan.training.student import teacher_for


def network_rows(experiment: Experiment) -> list[dict[str, Any]]:
    """Return name, kind, parameters and output shape, for one picture of the training size, of every network."""
    channels, height, width = experiment.shape
    specs = network_specs(experiment, channels=channels)
    teacher = teacher_for(experiment)
    with torch.device("meta"):
        objective = assemble(experiment, channels=channels, teacher=teacher.network if teacher else None)
        picture = torch.empty(1, channels, height, width)
        return [_row(name, spec, objective.get_submodule(name), picture) for name, spec in specs.items()]


def _row(name: str, spec: dict[str, Any], network: nn.Module, picture: Tensor) -> dict[str, Any]:
    from_noise = "channels_in" not in spec
    taken = torch.empty(1, spec["latent"]) if from_noise else picture
    return {
        "network": name,
        "kind": spec["name"],
        "parameters": sum(p.numel() for p in network.parameters()),
        "output": " × ".join(map(str, network(taken).shape[1:])),
    }
