"""Tensor to tensor: the networks, by name. Nothing here knows files.

Every network is built from keyword arguments that a TOML table can hold. Translators say which heights and widths they
accept (`multiple`, `smallest`); critics say the least (`smallest`).
"""

from torch import nn

from cyclegan.networks.autoencoder import Autoencoder
from cyclegan.networks.blocks import initialise
from cyclegan.networks.dcgan import DCGANCritic, DCGANGenerator
from cyclegan.networks.gated import GatedPatchGAN, TwoOneTwo
from cyclegan.networks.heads import PatchHeads
from cyclegan.networks.patchgan import PatchGAN
from cyclegan.networks.r3gan import R3Critic, R3Generator
from cyclegan.networks.resnet import ResNet
from cyclegan.networks.unet import UNet

NETWORKS: dict[str, type[nn.Module]] = {
    "resnet": ResNet,
    "unet": UNet,
    "2-1-2d": TwoOneTwo,
    "patchgan": PatchGAN,
    "gated-patchgan": GatedPatchGAN,
    "autoencoder": Autoencoder,
    "r3-generator": R3Generator,
    "r3-critic": R3Critic,
    "dcgan-generator": DCGANGenerator,
    "dcgan-critic": DCGANCritic,
}

__all__ = ["NETWORKS", "Autoencoder", "PatchGAN", "PatchHeads", "ResNet", "UNet", "initialise"]
