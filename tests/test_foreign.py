"""Other people's checkpoints: equal pictures from every historical layout, and a closed door for everything else."""

import builtins
import copy
import io
import os
import pickle
import subprocess
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cyclegan.errors import CheckpointError
from cyclegan.foreign import read_foreign
from cyclegan.networks import NETWORKS

REAL = Path(__file__).parents[2] / "shared/data/weights"
Norm = Callable[[int], nn.Module]


def kept(channels: int) -> nn.Module:
    """InstanceNorm2d as in 2018: statistics are kept, and the reference never asks for them."""
    return nn.InstanceNorm2d(channels, track_running_stats=True)


def affine(channels: int) -> nn.Module:
    return nn.InstanceNorm2d(channels, affine=True, track_running_stats=True)


# ------------------------------------------------------------------ the original layouts, longhand, in their own order


class Shortcut(nn.Module):
    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Mobile(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        depthwise = nn.Conv2d(n_in, n_in, 3, groups=n_in)
        self.conv = nn.Sequential(depthwise, nn.InstanceNorm2d(n_in), nn.Conv2d(n_in, n_out, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class Filter(nn.Module):
    """CUT's fixed filters, with the arithmetic of its layers."""

    def __init__(self, channels: int, taps: list[float]) -> None:
        super().__init__()
        row = torch.tensor(taps)
        kernel = torch.outer(row, row) / row.sum() ** 2 * (4 if len(taps) == 4 else 1)
        self.register_buffer("filt", kernel.repeat(channels, 1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        if self.filt.shape[-1] == 3:
            return F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.filt, stride=2, groups=channels)
        edges = F.pad(x, (1, 1, 1, 1), mode="replicate")
        return F.conv_transpose2d(edges, self.filt, stride=2, padding=2, groups=channels)[:, :, 1:-1, 1:-1]


class Model(nn.Module):
    def __init__(self, *layers: nn.Module, name: str = "model") -> None:
        super().__init__()
        self.add_module(name, nn.Sequential(*layers))

    def forward(self, x: Tensor) -> Tensor:
        (layers,) = self.children()
        return layers(x)


def resnet(
    blocks: int, norm: Norm, *, w: int = 4, bias: bool = True, zero: bool = False, drop: bool = False, cut: bool = False
) -> nn.Module:
    def relu() -> nn.Module:
        return nn.ReLU(True)

    def pad(n: int) -> list[nn.Module]:
        return [] if zero else [nn.ReflectionPad2d(n)]

    def conv(n_in: int, n_out: int, k: int, **options: Any) -> nn.Module:
        return nn.Conv2d(n_in, n_out, k, **{"bias": bias, "padding": k // 2 if zero else 0, **options})

    layers = [*pad(3), conv(3, w, 7), norm(w), relu()]
    for n in (w, 2 * w):
        layers += [conv(n, 2 * n, 3, stride=1 if cut else 2, padding=1), norm(2 * n), relu()]
        layers += [Filter(2 * n, [1, 2, 1])] * cut
    n = 4 * w
    for _ in range(blocks):
        dropped: list[nn.Module] = [nn.Dropout(0.5)] * drop
        first = [*pad(1), conv(n, n, 3), norm(n), relu(), *dropped]
        layers += [Shortcut(*first, *pad(1), conv(n, n, 3), norm(n))]
    for n in (4 * w, 2 * w):
        if cut:
            layers += [Filter(n, [1, 3, 3, 1]), nn.Conv2d(n, n // 2, 3, padding=1)]
        else:
            layers += [nn.ConvTranspose2d(n, n // 2, 3, stride=2, padding=1, output_padding=1, bias=bias)]
        layers += [norm(n // 2), relu()]
    return Model(*layers, *pad(3), conv(w, 3, 7, bias=True), nn.Tanh())


def pruned() -> nn.Module:
    def block(n: int) -> nn.Module:
        first = [nn.ReflectionPad2d(1), Mobile(10, n), nn.InstanceNorm2d(n), nn.ReLU(True), nn.Dropout(0)]
        return Shortcut(*first, nn.ReflectionPad2d(1), Mobile(n, 10), nn.InstanceNorm2d(10))

    def up(n_in: int, n_out: int) -> list[nn.Module]:
        conv = nn.ConvTranspose2d(n_in, n_out, 3, stride=2, padding=1, output_padding=1)
        return [conv, nn.InstanceNorm2d(n_out), nn.ReLU(True)]

    layers = [nn.ReflectionPad2d(3), nn.Conv2d(3, 4, 7), nn.InstanceNorm2d(4), nn.ReLU(True)]
    layers += [nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.InstanceNorm2d(6), nn.ReLU(True)]
    layers += [nn.Conv2d(6, 10, 3, stride=2, padding=1), nn.InstanceNorm2d(10), nn.ReLU(True)]
    layers += [*(block(n) for n in (5, 10, 7)), *up(10, 6), *up(6, 3)]
    return Model(*layers, nn.ReflectionPad2d(3), nn.Conv2d(3, 3, 7), nn.Tanh())


class Level(nn.Module):
    """A U-Net level around a deeper one; activations in place change what the skip carries."""

    def __init__(self, *layers: nn.Module, outermost: bool = False) -> None:
        super().__init__()
        self.model, self.outermost = nn.Sequential(*layers), outermost

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class UNet(nn.Module):
    def __init__(self, depth: int, norm: Norm, *, w: int = 2, bias: bool = True, drop: bool = False) -> None:
        super().__init__()

        def down(n_in: int, n_out: int) -> nn.Module:
            return nn.Conv2d(n_in, n_out, 4, stride=2, padding=1, bias=bias)

        def up(n_in: int, n_out: int, *, biased: bool = bias) -> nn.Module:
            return nn.ConvTranspose2d(n_in, n_out, 4, stride=2, padding=1, bias=biased)

        def leaky() -> nn.Module:
            return nn.LeakyReLU(0.2, True)

        n = 8 * w
        level = Level(leaky(), down(n, n), nn.ReLU(True), up(n, n), norm(n))
        outside = [(n, n)] * (depth - 5) + [(4 * w, 8 * w), (2 * w, 4 * w), (w, 2 * w)]
        for i, (outer, inner) in enumerate(outside):
            dropped: list[nn.Module] = [nn.Dropout(0.5)] * (drop and i < depth - 5)
            inwards = [leaky(), down(outer, inner), norm(inner)]
            level = Level(*inwards, level, nn.ReLU(True), up(2 * inner, outer), norm(outer), *dropped)
        self.model = Level(down(3, w), level, nn.ReLU(True), up(2 * w, 3, biased=True), nn.Tanh(), outermost=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def critic(layers: int, norm: Norm, *, w: int = 4, bias: bool = True) -> nn.Module:
    parts: list[nn.Module] = [nn.Conv2d(6, w, 4, stride=2, padding=1), nn.LeakyReLU(0.2, True)]
    widths = [w * min(2**i, 8) for i in range(layers + 1)]
    for i in range(layers):
        stride = 2 if i < layers - 1 else 1
        conv = nn.Conv2d(widths[i], widths[i + 1], 4, stride=stride, padding=1, bias=bias)
        parts += [conv, norm(widths[i + 1]), nn.LeakyReLU(0.2, True)]
    return Model(*parts, nn.Conv2d(widths[-1], 1, 4, padding=1))


def pixel_critic(norm: Norm, *, w: int = 4, bias: bool = True) -> nn.Module:
    hidden = [nn.Conv2d(w, 2 * w, 1, bias=bias), norm(2 * w), nn.LeakyReLU(0.2, True)]
    first = [nn.Conv2d(3, w, 1), nn.LeakyReLU(0.2, True)]
    return Model(*first, *hidden, nn.Conv2d(2 * w, 1, 1, bias=bias), name="net")


IN, BN = nn.InstanceNorm2d, nn.BatchNorm2d
LAYOUTS: dict[str, tuple[Callable[[], nn.Module], dict[str, Any]]] = {
    "resnet 9": (lambda: resnet(9, IN), {"blocks": 9, "norm": "instance", "dropout": 0.0}),
    "resnet 6": (lambda: resnet(6, IN, w=3), {"blocks": 6, "width": 3}),
    "resnet dropout": (lambda: resnet(6, IN, drop=True), {"dropout": 0.5}),
    "resnet 2018": (lambda: resnet(6, kept), {"norm": "instance"}),
    "resnet 2018 dropout": (lambda: resnet(9, kept, drop=True), {"norm": "instance", "dropout": 0.5}),
    "resnet 2017": (lambda: resnet(6, affine), {"norm": "instance-affine", "padding": "reflect"}),
    "resnet before July 2017": (lambda: resnet(6, affine, zero=True), {"norm": "instance-affine", "padding": "zero"}),
    "resnet zero dropout": (lambda: resnet(6, affine, zero=True, drop=True), {"padding": "zero", "dropout": 0.5}),
    "resnet zero instance": (lambda: resnet(3, IN, zero=True), {"padding": "zero", "norm": "instance"}),
    "resnet batch": (lambda: resnet(6, BN, bias=False), {"norm": "batch"}),
    "resnet batch dropout": (lambda: resnet(6, BN, bias=False, drop=True), {"norm": "batch", "dropout": 0.5}),
    "CUT": (lambda: resnet(9, IN, cut=True), {"resample": "antialiased", "widths": ()}),
    "GAN Compression": (pruned, {"separable": True, "widths": (4, 6, 10, 5, 10, 7, 6, 3), "dropout": 0.0}),
    "unet 128": (lambda: UNet(7, IN), {"depth": 7, "norm": "instance"}),
    "unet 256": (lambda: UNet(8, IN), {"depth": 8, "width": 2}),
    "unet 2018": (lambda: UNet(6, kept), {"norm": "instance"}),
    "unet 2017": (lambda: UNet(5, affine), {"norm": "instance-affine"}),
    "unet pix2pix": (lambda: UNet(7, BN, bias=False, drop=True), {"norm": "batch"}),
    "critic": (lambda: critic(3, IN), {"layers": 3, "channels_in": 6}),
    "critic small": (lambda: critic(1, kept), {"layers": 1}),
    "critic large": (lambda: critic(5, IN), {"layers": 5}),
    "critic 2017": (lambda: critic(3, affine), {"norm": "instance-affine"}),
    "critic batch": (lambda: critic(3, BN, bias=False), {"norm": "batch"}),
    "critic pixel": (lambda: pixel_critic(IN), {"layers": 0}),
    "critic pixel batch": (lambda: pixel_critic(BN, bias=False), {"layers": 0, "norm": "batch"}),
}


def trained(make: Callable[[], nn.Module]) -> nn.Module:
    """Return the original with weights, and statistics, that are nobody's defaults."""
    torch.manual_seed(0)
    network = make()
    for name, value in network.state_dict().items():
        if name.endswith("running_var"):
            value.uniform_(0.5, 2)
        elif value.is_floating_point() and not name.endswith("filt"):
            value.copy_(value + 0.1 * torch.randn_like(value))
    return network


@pytest.fixture
def put(tmp_path: Path) -> Callable[..., Path]:
    def put(found: object, *, legacy: bool = False) -> Path:
        torch.save(found, tmp_path / "net.pth", _use_new_zipfile_serialization=not legacy)
        return tmp_path / "net.pth"

    return put


def refusal(path: Path) -> str:
    """Return the complaint, after making sure that it is one line with the file's name and a next step."""
    with pytest.raises(CheckpointError) as caught:
        read_foreign(path)
    assert caught.value.hint
    assert "\n" not in caught.value.what
    assert len(caught.value.what) < 400
    assert caught.value.what.startswith(str(path))
    return caught.value.what.removeprefix(str(path))


# ------------------------------------------------------------------------------------------------- equal pictures


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_gives_the_originals_picture(layout: str, put: Callable[..., Path]) -> None:
    make, expected = LAYOUTS[layout]
    original = trained(make)
    found = read_foreign(put(original.state_dict(), legacy=len(layout) % 2 == 0))
    assert expected.items() <= found.options.items()
    ours = NETWORKS[found.network](**found.options)
    ours.load_state_dict(found.state)

    for module in original.modules():  # the reference translates in training mode: no statistics, dropout aside
        module.train(isinstance(module, nn.InstanceNorm2d))
    ours.eval()
    size = ours.smallest
    x = torch.rand(2, found.options["channels_in"], max(size, 24), max(size, 32)) * 2 - 1
    with torch.no_grad():
        picture = original(x)
        assert picture.std() > 0.02  # something to compare
        torch.testing.assert_close(ours(x), picture, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module.", "module._orig_mod."])
def test_wrappers_leave_no_trace(prefix: str, put: Callable[..., Path]) -> None:
    plain = resnet(2, kept).state_dict()
    found = read_foreign(put({"epoch": 3, "state_dict": {prefix + name: value for name, value in plain.items()}}))
    again = read_foreign(put(plain))
    assert found.options == again.options
    assert all(torch.equal(found.state[name], again.state[name]) for name in again.state)


def test_statistics_may_lack_a_counter_and_the_order_is_free(put: Callable[..., Path]) -> None:
    """Before torch 0.4.1 nothing was counted."""
    for make in (lambda: resnet(2, kept), lambda: resnet(2, BN, bias=False)):
        whole = trained(make).state_dict()
        early = {name: whole[name] for name in sorted(whole, reverse=True) if not name.endswith("tracked")}
        assert len(early) < len(whole)
        found, again = read_foreign(put(early)), read_foreign(put(whole))
        assert found.options == again.options
        assert all(torch.equal(found.state[name], again.state[name]) for name in again.state)


def test_the_state_is_a_float32_copy(put: Callable[..., Path]) -> None:
    halves = {name: value.half() for name, value in resnet(2, IN).state_dict().items()}
    found = read_foreign(put(halves))
    assert {value.dtype for value in found.state.values()} == {torch.float32}
    assert torch.equal(found.state["stem.conv.bias"], halves["model.1.bias"].float())


# ------------------------------------------------------------------------------------------------ what is refused


def changed(change: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
    state = dict(resnet(2, IN).state_dict())
    change(state)
    return state


@pytest.mark.parametrize(
    ("found", "complaint"),
    [
        (changed(lambda s: s.pop("model.4.weight")), "model.4.weight is missing"),
        (changed(lambda s: s.pop("model.4.bias")), r"model.4.bias is nothing where .* has (8,)"),
        (changed(lambda s: s.update({"model.99.weight": torch.ones(1)})), "model.99.weight has no place"),
        (changed(lambda s: s.update({"model.4.strange": torch.ones(1)})), "model.4.strange is (1,)"),
        (changed(lambda s: s.update({"model.3.running_mean": torch.ones(4)})), "model.3.running_mean has no place"),
        (changed(lambda s: s.update({"model.4.weight": torch.ones(8, 5, 3, 3)})), "model.4.weight is (8, 5, 3, 3)"),
        (changed(lambda s: s.update({"model.4.weight": torch.ones(8)})), "model.4.weight is missing or is not"),
        (changed(lambda s: s["model.4.bias"].fill_(float("nan"))), "model.4.bias holds values that are not finite"),
        (changed(lambda s: s["model.4.bias"].fill_(float("inf"))), "model.4.bias holds values that are not finite"),
        (changed(lambda s: s.update({"model.4.bias": torch.ones(8, dtype=torch.int64)})), "model.4.bias holds no"),
        (changed(lambda s: s.update({"model.4.bias": torch.ones(8, dtype=torch.complex64)})), "holds no weights"),
        (changed(lambda s: s.update({"model.4.bias": torch.ones(8).to_sparse()})), "is not a plain tensor"),
        (changed(lambda s: s.update({"model.4.bias": torch.ones(8, device="meta")})), "is not a plain tensor"),
        (changed(lambda s: s.update({"model.4.bias": "eight"})), "model.4.bias is not a plain tensor but str"),
        (changed(lambda s: s.update({"model.4.bias": torch.ones(1).expand(10**6, 10**6)})), "claims more values"),
        ({"x\n" * 500: torch.ones(1)}, "no known network"),
        ({"fc.weight": torch.ones(2, 2)}, "no known network: it begins with fc.weight"),
        ({}, "holds dict"),
        ([torch.ones(1)], "holds list"),
        (torch.ones(1), "holds Tensor"),
    ],
)
def test_what_is_not_understood_is_named(found: object, complaint: str, put: Callable[..., Path]) -> None:
    said = refusal(put(found))
    for part in complaint.split(".*"):
        assert part in said


def test_tensors_that_share_their_values_are_refused(put: Callable[..., Path]) -> None:
    shared = torch.ones(10**4)
    assert "share" in refusal(put({f"model.{i}.weight": shared for i in range(50)}))


def test_other_filters_than_cuts_are_refused(put: Callable[..., Path]) -> None:
    state = resnet(2, IN, cut=True).state_dict()
    state["model.7.filt"] = state["model.7.filt"] * 1.01
    assert "model.7.filt is another filter" in refusal(put(state))


@pytest.mark.parametrize("legacy", [False, True])
def test_a_truncated_file_is_refused_wherever_it_ends(legacy: bool, put: Callable[..., Path]) -> None:
    path = put(resnet(2, IN).state_dict(), legacy=legacy)
    whole = path.read_bytes()
    for end in [0, 1, 2, 3, 5, 17, 100, 1000, *range(2000, len(whole), len(whole) // 20), len(whole) - 1]:
        path.write_bytes(whole[:end])
        assert "truncated or damaged" in refusal(path), end


def test_no_flipped_bit_in_a_zip_goes_unnoticed(put: Callable[..., Path]) -> None:
    path = put(resnet(1, IN, w=2).state_dict())
    whole, good = path.read_bytes(), read_foreign(path)
    refused = 0
    for i in range(60):
        damaged = bytearray(whole)
        damaged[(i * 7919 * 31) % len(whole)] ^= 1 << i % 8
        path.write_bytes(damaged)
        try:
            found = read_foreign(path)
        except CheckpointError:
            refused += 1
        else:  # the flip hit padding or a date
            assert all(torch.equal(found.state[name], good.state[name]) for name in good.state)
    assert refused > 30


def rewritten(path: Path, compression: int, *, extra: dict[str, bytes] | None = None) -> Path:
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()} | (extra or {})
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_compressed_scripted_and_crowded_archives_are_refused(put: Callable[..., Path]) -> None:
    state = {"model.0.weight": torch.zeros(1000, 1000)}
    assert "compressed" in refusal(rewritten(put(state), zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(path := rewritten(put(state), zipfile.ZIP_STORED), "a") as archive:
        archive.filelist.append(copy.copy(archive.getinfo("net/data/0")))  # the same bytes, twice
        archive._didModify = True
    assert "overlapping" in refusal(path)
    script = {"net/constants.pkl": b"", "net/code/__torch__.py": b""}
    assert "TorchScript" in refusal(rewritten(put(state), zipfile.ZIP_STORED, extra=script))
    crowd = {f"net/{i}": b"" for i in range(10_001)}
    assert "members" in refusal(rewritten(put(state), zipfile.ZIP_STORED, extra=crowd))


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"\x40\0\0\0\0\0\0\0" + b'{"a":{}}', "safetensors"),
        (b"\n<!DOCTYPE html><html>not found</html>", "web page"),
        (b"PK\3\4" + bytes(100), "truncated or damaged"),
        (bytes(range(256)), "truncated or damaged"),
    ],
)
def test_other_kinds_of_file_are_told_apart(content: bytes, complaint: str, tmp_path: Path) -> None:
    (tmp_path / "net.pth").write_bytes(content)
    assert complaint in refusal(tmp_path / "net.pth")


def test_no_file_a_folder_and_a_giant_are_refused(tmp_path: Path) -> None:
    assert "No such file" in refusal(tmp_path / "none.pth")
    assert "is not a file" in refusal(tmp_path)
    with (tmp_path / "giant.pth").open("wb") as file:
        file.truncate((1 << 30) + 1)  # sparse: takes no room
    assert "larger than any" in refusal(tmp_path / "giant.pth")


# ---------------------------------------------------------------------------------------------- nothing is ever run


class Payload:
    """Unpickles into a call."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


def payloads(canary: Path) -> dict[str, Payload]:
    touch = f"open({str(canary)!r}, 'w').close()"
    return {
        "os.system": Payload(os.system, f"touch '{canary}'"),
        "eval": Payload(builtins.eval, touch),
        "exec": Payload(builtins.exec, touch),
        "subprocess": Payload(subprocess.call, ["touch", str(canary)]),
        "mkdir": Payload(os.mkdir, str(canary)),
        "nested": Payload(list, [Payload(os.system, f"touch '{canary}'")]),
    }


@pytest.mark.parametrize("name", ["os.system", "eval", "exec", "subprocess", "mkdir", "nested"])
@pytest.mark.parametrize("form", ["raw", "zip", "legacy"])
def test_a_payload_never_fires(name: str, form: str, tmp_path: Path) -> None:
    canary, path = tmp_path / "canary", tmp_path / "net.pth"
    hostile = {**resnet(1, IN, w=2).state_dict(), "model.0.weight": payloads(canary)[name]}
    if form == "raw":
        path.write_bytes(pickle.dumps(hostile["model.0.weight"], protocol=2))
    else:
        torch.save(hostile, path, _use_new_zipfile_serialization=form == "zip")
    assert "nothing of it was run" in refusal(path)
    assert not canary.exists()


@pytest.mark.parametrize("name", ["os.system", "eval", "exec", "subprocess", "mkdir", "nested"])
def test_the_payloads_are_live(name: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    pickle.load(io.BytesIO(pickle.dumps(payloads(canary)[name], protocol=2)))
    assert canary.exists()


def test_a_whole_network_is_refused(put: Callable[..., Path]) -> None:
    assert "code or objects" in refusal(put(nn.Conv2d(1, 1, 1)))


# ------------------------------------------------------------------------------------------------------ real files


@pytest.mark.skipif(not REAL.is_dir(), reason="real checkpoints lie beside the checkout only")
def test_real_files() -> None:
    found = read_foreign(REAL / "horse2zebra_gancompressed_net_G.pth")
    assert (found.network, found.options["separable"], found.options["width"]) == ("resnet", True, 16)
    assert sum(value.numel() for value in found.state.values()) == 356_867
    assert "truncated" in refusal(REAL / "truncated_original_horse2zebra_latest_net_G.pth")
