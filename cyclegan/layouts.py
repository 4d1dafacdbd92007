"""How other people lay out their networks, and which of ours each is.

Known are the files of pytorch-CycleGAN-and-pix2pix since 2017 (residual and U-Net translators, critics), of CUT
(antialiased) and of GAN Compression (separable, pruned). Each family is written down below as its `nn.Sequential`: a
list with our module's name where theirs has parameters. What is not on the list is refused.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor

from cyclegan.errors import shown
from cyclegan.networks import NETWORKS
from cyclegan.networks.resnet import derived_widths

State: TypeAlias = dict[str, Tensor]
Slot: TypeAlias = "str | tuple[str, list[Slot]] | None"  # our name; an attribute with its own slots; nothing stored

KNOWN = "known: translators and critics of pytorch-CycleGAN-and-pix2pix, CUT's and GAN Compression's translators"


@dataclass(frozen=True)
class Foreign:
    """A network found in somebody's file: its name in `NETWORKS`, its options, its float32 state in our names."""

    network: str
    options: dict[str, Any]
    state: State


class Refused(Exception):
    """A reason and a next step; the file's name is added at the door."""

    def __init__(self, why: str, hint: str = KNOWN) -> None:
        super().__init__(why)
        self.why, self.hint = why, hint


def recognise(tensors: State) -> Foreign:
    """Return the network that somebody's named tensors are; raises Refused where they are none that is known."""
    if "model.model.0.weight" in tensors:
        return _unet(tensors)
    if any(".conv_block." in name for name in tensors):
        return _resnet(tensors)
    if "model.0.weight" in tensors or "net.0.weight" in tensors:
        return _patchgan(tensors)
    raise Refused(f"is no known network: it begins with {shown(next(iter(tensors))[:80])}")


def _unet(tensors: State) -> Foreign:
    depth, inside = 2, "model.model.1.model.3.model."
    while f"{inside}1.weight" in tensors:
        depth, inside = depth + 1, f"{inside}3.model."
    names = _names(_unet_slots(depth), "model.model")
    state = _renamed(tensors, names)
    first, last = state["downs.0.conv.weight"], state["head.conv.weight"]
    options = {
        "channels_in": first.shape[1],
        "channels_out": last.shape[1],
        "width": first.shape[0],
        "depth": depth,
        "norm": _norm(state),
        "dropout": 0.0,  # leaves no trace in a file
    }
    return _fitted("unet", options, state, names)


def _unet_slots(depth: int) -> list[Slot]:
    slots: list[Slot] = [None, f"downs.{depth - 1}.conv", None, "ups.0.conv", "ups.0.norm"]
    for level in reversed(range(1, depth - 1)):
        down, up = f"downs.{level}", f"ups.{depth - 1 - level}"
        slots = [None, f"{down}.conv", f"{down}.norm", ("model", slots), None, f"{up}.conv", f"{up}.norm"]
    return ["downs.0.conv", ("model", slots), None, "head.conv"]


def _resnet(tensors: State) -> Foreign:
    reflect = "model.0.weight" not in tensors  # before July 2017 the convolutions padded with zeros themselves
    antialiased = any(name.endswith(".filt") for name in tensors)
    separable = any(name.endswith(".conv.2.weight") for name in tensors)
    dropout = not any(f".conv_block.{5 if reflect else 3}." in name for name in tensors)
    blocks = len({name.split(".")[1] for name in tensors if ".conv_block." in name})
    pad: list[Slot] = [None] * reflect
    inner = [_block_slots(f"blocks.{i}", pad=pad, dropout=dropout, separable=separable) for i in range(blocks)]
    names = _names(_resnet_slots(inner, pad=pad, antialiased=antialiased), "model")
    state = _renamed(tensors, names)
    widths = _widths(state, blocks, separable=separable, antialiased=antialiased)
    derived = widths == derived_widths(widths[0], blocks=blocks)
    options = {
        "channels_in": state["stem.conv.weight"].shape[1],
        "channels_out": state["head.conv.weight"].shape[0],
        "width": widths[0],
        "blocks": blocks,
        "norm": _norm(state),
        "dropout": 0.5 if dropout and not separable else 0.0,  # GAN Compression has the layer, at rate 0
        "padding": "reflect" if reflect else "zero",
        "resample": "antialiased" if antialiased else "strided",
        "separable": separable,
        "widths": () if derived else widths,
    }
    return _fitted("resnet", options, state, names)


def _resnet_slots(blocks: list[list[Slot]], *, pad: list[Slot], antialiased: bool) -> list[Slot]:
    slots: list[Slot] = [*pad, "stem.conv", "stem.norm", None]
    for i in range(2):
        slots += [f"downs.{i}.conv", f"downs.{i}.norm", None, *([f"downs.{i}.halve"] * antialiased)]
    slots += [("conv_block", block) for block in blocks]
    for i in range(2):
        slots += [*([f"ups.{i}.enlarge"] * antialiased), f"ups.{i}.conv", f"ups.{i}.norm", None]
    return [*slots, *pad, "head.conv"]


def _block_slots(block: str, *, pad: list[Slot], dropout: bool, separable: bool) -> list[Slot]:
    def conv(name: str) -> Slot:
        return ("conv", [f"{name}.depthwise", None, f"{name}.pointwise"]) if separable else name

    first: list[Slot] = [*pad, conv(f"{block}.first.conv"), f"{block}.first.norm", None, *([None] * dropout)]
    return [*first, *pad, conv(f"{block}.second.conv"), f"{block}.second.norm"]


def _widths(state: State, blocks: int, *, separable: bool, antialiased: bool) -> tuple[int, ...]:
    """Return the channel counts as `ResNet` lists them: pruned networks have a different one everywhere."""
    inner = [f"blocks.{i}.first.conv{'.pointwise' * separable}" for i in range(blocks)]
    before = ["stem.conv", "downs.0.conv", "downs.1.conv"]
    after = [state[f"ups.{i}.conv.weight"].shape[0 if antialiased else 1] for i in range(2)]
    return (*(state[f"{name}.weight"].shape[0] for name in [*before, *inner]), *after)


def _patchgan(tensors: State) -> Foreign:
    pixel = "net.0.weight" in tensors
    hidden = 1
    while not pixel and f"model.{5 + 3 * hidden}.weight" in tensors:
        hidden += 1
    slots: list[Slot] = ["stem.conv", None]
    for i in range(hidden):
        slots += [f"layers.{i}.conv", f"layers.{i}.norm", None]
    names = _names([*slots, "head.conv"], "net" if pixel else "model")
    state = _renamed(tensors, names)
    width, channels_in = state["stem.conv.weight"].shape[:2]
    layers = 0 if pixel else hidden
    options = {"channels_in": channels_in, "width": width, "layers": layers, "norm": _norm(state)}
    return _fitted("patchgan", options, state, names)


# ------------------------------------------------------------------------------------------------- what they share


def _names(slots: list[Slot], prefix: str) -> dict[str, str]:
    """Return their module's name -> our module's name."""
    names: dict[str, str] = {}
    for index, slot in enumerate(slots):
        if isinstance(slot, str):
            names[f"{prefix}.{index}"] = slot
        elif slot:
            names |= _names(slot[1], f"{prefix}.{index}.{slot[0]}")
    return names


def _renamed(tensors: State, names: Mapping[str, str]) -> State:
    state: State = {}
    for name, tensor in tensors.items():
        module, _, leaf = name.rpartition(".")
        if module not in names:
            raise Refused(f"{shown(name[:80])} has no place in a network that is otherwise familiar")
        if leaf == "filt":
            _check_filter(name, tensor)
        else:
            state[f"{names[module]}.{leaf}"] = tensor
    convolutions = {name.removesuffix(".weight") for name, tensor in tensors.items() if tensor.ndim == 4}
    for module, ours in names.items():
        if not ours.endswith((".norm", ".halve", ".enlarge")) and module not in convolutions:
            raise Refused(f"{module}.weight is missing or is not a convolution's")
    return state


def _check_filter(name: str, tensor: Tensor) -> None:
    """Make sure that a stored filter is the one our layers compute: binomial to halve, its enlarging twin to double."""
    row = {3: [0.25, 0.5, 0.25], 4: [0.25, 0.75, 0.75, 0.25]}.get(tensor.shape[-1], [0.0])
    if not torch.allclose(tensor, torch.outer(torch.tensor(row), torch.tensor(row)).expand_as(tensor), atol=1e-6):
        raise Refused(f"{name} is another filter than CUT's")


def _norm(state: State) -> str:
    """Tell the norm from what is stored beside it.

    Running statistics alone were kept by InstanceNorm2d until October 2018. With weights and a bias in the convolution
    before, the file is from 2017, and instance and batch norm look alike: instance is right for both, since the
    reference translated one picture at a time by that picture's own statistics.
    """
    affine = [name.removesuffix(".norm.weight") for name in state if name.endswith(".norm.weight")]
    if not affine:
        return "instance"
    tracked = any(name.endswith(".norm.running_var") for name in state)
    return "batch" if tracked and not any(f"{layer}.conv.bias" in state for layer in affine) else "instance-affine"


def _fitted(network: str, options: dict[str, Any], state: State, names: Mapping[str, str]) -> Foreign:
    """Return the network, after comparing every name and shape with one built without memory."""
    with torch.device("meta"):
        expected = NETWORKS[network](**options).state_dict()
    if options["norm"] == "batch":
        state |= {name: torch.tensor(0) for name in expected if name.endswith(".num_batches_tracked")}
    else:
        state = {name: tensor for name, tensor in state.items() if ".norm.running_" not in name}
    theirs = {ours: module for module, ours in names.items()}
    for name in [*state, *(expected.keys() - state.keys())]:
        found, wanted = (tuple(s[name].shape) if name in s else "nothing" for s in (state, expected))
        if found != wanted:
            module, _, leaf = name.rpartition(".")
            raise Refused(f"{theirs[module]}.{leaf} is {found} where a {network} of this kind has {wanted}")
    return Foreign(network, options, state)
