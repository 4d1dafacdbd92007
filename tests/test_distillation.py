"""Students: the paper's losses, a teacher that stands still, exact resumes, and as little work as was asked for."""

import json
import signal
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import (
    BATCH,
    STEPS,
    Folders,
    assert_diary_in_order,
    assert_whole,
    draw_folders,
    log,
    one_thread,
    result,
    stop_after,
)
from torch import Tensor, nn

from cyclegan import Translator
from cyclegan.checkpoint import Checkpoint
from cyclegan.cli.distill import distill
from cyclegan.errors import CheckpointError, StylError, UsageError
from cyclegan.experiment import Experiment
from cyclegan.networks import NETWORKS, PatchGAN, ResNet, UNet, initialise
from cyclegan.networks.cost import multiply_adds
from cyclegan.objectives import Distillation
from cyclegan.objectives.distillation import heads
from cyclegan.recipes import Distillation as Options
from cyclegan.training.run import Outcome, train
from cyclegan.training.student import apprentice
from cyclegan.training.trainer import Trainer

OPTIONS = [
    *("data.size=16", "data.enlarge=1.25", "data.held_back=2", "critic.width=4", "critic.layers=1"),
    *("objective.history=3", "training.ema=20", f"training.batch={BATCH}", f"training.images={STEPS * BATCH}"),
    *("training.precision=fp32", "every.log=2", "every.sheet=8", "every.save=6"),
]
TEACHERS: dict[str, dict[str, Any]] = {
    "strided": {"width": 8, "blocks": 2},
    "antialiased": {"width": 12, "blocks": 1, "resample": "antialiased", "output": "residual"},
    "affine, six blocks": {"width": 16, "blocks": 6, "norm": "instance-affine"},
    "unet": {"name": "unet", "width": 16, "depth": 4},
}


def save_teacher(path: Path, spec: dict[str, Any], *, seed: int = 0) -> Path:
    """Save a translator of fresh weights, from x to y and back."""
    spec = {"name": "resnet"} | spec
    options = {key: value for key, value in spec.items() if key != "name"}
    torch.manual_seed(seed)
    built = {name: initialise(NETWORKS[spec["name"]](**options), gain=0.2) for name in ("G", "F")}
    about = {
        "kind": "translator",
        "domains": ["x", "y"],
        "routes": [["x", "y", "G"], ["y", "x", "F"]],
        "networks": {"G": spec, "F": spec},
        "codec": {"name": "pictures", "channels": 3},
        "images": 1,
        "trained_at": 16,
    }
    Checkpoint(about, {f"{n}.{key}": t for n, net in built.items() for key, t in net.state_dict().items()}).save(path)
    return path


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Folders:
    return draw_folders(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_teacher(tmp_path_factory.mktemp("teacher") / "teacher.safetensors", TEACHERS["strided"])


def experiment(folders: Folders, teacher: Path, *overrides: str, to: str = "y") -> Experiment:
    asked = Experiment.load("distill", overrides=[*OPTIONS, *overrides])
    chosen = apprentice(asked, str(teacher), to=to, fewer=4).experiment
    return chosen.replace(data__folders=tuple(map(str, folders if to == "y" else folders[::-1])))


def play(folders: Folders, teacher: Path, run: Path, *overrides: str, to: str = "y") -> Outcome:
    with one_thread():
        chosen = experiment(folders, teacher, *overrides, to=to)
        return train(chosen, run, device="cpu", workers=0, features="own")


@pytest.fixture(scope="module")
def straight(folders: Folders, teacher: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("straight") / "run"
    assert play(folders, teacher, run).images == STEPS * BATCH
    return run


def noise(seed: int, *, count: int = 2) -> list[Tensor]:
    chance = torch.Generator().manual_seed(seed)
    return [torch.rand(count, 3, 16, 16, generator=chance) * 2 - 1 for _ in range(2)]


def small(**options: Any) -> Distillation:
    torch.manual_seed(1)
    student, taught = ResNet(width=2, blocks=1, separable=True), ResNet(width=4, blocks=3)
    return Distillation(G=student, teacher=taught, D_y=PatchGAN(width=4, layers=1), H=heads(student, taught), **options)


class Shade(nn.Module):
    """A translator that adds a number."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = nn.Parameter(torch.tensor(number))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.number


class Mean(nn.Module):
    """A critic whose score is the mean of a picture."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((1, 2, 3))


# --- the equations


def test_the_losses_are_those_of_the_paper_by_hand() -> None:
    game = Distillation(G=Shade(0.5), teacher=Shade(-0.25), D_y=Mean(), output=10.0, critic=2.0, history=0, r1=0)
    x, y = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 0.75)
    student, critic = game.turns(x, y)
    assert (student.player, critic.player) == ("student", "critic")
    assert student.terms["output"].item() == pytest.approx(0.75)  # |0.5 - (-0.25)|
    assert student.terms["G"].item() == pytest.approx(0.25)  # (0.5 - 1)²
    assert student.loss.item() == pytest.approx(10 * 0.75 + 2 * 0.25)
    assert critic.loss.item() == pytest.approx(((0.75 - 1) ** 2 + 0.5**2) / 2)
    assert "features" not in student.terms


def test_features_are_compared_layer_by_layer_through_the_heads() -> None:
    game, (x, y) = small(features=3.0, critic=0.0, output=0.0), noise(2)
    turn = next(game.turns(x, y))
    with torch.no_grad():
        mine, theirs = game.G.layered(x, after=(0, 0))[1], game.teacher.layered(x, after=(0, 2))[1]
        apart = [(f(a) - b).square().mean() for f, a, b in zip(game.H, mine, theirs, strict=True)]
    assert len(apart) == 4
    assert torch.equal(theirs[-1], game.teacher.blocks(game.teacher.downs(game.teacher.stem(x))))
    assert turn.terms["features"].item() == pytest.approx(float(sum(apart)), rel=1e-5)
    assert turn.loss.item() == pytest.approx(3 * float(sum(apart)), rel=1e-5)


def test_without_a_critic_there_is_one_player() -> None:
    game = Distillation(G=Shade(0.5), teacher=Shade(0.0))
    assert dict(game.players) == {"student": ("G",)}
    assert [turn.player for turn in game.turns(*noise(1))] == ["student"]


def test_students_and_heads_learn_and_the_teacher_stands_still_to_the_bit() -> None:
    taught = ResNet(width=4, blocks=3, norm="batch", dropout=0.5)
    student = ResNet(width=2, blocks=1)
    game = Distillation(G=student, teacher=taught, D_y=PatchGAN(width=4, layers=1), H=heads(student, taught))
    training = Experiment.load("distill", overrides=["training.images=100", "training.ema=0"]).training
    before = {name: tensor.clone() for name, tensor in game.state_dict().items() if not name.startswith("past")}
    trainer = Trainer(game, training)
    for step in range(3):
        trainer.play([noise(step)])
    after = game.state_dict()
    for name, tensor in before.items():
        if "_extra" not in name and not (name.startswith("G.") and name.endswith("pointwise.bias")):
            assert torch.equal(after[name], tensor) == name.startswith("teacher"), name
    assert all(p.grad is None for p in game.teacher.parameters())
    assert not {id(p) for p in game.teacher.parameters()} & {id(p) for ps in trainer.parameters.values() for p in ps}


def test_a_student_comes_to_paint_what_its_teacher_paints() -> None:
    game = small()
    initialise(game.teacher, gain=0.2)
    training = Experiment.load("distill", overrides=["training.images=10000", "training.learning_rate=0.01"]).training
    trainer = Trainer(game, training)
    first = trainer.play([noise(0)]).terms["output"]
    for _ in range(60):
        last = trainer.play([noise(0)]).terms["output"]
    assert last < 0.6 * first


# --- runs


@pytest.mark.parametrize("step", [7])
def test_stopped_and_continued_it_ends_with_the_same_bits(
    folders: Folders, teacher: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        assert play(folders, teacher, tmp_path).signal == signal.SIGTERM
    assert_whole(tmp_path)
    torch.manual_seed(step)
    assert play(folders, teacher, tmp_path).images == STEPS * BATCH
    assert result(tmp_path) == result(straight)
    assert_diary_in_order(tmp_path)


def test_another_teacher_is_refused_and_the_same_one_may_move(
    folders: Folders, teacher: Path, straight: Path, tmp_path: Path
) -> None:
    other = save_teacher(tmp_path / "other.safetensors", TEACHERS["strided"], seed=1)
    with pytest.raises(UsageError, match=r"was begun with objective\.fingerprint"):
        play(folders, other, straight)
    swapped = Experiment.load(str(straight / "experiment.toml")).replace(objective__teacher=str(other))
    with pytest.raises(UsageError, match="is not the teacher that this student began with"):
        train(swapped, tmp_path / "run", device="cpu", workers=0)
    moved = tmp_path / "moved.safetensors"
    moved.write_bytes(teacher.read_bytes())
    assert play(folders, moved, straight).already


def test_a_students_weights_load_translate_and_tile_and_name_no_place(straight: Path, teacher: Path) -> None:
    about = Checkpoint.load(straight / "weights" / "best.safetensors", kind="translator").about
    assert about["routes"] == [["x", "y", "G"]]
    assert list(about["networks"]) == ["G"]
    assert str(teacher.parent) not in json.dumps(about)
    assert Experiment.decode(tomllib.loads(about["experiment"])).objective != Options()
    with one_thread():
        whole, tiled = (Translator.load(straight, to="y", device="cpu", precision="fp32", tile=t) for t in (0, 32))
        picture = np.random.default_rng(3).integers(0, 256, (70, 90, 3), dtype=np.uint8)
        translated = whole(picture)
        assert translated.shape == picture.shape
        assert np.abs(translated.astype(int) - tiled(picture)).max() <= 1


def test_the_log_has_the_teacher_beside_the_student(straight: Path) -> None:
    first, *rest = [line for line in log(straight) if "losses" not in line]
    assert first["teacher"].keys() == {"y"}
    assert first["teacher"]["y"]["kid"] != first["untranslated"]["y"]["kid"]
    assert all(line["measure"].keys() == {"y"} and "teacher" not in line for line in rest)
    assert "cycle" not in rest[-1]["measure"]["y"]
    with Image.open(straight / "sheets" / f"{STEPS * BATCH:09d}.jpg") as sheet:
        assert sheet.width == 4 * (128 + 4) + 4, "real, teacher, student, real of the other domain"


def test_the_way_back_can_be_taught_too(folders: Folders, teacher: Path, tmp_path: Path) -> None:
    play(folders, teacher, tmp_path, "training.images=2", to="x")
    assert Checkpoint.load(tmp_path / "weights" / "last.safetensors", kind="translator").about["routes"] == [
        ["y", "x", "G"]
    ]


# --- how small


@pytest.mark.parametrize(("name", "fewer"), list(zip(TEACHERS, [15.0, 4.0, 15.0, 4.0], strict=True)))
def test_a_student_has_at_most_the_multiply_adds_that_were_asked_for(tmp_path: Path, name: str, fewer: float) -> None:
    spec = TEACHERS[name] | {"width": 2 * TEACHERS[name]["width"]}
    path = save_teacher(tmp_path / "teacher.safetensors", spec)
    found = apprentice(Experiment.load("distill", overrides=["data.size=64"]), str(path), to="y", fewer=fewer)
    student = found.experiment.encode()["translator"]
    options = {key: value for key, value in student.items() if key != "name"}
    taught = {key: value for key, value in spec.items() if key != "name"}
    original = (UNet if name == "unet" else ResNet)(**taught)
    mine, theirs = multiply_adds(ResNet(**options), side=64), multiply_adds(original, side=64)
    assert (mine, theirs) == (found.student, found.teacher)
    assert fewer * mine <= theirs
    wider = multiply_adds(ResNet(**(options | {"width": options["width"] + 1})), side=64)
    assert fewer * wider > theirs, "the widest that is allowed"
    assert student["output"] == (spec.get("output", "tanh") if name != "unet" else "residual")
    assert student["norm"] == spec.get("norm", "instance")
    assert student["blocks"] == spec.get("blocks", 6)
    assert f"{theirs / mine:.1f} × fewer" in str(found)


def test_a_unet_teaches_by_its_pictures_alone(folders: Folders, tmp_path: Path) -> None:
    path = save_teacher(tmp_path / "unet.safetensors", TEACHERS["unet"])
    play(folders, path, tmp_path / "run", "training.images=2", "translator.blocks=1")
    (losses,) = [line["losses"] for line in log(tmp_path / "run") if "losses" in line]
    assert losses.keys() >= {"output", "G", "D_y"}
    assert "features" not in losses


# --- wrong uses


def test_what_cannot_be_taught_is_one_line(folders: Folders, teacher: Path, tmp_path: Path) -> None:
    asked = Experiment.load("distill", overrides=OPTIONS)
    with pytest.raises(UsageError, match="no student of 2 blocks has so few multiply-adds"):
        apprentice(asked, str(teacher), to="y", fewer=1e6)
    with pytest.raises(UsageError, match="do not go there"):
        apprentice(asked, str(teacher), to="zebras", fewer=4)
    with pytest.raises(UsageError, match="students are residual"):
        apprentice(Experiment.load("distill", overrides=["translator.name=unet"]), str(teacher), to="y", fewer=4)
    with pytest.raises(CheckpointError):
        apprentice(asked, str(tmp_path / "nothing.safetensors"), to="y", fewer=4)
    with pytest.raises(UsageError, match="no student without a teacher"):
        train(asked.replace(data__folders=tuple(map(str, folders)), data__domains=("x", "y")), tmp_path / "run")
    turned = experiment(folders, teacher).replace(data__domains=("z", "y"))
    with pytest.raises(UsageError, match="goes from x to y, not from z"):
        train(turned, tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_the_command_from_end_to_end(
    folders: Folders,
    teacher: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    where = {"model": str(teacher), "source": folders[0], "target": folders[1], "to": "y", "macs": "4x"}
    how = {"device": "cpu", "workers": 0, "images": 2, "set_": ["critic.layers=1", "data.held_back=2"]}
    with one_thread():
        assert distill(**where, **how, as_json=True) == 0
        told = json.loads(capsys.readouterr().out)
        assert distill(**where, **how) == 0
    assert told["run"] == "runs/x-to-y-4x"
    assert told["finished"]
    assert told["teacher_multiply_adds"] >= 4 * told["student_multiply_adds"] > 0
    assert {"teacher_kid", "student_kid"} <= told.keys()
    assert Experiment.load("runs/x-to-y-4x/experiment.toml").data.size == 16, "as the teacher was trained"
    said = capsys.readouterr()
    assert "already finished" in said.out
    assert "× fewer" in said.out


def test_wrong_uses_of_the_command_have_their_exit_codes(
    folders: Folders, teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    wrong: list[dict[str, Any]] = [
        {"macs": "few"},
        {"macs": "0x"},
        {"macs": "4x", "set_": ["translator.width=3"]},
        {"to": "zebras"},
        {"model": str(tmp_path / "none.safetensors")},
        {"source": tmp_path / "nowhere"},
        {"source": folders[1]},
        {"set_": ["objective.cycle=3"]},
        {"preset": "default"},
    ]
    for change in wrong:
        asked = {"model": str(teacher), "source": folders[0], "target": folders[1]} | change
        with pytest.raises(StylError) as caught:
            distill(**asked)
        assert caught.value.code == 2, change
        assert caught.value.hint, change
    assert not (tmp_path / "runs").exists()
