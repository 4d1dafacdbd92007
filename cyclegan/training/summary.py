"""What an experiment's networks are, without the memory they would take."""

from typing import Any

import torch

from cyclegan.experiment import Experiment
from cyclegan.objectives import assemble, network_specs
from cyclegan.training.student import teacher_for


def network_rows(experiment: Experiment, *, channels: int = 3) -> list[dict[str, Any]]:
    """Return name, kind, parameters and output shape, for one picture of the training size, of every network."""
    specs = network_specs(experiment, channels=channels)
    teacher = teacher_for(experiment)
    with torch.device("meta"):
        objective = assemble(experiment, channels=channels, teacher=teacher.network if teacher else None)
        picture = torch.empty(1, channels, experiment.data.size, experiment.data.size)
        return [
            {
                "network": name,
                "kind": spec["name"],
                "parameters": sum(p.numel() for p in objective.get_submodule(name).parameters()),
                "output": " × ".join(map(str, objective.get_submodule(name)(picture).shape[1:])),
            }
            for name, spec in specs.items()
        ]
