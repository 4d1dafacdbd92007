"""The options of networks and objectives, each with its default, its range and a line that explains it.

Their names and defaults are those of the classes they build, which stand in `cyclegan.networks` and
`cyclegan.objectives` (a test holds both together).
"""

from dataclasses import dataclass
from typing import Literal

from cyclegan.tables import option

Adversarial = Literal["least-squares", "hinge", "non-saturating", "wasserstein"]


@dataclass(frozen=True)
class Pictures:
    """Says that pictures are translated; see `cyclegan.codecs.Pictures`."""

    name: Literal["pictures"] = option("pictures", "what is in the folders, as networks see it: red, green and blue")


@dataclass(frozen=True)
class Voice:
    """Options of `cyclegan.codecs.Voice`."""

    name: Literal["voice"] = option("voice", "speech: its spectral envelope is translated, its pitch moved")
    rate: int = option(
        16_000, "samples a second; half of it is the highest pitch that is heard", low=16_000, high=48_000
    )
    coefficients: int = option(36, "numbers of the spectral envelope (mel-cepstrum), a multiple of 4", low=8, high=128)
    period: float = option(5.0, "milliseconds from frame to frame", low=1, high=20)


@dataclass(frozen=True)
class ResNet:
    """Options of `cyclegan.networks.ResNet`."""

    name: Literal["resnet"] = option("resnet", "residual generator: keeps the composition, changes the texture")
    width: int = option(64, "channels after the first convolution", low=1, high=1024)
    blocks: int = option(0, "residual blocks; 0 is the paper's choice: 9 from 256 pixels on, 6 below", low=0, high=64)
    norm: Literal["instance", "instance-affine", "batch"] = option("instance", "normalisation")
    dropout: float = option(0.0, "share of features dropped inside each block while training", low=0, high=0.9)
    padding: Literal["reflect", "zero"] = option("reflect", "what convolutions see beyond the edge")
    resample: Literal["strided", "antialiased", "nearest", "light"] = option(
        "strided",
        "strided: as in 2017; antialiased: no checkerboard; light: so at half the cost; nearest: enlarge, then conv",
    )
    output: Literal["tanh", "residual"] = option(
        "tanh", "tanh: paint the picture anew, as in 2017; residual: paint the change, which begins near none"
    )
    kernel: int = option(
        7, "side of the first and the last convolution, an odd number: 3 is a fifth of 7's work", low=3, high=15
    )
    separable: bool = option(False, "blocks filter and mix channels in two steps: an eighth of the multiply-adds")


@dataclass(frozen=True)
class UNet:
    """Options of `cyclegan.networks.UNet`."""

    name: Literal["unet"] = option("unet", "encoder and decoder with skips: keeps fine detail in place")
    width: int = option(64, "channels after the first convolution", low=1, high=1024)
    depth: int = option(0, "halvings; 0: as deep as the training size allows, at most 8", low=0, high=8)
    norm: Literal["instance", "instance-affine", "batch"] = option("instance", "normalisation")
    dropout: float = option(0.0, "share of features dropped in the innermost decoder levels", low=0, high=0.9)


@dataclass(frozen=True)
class PatchGAN:
    """Options of `cyclegan.networks.PatchGAN`."""

    name: Literal["patchgan"] = option("patchgan", "judges overlapping patches of the picture")
    width: int = option(64, "channels after the first convolution", low=1, high=1024)
    layers: int = option(
        3, "strided layers: 3 see 70 pixels, 2 see 34, 1 sees 16, 0 judges single pixels", low=0, high=6
    )
    norm: Literal["instance", "instance-affine", "batch", "none"] = option("instance", "normalisation")


@dataclass(frozen=True)
class CycleGAN:
    """Options of `cyclegan.objectives.CycleGAN`."""

    name: Literal["cyclegan"] = option("cyclegan", "two translators, two critics, and the way back")
    adversarial: Adversarial = option("least-squares", "what real and fake mean to the critics")
    cycle: float = option(10.0, "λ: weight of coming back to the start", low=0)
    cycle_end: float = option(1.0, "share of λ that is left at the end; it falls in a line", low=0, high=1)
    identity: float = option(5.0, "weight of leaving alone what is already there; 0 saves a quarter of the time", low=0)
    history: int = option(50, "how many earlier fakes the critics are reminded of; 0: none", low=0, high=10_000)
    penalty: float = option(10.0, "weight of the gradient penalty; used by wasserstein only", low=0)
    r1: float = option(0.0, "γ: how much a critic pays for being steep at real pictures; 0: nothing", low=0)
    r1_every: int = option(1, "steps between two payments of r1, each as much larger", low=1, high=1000)
    nce: float = option(0.0, "weight of telling patches by what they were made of (DCLGAN); 0: not asked", low=0)
    augment: float = option(
        0.0, "chance that critics see a picture moved, or covered in part; for small folders", low=0, high=1
    )


@dataclass(frozen=True)
class Distillation:
    """Options of `cyclegan.objectives.Distillation`."""

    name: Literal["distillation"] = option("distillation", "a small student does as its teacher does")
    teacher: str = option("", "the teacher's weights: a name, a file or a run folder")
    fingerprint: str = option("", "SHA-256 of the teacher, so that no other goes on in its place; empty: any")
    output: float = option(10.0, "weight of painting what the teacher paints", low=0)
    features: float = option(
        1.0, "weight of seeing what the teacher sees, between residual blocks; 0: not asked", low=0
    )
    critic: float = option(1.0, "weight of deceiving a critic of the target domain; 0: there is none", low=0)
    adversarial: Literal["least-squares", "hinge", "non-saturating"] = option(
        "least-squares", "what real and fake mean to the critic"
    )
    history: int = option(50, "how many earlier fakes the critic is reminded of; 0: none", low=0, high=10_000)
    r1: float = option(2.0, "γ: how much the critic pays for being steep at real pictures; 0: nothing", low=0)
    r1_every: int = option(8, "steps between two payments of r1, each as much larger", low=1, high=1000)
    augment: float = option(
        0.0, "chance that the critic sees a picture moved, or covered in part; for small folders", low=0, high=1
    )


@dataclass(frozen=True)
class MaskCycleGAN:
    """Options of `cyclegan.objectives.MaskCycleGAN`."""

    name: Literal["mask-cyclegan"] = option(
        "mask-cyclegan", "two translators that also fill in frames, two critics or four, and the way back: for voices"
    )
    adversarial: Literal["least-squares", "hinge", "non-saturating"] = option(
        "least-squares", "what real and fake mean to the critics"
    )
    cycle: float = option(10.0, "λ: weight of coming back to the start", low=0)
    cycle_end: float = option(1.0, "share of λ that is left at the end; it falls in a line", low=0, high=1)
    identity: float = option(5.0, "weight of leaving alone what is already there; 0: not asked", low=0)
    identity_until: float = option(
        0.05, "share of the training after which that is no longer asked; 1: always asked", low=0, high=1
    )
    mask: float = option(0.5, "longest run of frames that is hidden, as a share of all; 0: none is", low=0, high=1)
    two_step: float = option(1.0, "weight of deceiving critics of what came back as well; 0: there are none", low=0)
    history: int = option(50, "how many earlier fakes the critics are reminded of; 0: none", low=0, high=10_000)
    r1: float = option(0.0, "γ: how much a critic pays for being steep at what is real; 0: nothing", low=0)
    r1_every: int = option(1, "steps between two payments of r1, each as much larger", low=1, high=1000)


@dataclass(frozen=True)
class TwoOneTwo:
    """Options of `cyclegan.networks.TwoOneTwo`."""

    name: Literal["2-1-2d"] = option("2-1-2d", "paints the change of a voice; its middle sees whole frames")
    width: int = option(64, "channels after the first convolution", low=1, high=1024)
    inner: int = option(256, "channels in the middle, where a frame is a single place", low=1, high=4096)
    blocks: int = option(6, "residual blocks in the middle", low=1, high=64)
    kernel: int = option(
        15, "frames that the first and the last convolution see, an odd number; a third of it between", low=3, high=31
    )


@dataclass(frozen=True)
class GatedPatchGAN:
    """Options of `cyclegan.networks.GatedPatchGAN`."""

    name: Literal["gated-patchgan"] = option("gated-patchgan", "judges overlapping patches of a voice")
    width: int = option(64, "channels after the first convolution", low=1, high=1024)
    layers: int = option(
        3, "strided layers: 3 see 33 frames and coefficients, 2 see 17, 1 sees 9, 0 sees 5", low=0, high=6
    )


@dataclass(frozen=True)
class NoCritic:
    """Says that nobody judges what is made."""

    name: Literal["none"] = option("none", "nobody judges: the objective needs no critic")


@dataclass(frozen=True)
class Autoencoder:
    """Options of `cyclegan.networks.Autoencoder`."""

    name: Literal["autoencoder"] = option("autoencoder", "a picture becomes a few numbers, and they a picture")
    width: int = option(16, "channels after the first convolution; they double with every halving", low=1, high=1024)
    latent: int = option(32, "numbers that a picture becomes", low=1, high=4096)


@dataclass(frozen=True)
class VAE:
    """Options of `cyclegan.objectives.VAE`."""

    name: Literal["vae"] = option("vae", "a density of pictures: tells what is usual, and draws from it")
    beta: float = option(1.0, "weight of the KL; 1: a bound on the likelihood, 0: a plain autoencoder", low=0)
    free_bits: float = option(0.0, "nats that each latent may tell before it costs", low=0)


@dataclass(frozen=True)
class GAN:
    """Options of `cyclegan.objectives.GAN`."""

    name: Literal["gan"] = option("gan", "a generator of pictures from noise, and a critic")
    adversarial: Literal["relativistic", "non-saturating", "least-squares", "hinge"] = option(
        "relativistic", "what real and fake mean to the critic; relativistic: more real than a fake beside it"
    )
    gamma: float = option(5.0, "γ: how much the critic pays for being steep, at real pictures and at fakes", low=0)
    gamma_end: float = option(0.1, "share of γ that is left at the end; it falls in a line", low=0, high=1)
    gamma_every: int = option(1, "steps between two payments of γ, each as much larger", low=1, high=1000)
    augment: float = option(
        0.0, "chance that the critic sees a picture moved, or covered in part; for small folders", low=0, high=1
    )


@dataclass(frozen=True)
class R3Generator:
    """Options of `cyclegan.networks.R3Generator`."""

    name: Literal["r3-generator"] = option("r3-generator", "noise becomes a picture, without any normalisation (R3GAN)")
    width: int = option(16, "channels of the largest pictures; they double with every halving", low=1, high=1024)
    latent: int = option(64, "numbers of noise", low=1, high=4096)
    blocks: int = option(1, "residual blocks on each scale", low=1, high=64)


@dataclass(frozen=True)
class R3Critic:
    """Options of `cyclegan.networks.R3Critic`."""

    name: Literal["r3-critic"] = option("r3-critic", "judges whole pictures, without any normalisation (R3GAN)")
    width: int = option(16, "channels of the largest pictures; they double with every halving", low=1, high=1024)
    blocks: int = option(1, "residual blocks on each scale", low=1, high=64)


@dataclass(frozen=True)
class DCGANGenerator:
    """Options of `cyclegan.networks.DCGANGenerator`."""

    name: Literal["dcgan-generator"] = option(
        "dcgan-generator", "noise becomes a picture, as in 2016: strided, with batch norm"
    )
    width: int = option(64, "channels of the largest pictures; they double with every halving", low=1, high=1024)
    latent: int = option(100, "numbers of noise", low=1, high=4096)


@dataclass(frozen=True)
class DCGANCritic:
    """Options of `cyclegan.networks.DCGANCritic`."""

    name: Literal["dcgan-critic"] = option(
        "dcgan-critic", "judges whole pictures, as in 2016: strided, with batch norm"
    )
    width: int = option(64, "channels of the largest pictures; they double with every halving", low=1, high=1024)
