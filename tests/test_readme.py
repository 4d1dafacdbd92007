"""Every command and every snippet of the README is run, on small pictures and for a few pictures only."""

import re
import shlex
import shutil
from pathlib import Path

import pytest
import torch
from films import Recipe, Sound, make
from torch import nn
from voices import Speaker, say, write_folder

from cyclegan.cli import app
from cyclegan.cli.edge import guarded
from cyclegan.demo.painter import paint_folders

ROOT = Path(__file__).parents[1]
VOICES: dict[str, Speaker] = {"alice": "high", "bob": "low"}
README = (ROOT / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"```(sh|python)\n(.*?)```", README, flags=re.DOTALL)
SPOKEN = say(0, speaker="high", seconds=0.5, rate=44_100)
SHORTER = {
    "train": shlex.split("--size 32 --images 2 --minutes 0 --batch 1 --workers 0 --set translator.width=4"),
    "sample": ["-n", "2"],
    "distill": shlex.split("--macs 4x --size 32 --images 2 --batch 1 --workers 0 --set critic.width=4"),
    "bench": shlex.split("--verb translate --size 32 --preset tiny --repeats 1 --seconds 0"),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the README's commands name."""
    here = tmp_path_factory.mktemp("readme")
    for folder in paint_folders(here, count=4, seed=0, size=32):
        assert folder.parent == here
    for name, letter in (("horses", "A"), ("zebras", "B")):
        shutil.copytree(here / name, here / f"test{letter}")
    (here / "more").mkdir()
    (here / "horses/0000.png").rename(here / "photo.jpg")
    (here / "horses/0001.png").rename(here / "more/b.jpg")
    make(here / "field.mp4", Recipe(count=5, sounds=[Sound()]))
    for name, speaker in VOICES.items():
        write_folder(here / name, speaker=speaker, count=4, seconds=0.7, rate=16_000, seed=len(name))
    shutil.copy(here / "alice/0000.wav", here / "hello.wav")
    make(here / "talk.mp4", Recipe(count=5, sounds=[Sound()]))
    torch.save(original_generator().state_dict(), here / "latest_net_G.pth")
    return here


class Block(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        pad, conv = nn.ReflectionPad2d(1), lambda: nn.Conv2d(n, n, 3)
        self.conv_block = nn.Sequential(pad, conv(), nn.InstanceNorm2d(n), nn.ReLU(), pad, conv(), nn.InstanceNorm2d(n))


def original_generator(n: int = 4) -> nn.Module:
    """A generator laid out as pytorch-CycleGAN-and-pix2pix does."""
    net = nn.Module()
    down = [nn.Conv2d(n, 2 * n, 3, 2, 1), nn.Identity(), nn.ReLU(), nn.Conv2d(2 * n, 4 * n, 3, 2, 1), nn.Identity()]
    blocks = [Block(4 * n) for _ in range(6)]
    up = [nn.ConvTranspose2d(4 * n, 2 * n, 3, 2, 1, 1), nn.Identity(), nn.ReLU()]
    up += [nn.ConvTranspose2d(2 * n, n, 3, 2, 1, 1), nn.Identity(), nn.ReLU()]
    stem = [nn.ReflectionPad2d(3), nn.Conv2d(3, n, 7), nn.Identity(), nn.ReLU()]
    net.model = nn.Sequential(*stem, *down, nn.ReLU(), *blocks, *up, nn.ReflectionPad2d(3), nn.Conv2d(n, 3, 7))
    return net


def commands() -> list[str]:
    lines = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
    return [line for line in lines if line.startswith("styl ")]


def test_the_two_commands_are_the_ones_that_ci_uses() -> None:
    installs = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines() if "venv" in line]
    assert len(installs) == 2
    assert installs[0].endswith(".venv/bin/styl demo")
    test = installs[1].rpartition("&& .venv/bin/")[2]
    assert test in (ROOT / ".ci/run").read_text("utf-8")


def test_commands(place: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(place)
    monkeypatch.setattr("cyclegan.training.acquaintance.LEAST", 64)  # pictures that a VAE sees
    assert len(commands()) >= 10
    for command in commands():
        words = shlex.split(command.replace(" --features inception", ""), comments=True)[1:]  # it would be downloaded
        small = ["--set", "critic.width=4"] if words[0] == "train" and "vae" not in words else []
        monkeypatch.setattr("sys.argv", ["styl", *words, *SHORTER.get(words[0], []), *small])
        with pytest.raises(SystemExit) as left:
            guarded(app)
        assert left.value.code == 0, f"{command}\n{capfd.readouterr().err}"
    assert {p.name for p in (place / "out").rglob("*.jpg")} == {"photo.jpg", "b.jpg"}
    assert (place / "horse.png").is_file()


@pytest.mark.parametrize("snippet", [block for kind, block in BLOCKS if kind == "python"])
def test_snippets(snippet: str, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(place)
    exec(compile(snippet, "README.md", "exec"), {"__name__": "readme", "samples": SPOKEN})


def test_what_the_readme_names_is_there() -> None:
    tree = README.split("## The tree")[1].split("```")[1]
    for name in re.findall(r"([a-z_]+(?:\.py|/))  ", tree):
        if name not in ("cyclegan/",):
            assert list(ROOT.rglob(name.rstrip("/"))), name
    for preset in re.findall(r"^\| `([a-z0-9-]+)`", README, flags=re.MULTILINE):
        assert (ROOT / f"cyclegan/presets/{preset}.toml").is_file(), preset
    for picture in re.findall(r"!\[.*?\]\((.*?)\)", README):
        assert (ROOT / picture).is_file(), picture
