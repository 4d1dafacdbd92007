"""Do two scores rank the checkpoints of a run alike?  rank_scores.py --data FOLDER --features SQUEEZENET RUN...

FOLDER has testA and testB; each RUN has fakesNNNNNNN.safetensors: what the checkpoint after NNNNNNN pictures makes of
testA ("A2B") and of testB ("B2A"), uint8 (N, 3, side, side). Printed is Spearman's rank correlation, over checkpoints,
of the kernel distances seen by the offline features and by those of the file: to B, to A, and of both together.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from torch import Tensor

from cyclegan.media.folder import pictures
from cyclegan.media.image import read_rgb
from cyclegan.metrics.distances import kid
from cyclegan.metrics.features import Features, load_features
from cyclegan.translation.evaluate import Size


def main() -> None:
    """Print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--features", default="inception")
    parser.add_argument("runs", type=Path, nargs="+")
    asked = parser.parse_args()
    judges = load_features("own"), load_features(asked.features)
    for run in asked.runs:
        files = sorted(run.glob("fakes*.safetensors"))
        fakes = [safetensors.torch.load_file(file) for file in files]
        reals = [_reals(asked.data / name, side=fakes[0]["A2B"].shape[-1]) for name in ("testB", "testA")]
        own, other = ([_distances(judge, each, reals) for each in fakes] for judge in judges)
        columns = [_rank_correlation([a[i] for a in own], [b[i] for b in other]) for i in range(3)]
        print(f"{run.name:24} {len(files):3} checkpoints  " + "  ".join(f"{value:5.2f}" for value in columns))


def _reals(folder: Path, *, side: int) -> Tensor:
    read = (torch.from_numpy(np.array(read_rgb(path))).permute(2, 0, 1)[None] for path in pictures(folder))
    return torch.cat([Size(side)(picture) for picture in read])


def _distances(judge: Features, fakes: dict[str, Tensor], reals: Sequence[Tensor]) -> list[float]:
    there, back = (kid(judge(fakes[name]), judge(r))[0] for name, r in zip(("A2B", "B2A"), reals, strict=True))
    return [there, back, there + back]


def _rank_correlation(first: Sequence[float], second: Sequence[float]) -> float:
    ranks = [torch.tensor(values).argsort().argsort().double() for values in (first, second)]
    return float(torch.corrcoef(torch.stack(ranks))[0, 1])


if __name__ == "__main__":
    main()
