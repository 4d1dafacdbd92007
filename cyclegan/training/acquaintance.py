"""Getting to know folders: their pictures made small, and a VAE that tells their folders and what is usual in them."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as nnf

from cyclegan.chance import seed_for
from cyclegan.curation.duplicates import Pair
from cyclegan.curation.findings import Described, numbers, pairs_among
from cyclegan.curation.latent import joint_features
from cyclegan.curation.resample import Weights
from cyclegan.curation.source import encoded
from cyclegan.errors import InputError
from cyclegan.experiment import Data, Training
from cyclegan.networks import Autoencoder, initialise
from cyclegan.objectives import VAE
from cyclegan.training.album import Album
from cyclegan.training.augment import Geometry
from cyclegan.training.data import Domain, Draws
from cyclegan.training.medium import Medium
from cyclegan.training.trainer import Report, Trainer

SIDE = 64  # pixels that pictures are looked at with
LEARNT = 32  # pixels that the VAE sees: four times faster, and no worse (tools/NOTES.md)
EPOCHS, LEAST, MOST = 8, 4_000, 40_000  # pictures that it sees in all
BATCH = 32
LABEL = 100.0  # nats that a wrong folder costs, beside some thousands of a picture
DATA = Data(size=SIDE, enlarge=1.0, fit="stretch", flip=False)  # the whole picture, squashed

Tell = Callable[[float], None]
Weigh = Callable[[Tensor], Weights]  # of the latents (N, d) of one folder


@dataclass(frozen=True)
class Gathered:
    """The pictures of folders, uint8 (N, 3, 64, 64), where each lies, and its path; `lost` could not be read.

    Of recordings `courses` (N, 3, 64, 64) are what copies are found by, see Portraits.
    """

    pictures: Tensor
    folders: Tensor
    paths: tuple[str, ...]
    lost: tuple[str, ...]
    courses: Tensor | None = None

    def pairs(self) -> list[Pair]:
        """Return the near-duplicates among all that was gathered."""
        return pairs_among(self.pictures if self.courses is None else self.courses, self.folders)


def gather(albums: Sequence[Album], *, medium: Medium | None = None) -> Gathered:
    """Read all that is usable of albums that were scanned for `DATA`; raises InputError where there is nothing.

    The `medium` is the one of the scan, by default that of pictures; of one channel more than three, it is the course.
    """
    domains = [Domain(tuple(album.usable), ()) for album in albums]
    geometry = medium or Geometry(DATA)
    draws = Draws(domains, geometry, seed=0, stores=[list(album.stores(geometry)) for album in albums])
    pictures, folders, paths, lost = [], [], [], []
    for number, domain in enumerate(domains):
        for path in domain.train:
            try:
                pictures.append(geometry.fixed(draws.sized(number, path, short=SIDE)))
            except InputError as error:
                lost.append(error.what)
                continue
            folders.append(number)
            paths.append(str(path))
    if not pictures:
        raise InputError(f"none of the files can be read any more: {lost[0]}", hint="check the disk")
    stacked = torch.stack(pictures)
    courses = stacked[:, 3:].expand(-1, 3, -1, -1).contiguous() if stacked.shape[1] > 3 else None
    return Gathered(stacked[:, :3].contiguous(), torch.tensor(folders), tuple(paths), tuple(lost), courses)


def acquaint(
    gathered: Gathered,
    *,
    device: str = "cpu",
    seed: int = 0,
    weigh: Weigh | None = None,
    tell: Tell = lambda share: None,
) -> Autoencoder:
    """Train a VAE on pictures and, where there are two, on their folders; `tell` hears the share that is done.

    With `weigh` it is the debiasing VAE: after every epoch the latents say anew how often each picture is shown.
    """
    folders = [_small(gathered.pictures[gathered.folders == f]).to(device) for f in numbers(gathered.folders)]
    torch.manual_seed(seed_for(seed, "acquaintance"))
    network = initialise(Autoencoder(size=LEARNT, labels=len(folders) if len(folders) > 1 else 0))
    objective = VAE(V=network, label=LABEL if len(folders) > 1 else 0.0)
    images = max(LEAST, min(MOST, EPOCHS * len(gathered.pictures))) // len(folders)  # of each folder
    training = Training(images=images, batch=BATCH, learning_rate=2e-3, betas=(0.9, 0.999), precision="fp32")
    trainer = Trainer(objective, training, seed=seed, device=device)
    shown = [torch.ones(len(pictures)) for pictures in folders]
    for report in _alone(trainer.reports(_batches(folders, shown, seed=seed))):
        tell(report.progress)
        if weigh and report.every(max(BATCH, len(gathered.pictures) // len(folders))):
            _weigh_anew(network, folders, shown, weigh)
    return network.eval()


def _alone(reports: Iterator[Report]) -> Iterator[Report]:
    """Compute with one thread: on a network so small several wait for each other more than they work."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield from reports
    finally:
        torch.set_num_threads(before)


def _weigh_anew(network: Autoencoder, folders: Sequence[Tensor], shown: Sequence[Tensor], weigh: Weigh) -> None:
    network.eval()
    for pictures, weights in zip(folders, shown, strict=True):
        weights.copy_(weigh(encoded(network, torch.split(pictures, 128))).values)
    network.train()


def described(gathered: Gathered, known: Described, network: Autoencoder) -> Described:
    """Return what is known, and what the VAE says: averaged over pictures and their mirror images."""
    device = next(network.parameters()).device
    small = _small(gathered.pictures).to(device)
    latent, logits = joint_features(network, small)
    mirrored, others = joint_features(network, small.flip(3))
    return Described(known.look, known.mirrored, (latent + mirrored) / 2, (logits + others) / 2)


def _small(pictures: Tensor) -> Tensor:
    small: Tensor = nnf.interpolate(pictures.float(), size=(LEARNT, LEARNT), mode="area")
    return small / 127.5 - 1


def _batches(folders: Sequence[Tensor], shown: Sequence[Tensor], *, seed: int) -> Iterator[list[Tensor]]:
    """Yield as many pictures of every folder, drawn by the weights that `shown` has now, every other one mirrored."""
    chance = torch.Generator().manual_seed(seed_for(seed, "acquaintance", "batches") % 2**63)
    each = BATCH // len(folders)
    while True:
        batch = []
        for pictures, weights in zip(folders, shown, strict=True):
            drawn = pictures[torch.multinomial(weights, each, replacement=True, generator=chance)]
            mirrored = torch.rand(each, 1, 1, 1, generator=chance).to(drawn) < 0.5
            batch.append(torch.where(mirrored, drawn.flip(3), drawn))
        yield batch
