"""bfloat16 where nobody sees it: what is lowered, what is measured, who decides."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import draw_folders, looks, one_thread, play
from torch import nn

from cyclegan import catalog
from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Pictures
from cyclegan.experiment import Experiment
from cyclegan.metrics.features import Extractor
from cyclegan.networks import ResNet, UNet, initialise
from cyclegan.networks.precision import LEVELS, Rounding, lowered, rounding
from cyclegan.training import run
from cyclegan.training.begun import as_begun
from cyclegan.translation import translator as translator_module
from cyclegan.translation.translator import Translator

NETWORKS = {
    "resnet": lambda: ResNet(width=8, blocks=2),
    "residual": lambda: ResNet(width=8, blocks=1, resample="antialiased", output="residual"),
    "separable": lambda: ResNet(width=8, blocks=2, separable=True, norm="instance-affine"),
    "batch norm": lambda: ResNet(width=8, blocks=2, norm="batch", resample="nearest"),
    "unet": lambda: UNet(width=8, depth=4),
}


def network_of(kind: str) -> nn.Module:
    torch.manual_seed(0)
    return initialise(NETWORKS[kind](), gain=0.1).eval()


class Watched(nn.Module):
    """Keeps in which arithmetic CUDA would multiply when it is called."""

    multiple, smallest = 1, 1

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, str]] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        cudnn: Any = torch.backends.cudnn
        self.seen.append((cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision))
        return x


def test_exact_is_without_tf32() -> None:
    """NVIDIA's float32 convolutions keep ten bits of the mantissa unless they are told not to."""
    watched = Watched()
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    assert before == (True, False), "torch's own defaults"
    Translator(watched, codec=Pictures(), source="a", target="b")(np.zeros((8, 8, 3), np.uint8))
    rounding(watched, torch.zeros(1, 3, 8, 8))
    Extractor("watched", "", watched, "cpu")(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    assert set(watched.seen) == {("ieee", "ieee")}
    assert len(watched.seen) >= 3
    assert (torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32) == before


@pytest.mark.parametrize("kind", NETWORKS)
def test_only_the_last_convolution_stays_in_float32(kind: str) -> None:
    network = network_of(kind)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    lower = lowered(network)
    kinds = [m.weight.dtype for m in lower.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    assert kinds == [torch.bfloat16] * (len(kinds) - 1) + [torch.float32]
    x = torch.rand(2, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        exact, coarse = network(x), lower(x)
    assert coarse.dtype == torch.float32
    assert 0 < (exact - coarse).abs().mean() < 0.02
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_what_is_measured_is_what_changes() -> None:
    network = network_of("resnet")
    pictures = torch.rand(3, 3, 32, 32) * 2 - 1
    with torch.no_grad():
        apart = np.sort(((network(pictures) - lowered(network)(pictures)).abs() * LEVELS).flatten().numpy())
    found = rounding(network, pictures)
    assert found.mean == pytest.approx(apart.mean(), abs=1e-3)
    assert apart[int(0.998 * len(apart))] <= found.worst + 1e-3
    assert found.worst <= apart[-1] + 1e-3


@pytest.mark.parametrize(
    ("measured", "unseen"), [((0.3, 2.0), True), ((0.31, 0.5), False), ((0.1, 2.1), False), ((0.0, 0.0), True)]
)
def test_the_bound(measured: tuple[float, float], unseen: bool) -> None:
    assert Rounding(*measured).unseen is unseen


@pytest.mark.parametrize(
    ("about", "fast", "wanted", "chosen"),
    [
        ({"rounding": {"G": [0.1, 1.0]}}, True, "auto", "bf16"),
        ({"rounding": {"G": [0.1, 1.0]}}, False, "auto", "fp32"),
        ({"rounding": {"G": [0.1, 3.0]}}, True, "auto", "fp32"),
        ({"rounding": {"G": [float("nan"), 1.0]}}, True, "auto", "fp32"),
        ({"rounding": {"G": "no figures"}}, True, "auto", "fp32"),
        ({"rounding": {"F": [0.1, 1.0]}}, True, "auto", "fp32"),
        ({}, True, "auto", "fp32"),
        ({}, False, "bf16", "bf16"),
        ({"rounding": {"G": [0.1, 1.0]}}, True, "fp32", "fp32"),
    ],
)
def test_who_decides(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    about: dict[str, object],
    fast: bool,
    wanted: translator_module.Precision,
    chosen: str,
) -> None:
    monkeypatch.setattr(translator_module, "has_bfloat16", lambda device: fast)
    found = catalog.load("painted-horses")
    path = tmp_path / "w.safetensors"
    Checkpoint({key: value for key, value in found.about.items() if key != "rounding"} | about, found.tensors).save(
        path
    )
    translator = Translator.load(path, precision=wanted)
    assert translator.precision == chosen
    assert (next(translator.paint.network.parameters()).dtype == torch.bfloat16) is (chosen == "bf16")


@pytest.mark.parametrize("kind", ["resnet", "residual", "unet"])
def test_tiles_in_bfloat16_are_the_whole_in_bfloat16(kind: str) -> None:
    def translated(tile: int, precision: translator_module.Precision) -> torch.Tensor:
        way = {"source": "x", "target": "y", "device": "cpu"}
        made = Translator(network_of(kind), codec=Pictures(), tile=tile, precision=precision, **way)
        return made(picture).float()

    torch.manual_seed(1)
    picture = torch.rand(3, 96, 80) * 2 - 1
    whole, exact = translated(0, "bf16"), translated(0, "fp32")
    lost = (whole - exact).abs().mean()
    assert (translated(48, "bf16") - whole).abs().mean() < 2 * lost
    assert (translated(48, "fp32") - exact).abs().max() < 1e-4 < lost


def test_weights_that_come_along_know_what_rounding_costs() -> None:
    figures = {name: Rounding(*pair) for name, pair in catalog.load("painted-horses").about["rounding"].items()}
    assert not figures["G"].unseen  # thin stripes at 64 pixels: 3 levels at the 99.9th percentile
    assert figures["F"].unseen


def test_the_command_says_what_it_computes_in(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "in.png")
    styl = [sys.executable, "-m", "cyclegan", "translate", tmp_path / "in.png", "-m", "painted-horses"]
    for precision in ("fp32", "bf16"):
        words = [*styl, "-o", tmp_path / f"{precision}.png", "--precision", precision]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert f"on cpu in {precision}" in done.stderr
    first, second = (np.asarray(Image.open(tmp_path / f"{name}.png")).astype(int) for name in ("fp32", "bf16"))
    assert np.abs(first - second).mean() < 2
    assert subprocess.run([*styl, "--precision", "bf17"], capture_output=True).returncode == 2


@pytest.mark.parametrize(("fast", "settled"), [(True, "bf16"), (False, "fp32")])
def test_trainings_take_what_the_device_is_fast_in(monkeypatch: pytest.MonkeyPatch, fast: bool, settled: str) -> None:
    monkeypatch.setattr(run, "has_bfloat16", lambda device: fast)
    assert run.settle(Experiment(), larger_folder=1, device="cpu").training.precision == settled
    exact = Experiment().replace(training__precision="fp32")
    assert run.settle(exact, larger_folder=1, device="cpu").training.precision == "fp32"


def test_a_run_keeps_its_arithmetic(tmp_path: Path) -> None:
    (tmp_path / "experiment.toml").write_text(Experiment().replace(training__precision="bf16").toml())
    for wanted, kept in (("auto", "bf16"), ("fp32", "fp32")):
        assert as_begun(Experiment().replace(training__precision=wanted), tmp_path).training.precision == kept


def test_saved_translators_say_what_rounding_would_change(tmp_path: Path) -> None:
    folders = draw_folders(tmp_path)
    with one_thread():
        play(folders, tmp_path / "run")
        saved = catalog.load(tmp_path / "run" / "weights" / "last.safetensors")
    for name, pair in saved.about["rounding"].items():
        network = catalog.build(saved, name).eval()
        lower = lowered(network)
        assert Rounding(*pair).mean > 0
        assert network(torch.rand(1, 3, 16, 16)).shape == lower(torch.rand(1, 3, 16, 16)).shape
    assert set(saved.about["rounding"]) == {"G", "F"}
    seen_last = [line["images"] for line in looks(tmp_path / "run")][-1]
    assert saved.about["images"] == seen_last, "measured on exactly these weights"
