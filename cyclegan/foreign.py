"""Other people's checkpoints, read without running what they hold.

Known are the pickled files of pytorch-CycleGAN-and-pix2pix since 2017 (residual and U-Net translators, critics), of CUT
(antialiased) and of GAN Compression (separable, pruned). Each family is written down below as its `nn.Sequential`: a
list with our module's name where theirs has parameters. What is not on the list is refused.
"""

import os
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeAlias

import torch
from torch import Tensor

from cyclegan.errors import CheckpointError, shown
from cyclegan.networks import NETWORKS
from cyclegan.networks.resnet import derived_widths

SIZE_LIMIT = 1 << 30  # bytes; the largest known file, a U-Net for 256 pixels, has 218 MB
MEMBER_LIMIT = 10_000  # files in the zip; there is one for each tensor

State: TypeAlias = dict[str, Tensor]
Slot: TypeAlias = "str | tuple[str, list[Slot]] | None"  # our name; an attribute with its own slots; nothing stored

_AGAIN = "fetch it again from where it came"
_ONLY_WEIGHTS = "save it there with torch.save(network.state_dict(), file)"
_KNOWN = "known: translators and critics of pytorch-CycleGAN-and-pix2pix, CUT's and GAN Compression's translators"


@dataclass(frozen=True)
class Foreign:
    """A network found in somebody's file: its name in `NETWORKS`, its options, its float32 state in our names."""

    network: str
    options: dict[str, Any]
    state: State


class _Refused(Exception):
    """A reason and a next step; the file's name is added at the door."""

    def __init__(self, why: str, hint: str = _KNOWN) -> None:
        super().__init__(why)
        self.why, self.hint = why, hint


def read_foreign(path: Path) -> Foreign:
    """Read a translator or a critic from another project's `.pth` file; raises CheckpointError for whatever is wrong.

    Damaged files raise anything at all from deep inside zip, pickle and torch, hence the wide net.
    """
    try:
        return _recognise(_load(path))
    except Exception as error:
        refused = error if isinstance(error, _Refused) else _translated(error)
        raise CheckpointError(f"{shown(path)}: {refused.why}", hint=refused.hint) from error


def _translated(error: Exception) -> _Refused:
    if isinstance(error, OSError) and error.strerror:
        return _Refused(f"cannot be read: {error.strerror}", "check the path")
    if type(error).__name__ == "UnpicklingError" and "GLOBAL" in str(error):
        return _Refused("holds code or objects besides weights; nothing of it was run", _ONLY_WEIGHTS)
    return _Refused(f"truncated or damaged, or no checkpoint at all ({type(error).__name__})", _AGAIN)


# ---------------------------------------------------------------------------------------------- from file to tensors


def _load(path: Path) -> State:
    if path.exists() and not path.is_file():
        raise _Refused("is not a file", "check the path")
    with path.open("rb") as file, warnings.catch_warnings(action="ignore"):
        size = os.fstat(file.fileno()).st_size
        if size > SIZE_LIMIT:
            raise _Refused(f"is larger than any known network: {size >> 20} MiB, at most {SIZE_LIMIT >> 20}")
        _check_kind(file, size)
        file.seek(0)
        return _tensors(torch.load(file, weights_only=True, map_location="cpu"), size)


def _check_kind(file: BinaryIO, size: int) -> None:
    start = file.read(16)
    if start.startswith(b"PK\3\4"):
        _check_zip(file, size)
    elif start[8:9] == b"{":
        raise _Refused("is a safetensors file, not a pickled checkpoint", "only .pth files of other projects fit here")
    elif start.lstrip()[:1] == b"<":
        raise _Refused("is a web page, not a checkpoint", "the download link may be dead; look for another")


def _check_zip(file: BinaryIO, size: int) -> None:
    file.seek(0)
    if file.read().count(b"PK\1\2") > MEMBER_LIMIT:
        raise _Refused(f"has more than {MEMBER_LIMIT} members")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if any(m.filename.endswith("/constants.pkl") or "/code/" in m.filename for m in members):
            raise _Refused("is a TorchScript program, which is never run", _ONLY_WEIGHTS)
        if any(m.compress_type != zipfile.ZIP_STORED for m in members) or sum(m.file_size for m in members) > size:
            raise _Refused("is a compressed or overlapping archive, which torch never writes", _ONLY_WEIGHTS)
        if damaged := archive.testzip():  # torch itself checks no sums
            raise _Refused(f"truncated or damaged: wrong checksum in {shown(damaged)}", _AGAIN)


def _tensors(found: object, size: int) -> State:
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not found:
        raise _Refused(f"holds {type(found).__name__}, not named tensors", _ONLY_WEIGHTS)
    state: State = {}
    for name, value in found.items():
        name = re.sub(r"^((module|_orig_mod)\.)+", "", str(name))
        if not name.endswith(".num_batches_tracked"):  # a counter that only training without momentum reads
            state[name] = _checked(name, value)
            size -= value.nbytes
    if size < 0:
        raise _Refused("holds tensors that share their values", _ONLY_WEIGHTS)
    return state


def _checked(name: str, value: object) -> Tensor:
    """Return a float32 copy, after making sure that the values are really there."""
    name = shown(name[:80])
    if not isinstance(value, Tensor) or value.layout != torch.strided or value.device.type != "cpu":
        raise _Refused(f"{name} is not a plain tensor but {type(value).__name__}", _ONLY_WEIGHTS)
    if not value.is_floating_point() or value.numel() == 0:
        raise _Refused(f"{name} holds no weights: {tuple(value.shape)} of {value.dtype}")
    if value.nbytes > value.untyped_storage().nbytes():  # a stride of 0 makes 10⁶ × 10⁶ values of four bytes
        raise _Refused(f"{name} claims more values than the file holds", _AGAIN)
    copy = value.detach().to(torch.float32, copy=True, memory_format=torch.contiguous_format)
    if not copy.isfinite().all():
        raise _Refused(f"{name} holds values that are not finite", "the training diverged; take an earlier checkpoint")
    return copy


# ------------------------------------------------------------------------------------------- from tensors to a network


def _recognise(tensors: State) -> Foreign:
    if "model.model.0.weight" in tensors:
        return _unet(tensors)
    if any(".conv_block." in name for name in tensors):
        return _resnet(tensors)
    if "model.0.weight" in tensors or "net.0.weight" in tensors:
        return _patchgan(tensors)
    raise _Refused(f"is no known network: it begins with {shown(next(iter(tensors))[:80])}")


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
            raise _Refused(f"{shown(name[:80])} has no place in a network that is otherwise familiar")
        if leaf == "filt":
            _check_filter(name, tensor)
        else:
            state[f"{names[module]}.{leaf}"] = tensor
    convolutions = {name.removesuffix(".weight") for name, tensor in tensors.items() if tensor.ndim == 4}
    for module, ours in names.items():
        if not ours.endswith((".norm", ".halve", ".enlarge")) and module not in convolutions:
            raise _Refused(f"{module}.weight is missing or is not a convolution's")
    return state


def _check_filter(name: str, tensor: Tensor) -> None:
    """Make sure that a stored filter is the one our layers compute: binomial to halve, its enlarging twin to double."""
    row = {3: [0.25, 0.5, 0.25], 4: [0.25, 0.75, 0.75, 0.25]}.get(tensor.shape[-1], [0.0])
    if not torch.allclose(tensor, torch.outer(torch.tensor(row), torch.tensor(row)).expand_as(tensor), atol=1e-6):
        raise _Refused(f"{name} is another filter than CUT's")


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
            raise _Refused(f"{theirs[module]}.{leaf} is {found} where a {network} of this kind has {wanted}")
    return Foreign(network, options, state)
