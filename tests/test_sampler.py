"""Models of one folder: trained, stopped and continued, drawn from, walked through, and looked at."""

import json
import math
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from films import facts
from PIL import Image
from tiny import BATCH, STEPS, stop_after
from torch import Tensor, nn

from cyclegan.checkpoint import Checkpoint
from cyclegan.codecs import Pictures
from cyclegan.curation.source import Source
from cyclegan.errors import CheckpointError, UsageError
from cyclegan.experiment import Experiment
from cyclegan.media.image import read_rgb
from cyclegan.networks import Autoencoder
from cyclegan.objectives import Objective
from cyclegan.training import samples
from cyclegan.training.look import Look
from cyclegan.training.run import Outcome, train
from cyclegan.training.samples import SampleLooker
from cyclegan.translation.sampler import Sampler, closed_curve

SIDE = 16
OPTIONS = [
    *(f"data.size={SIDE}", "data.held_back=4", "translator.width=4", "translator.latent=3"),
    *("training.ema=20", f"training.batch={BATCH}", f"training.images={STEPS * BATCH}", "training.precision=fp32"),
    *("every.log=2", "every.sheet=8", "every.save=6"),
]
FIGURES = {"kid", "kid_std", "fid", "diversity", "copies", "error"}


def scene(chance: np.random.Generator, *, height: int = 20, width: int = 24) -> Image.Image:
    """Paint a disc of some colour before another."""
    y, x = np.mgrid[0:height, 0:width]
    centre, radius = chance.uniform(6, 14, 2), chance.uniform(3, 7)
    inside = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    pixels = np.where(inside[..., None], chance.integers(120, 220, 3), chance.integers(20, 120, 3))
    return Image.fromarray((pixels + chance.integers(0, 20, pixels.shape)).astype(np.uint8))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder, chance = tmp_path_factory.mktemp("pictures") / "photos", np.random.default_rng(0)
    folder.mkdir()
    for i in range(40):
        scene(chance).save(folder / f"{i:02d}.png")
    return folder


def play(photos: Path, run: Path, *overrides: str) -> Outcome:
    chosen = Experiment.load("vae", overrides=[*OPTIONS, *overrides])
    chosen = chosen.replace(data__folders=(str(photos),), data__domains=("photos",))
    return train(chosen, run, device="cpu", workers=0, features="own")


@pytest.fixture(scope="module")
def straight(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("straight") / "run"
    outcome = play(photos, run)
    assert (outcome.images, outcome.signal, outcome.already) == (STEPS * BATCH, None, False)
    return run


@pytest.fixture(scope="module")
def learnt(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run long enough for its draws to differ from one another."""
    run = tmp_path_factory.mktemp("learnt") / "run"
    play(photos, run, "training.images=960", "training.batch=8", "every.sheet=960", "every.save=960", "training.ema=0")
    return run


# --- trained


def test_a_run_of_one_folder_writes_what_draws(straight: Path) -> None:
    tiny.assert_whole(straight, kind="sampler")
    assert (straight / "sheets" / "000000016.jpg").is_file()
    assert (straight / "sheets" / "extremes.jpg").is_file()
    assert {path.name for path in (straight / "samples").iterdir()} == {f"photos-{i}.jpg" for i in range(1, 9)}
    for name in ("best", "last"):
        found = Checkpoint.load(straight / "weights" / f"{name}.safetensors", kind="sampler")
        assert (found.about["domains"], found.about["routes"]) == (["photos"], [])
        assert list(found.about["networks"]) == ["V"]
        assert found.tensors["mixture.means"].shape[1] == 3
        assert "rounding" not in found.about
        assert 0 < float(found.tensors["V.noise"]) < 1, "what was measured, and not what it began as"


def test_a_look_at_one_folder_has_its_own_figures(straight: Path) -> None:
    tiny.assert_diary_in_order(straight)
    looks = tiny.looks(straight)
    assert [look["images"] for look in looks] == [8, 16]
    for look in looks:
        assert set(look["measure"]) == {"photos"}
        assert set(look["measure"]["photos"]) == FIGURES
        assert look["kid"] == look["measure"]["photos"]["kid"]
    steps = [line for line in tiny.log(straight) if "losses" in line]
    assert all(set(line["losses"]) == {"error", "nats", "kl"} for line in steps)


@pytest.mark.parametrize("step", [1, 4, 6])
def test_stopped_and_continued_it_is_the_same(
    photos: Path, straight: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, step)
        assert play(photos, tmp_path).images == step * BATCH
    tiny.assert_whole(tmp_path, kind="sampler")
    torch.manual_seed(step)  # chance elsewhere in the process has no say
    assert play(photos, tmp_path).signal is None
    assert tiny.result(tmp_path, kind="sampler") == tiny.result(straight, kind="sampler")
    assert tiny.looks(tmp_path) == tiny.looks(straight)


def test_the_autoencoder_is_trained_and_drawn_from_too(photos: Path, tmp_path: Path) -> None:
    play(photos, tmp_path / "run", "objective.beta=0", "training.images=8")
    losses = [line["losses"] for line in tiny.log(tmp_path / "run") if "losses" in line]
    assert losses
    assert all(set(found) == {"error", "nats"} for found in losses)
    assert len(list(Sampler.load(tmp_path / "run", device="cpu").draw(3))) == 3


# --- drawn from

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def styl(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run the command in this process, in a folder of its own; return exit code, standard output and error."""
    monkeypatch.setattr(sys, "argv", sys.argv)
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> tuple[int, str, str]:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            tiny.styl([str(word) for word in words])
        assert isinstance(left.value.code, int)
        return left.value.code, *capsys.readouterr()

    return run


def pixels(folder: Path) -> list[np.ndarray]:
    return [read_rgb(path) for path in sorted(folder.iterdir())]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


def test_the_same_seed_draws_the_same_and_another_seed_others(learnt: Path, styl: Run) -> None:
    for name, seed in (("a", 7), ("b", 7), ("c", 8)):
        code, out, _ = styl("sample", learnt, "-n", 5, "--seed", seed, "-o", name, "--device", "cpu")
        assert (code, out) == (0, f"5 of photos drawn: {name}\n")
    a, b, c = (pixels(Path(name)) for name in "abc")
    assert same(a, b)
    assert a[0].shape == (SIDE, SIDE, 3)
    assert not any(np.array_equal(one, other) for one in a for other in c)
    assert len({one.tobytes() for one in a}) == 5


def test_a_picture_as_output_is_a_sheet_of_all(straight: Path, styl: Run) -> None:
    code, out, _ = styl("sample", straight, "-n", 7, "-o", "all.png", "--json")
    assert code == 0
    assert json.loads(out) == {"model": str(straight), "count": 7, "seed": 0, "output": "all.png", "files": 1}
    assert [path.name for path in Path().iterdir()] == ["all.png"]
    with Image.open("all.png") as sheet:
        assert min(sheet.size) >= 3 * SIDE


def test_between_two_pictures_the_ends_are_what_the_model_makes_of_them(
    learnt: Path, photos: Path, tmp_path: Path
) -> None:
    """A picture that is as wide as high and of the model's size is taken as it is; of others, their middle."""
    sampler = Sampler.load(learnt, device="cpu")
    network = sampler.source.network
    assert isinstance(network, Autoencoder)
    small, wide = read_rgb(photos / "00.png")[:SIDE, :SIDE], np.zeros((SIDE, 3 * SIDE, 3), np.uint8)
    wide[:, SIDE : 2 * SIDE] = read_rgb(photos / "01.png")[:SIDE, :SIDE]
    drawn = list(sampler.between(small, wide, count=5))
    for found, end in ((drawn[0], small), (drawn[-1], wide[:, SIDE : 2 * SIDE])):
        x = Pictures().encode(torch.from_numpy(end.copy()).permute(2, 0, 1)[None])
        with torch.no_grad():
            decoded = Pictures().decode(network(x))[0].permute(1, 2, 0).numpy()
        assert np.abs(found.astype(int) - decoded).max() <= 1  # rounding of batches of another size
    assert np.abs(drawn[0].astype(int) - drawn[-1]).mean() > 2
    there, back = drawn, list(sampler.between(wide, small, count=5))[::-1]
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(there, back, strict=True))


def test_between_on_the_command_line(straight: Path, photos: Path, styl: Run) -> None:
    ends = ("--between", photos / "00.png", photos / "01.png")
    assert styl("sample", straight, *ends)[:2] == (0, "9 of photos drawn: between.png\n")
    assert styl("sample", straight, *ends, "-n", 4, "-o", "way")[0] == 0
    assert len(pixels(Path("way"))) == 4
    assert styl("sample", straight, *ends, "-n", 6, "-o", "way.mp4")[0] == 0
    assert len(facts(Path("way.mp4")).times) == 6
    code, out, err = styl("sample", straight, "--between", photos / "00.png", "nowhere.png", "-o", "x.png")
    assert (code, out) == (2, "")
    assert "error: nowhere.png" in err
    shutil.copy(photos / "00.png", "mine.png")
    code, _, err = styl("sample", straight, "--between", "mine.png", "mine.png", "-o", "mine.png", "--again")
    assert code == 2
    assert "mine.png: would overwrite" in err


class Generator(nn.Module):
    """Makes pictures of noise as a function says."""

    latent = 2

    def __init__(self, paint: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.paint, self.weight = paint, nn.Parameter(torch.zeros(()))

    def forward(self, z: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        assert not self.training
        return self.paint(z)


def test_a_gan_has_no_way_from_a_picture_but_can_be_walked_through() -> None:
    gan = Generator(lambda z: z[:, :1, None, None].expand(-1, 3, 4, 4) / 4)
    sampler = Sampler(Source(gan), codec=Pictures(), domain="photos")
    black = np.zeros((4, 4, 3), np.uint8)
    with pytest.raises(UsageError, match="no way from a picture") as caught:
        sampler.between(black, black)
    assert "--preset vae" in caught.value.hint
    assert len(list(sampler.walk(100))) == 100
    wanted = torch.randn(70, 2, generator=torch.Generator().manual_seed(3))[:, 0]
    drawn = torch.tensor([int(one[0, 0, 0]) for one in sampler.draw(70, seed=3)])
    torch.testing.assert_close(drawn, ((wanted / 4 + 1) * 127.5).round().clamp(0, 255).long())


# --- walked through


def test_the_way_past_two_to_four_points_by_hand() -> None:
    turn = torch.arange(12) / 12 * 2 * math.pi
    two = closed_curve(torch.tensor([[3.0], [1.0]]), 12)  # there and back: 2 + cos
    torch.testing.assert_close(two[:, 0], 2 + turn.cos())
    circle = torch.stack([turn.cos(), turn.sin()], 1)
    torch.testing.assert_close(closed_curve(circle[::4] + 5, 12), circle + 5)
    torch.testing.assert_close(closed_curve(circle[::3] - 1, 12), circle - 1)
    torch.testing.assert_close(closed_curve(torch.tensor([[1.0], [-1.0], [1.0], [-1.0]]), 12)[:, 0], (2 * turn).cos())
    torch.testing.assert_close(closed_curve(torch.tensor([[7.0, 8.0]]), 2), torch.tensor([[7.0, 8.0]] * 2))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 6, 9])
def test_the_way_passes_every_station_and_is_closed(n: int) -> None:
    torch.manual_seed(n)
    stations = torch.randn(n, 7)
    torch.testing.assert_close(closed_curve(stations, 10 * n)[::10], stations, atol=1e-5, rtol=0)
    fine = closed_curve(stations, 5000)
    steps = (fine.roll(-1, 0) - fine).norm(dim=1)  # the last one leads from the end to the start
    assert steps[-1] <= 1.01 * steps.max()
    assert steps.max() < 0.01 * n
    turns = steps.roll(-1) - steps
    assert turns.abs().max() < 1e-4, "no corners, at the seam either"


def test_a_walk_is_a_film_that_ends_where_it_began(learnt: Path, styl: Run) -> None:
    code, out, _ = styl("sample", learnt, "--walk", "walk.mp4", "-n", 12, "--fps", 12)
    assert (code, out) == (0, "12 of photos drawn: walk.mp4\n")
    assert [path.name for path in Path().iterdir()] == ["walk.mp4"]
    assert len(facts(Path("walk.mp4")).times) == 12
    frames = [frame.astype(int) for frame in Sampler.load(learnt, device="cpu").walk(120)]
    apart = [np.abs(a - b).mean() for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert apart[-1] <= max(apart[:-1])
    assert max(np.abs(frames[0] - frame).mean() for frame in frames) > 5 * apart[-1], "it goes somewhere on the way"


# --- refused


def test_what_is_there_is_not_overwritten(straight: Path, styl: Run) -> None:
    for where in (("-o", "s"), ("-o", "s.png"), ("--walk", "s.mp4")):
        words = ("sample", straight, "-n", 4, *where)
        assert styl(*words)[0] == 0
        before = tiny.listing(Path())
        code, out, err = styl(*words, "--seed", 1)
        assert (code, out) == (2, "")
        assert "is there already" in err
        assert "--again" in err
        assert tiny.listing(Path()) == before
        assert styl(*words, "--seed", 1, "--again")[0] == 0
        assert tiny.listing(Path()) != before


def test_translators_draw_nothing_and_samplers_translate_nothing(straight: Path, photos: Path, styl: Run) -> None:
    code, out, err = styl("sample", "painted-horses")
    assert (code, out) == (2, "")
    assert err.splitlines()[0].endswith("painted-horses.safetensors: holds a translator, not a sampler")
    assert err.splitlines()[1:] == ["  styl translate applies it"]
    code, out, err = styl("translate", photos / "00.png", "-m", straight)
    assert (code, out) == (2, "")
    assert err.splitlines()[0].endswith("holds a sampler, not a translator")
    assert err.splitlines()[1:] == ["  styl sample draws from it"]


def test_a_density_that_is_cut_is_named(straight: Path, tmp_path: Path) -> None:
    found = Checkpoint.load(straight / "weights" / "best.safetensors", kind="sampler")
    del found.tensors["mixture.means"]
    found.save(tmp_path / "cut.safetensors")
    with pytest.raises(CheckpointError, match=r"cut.safetensors: its density lacks .*means"):
        Sampler.load(tmp_path / "cut.safetensors", device="cpu")


@pytest.mark.parametrize(
    ("folders", "preset", "what", "hint"),
    [
        (1, "default", "two folders are needed, 1 given", "--preset vae"),
        (2, "vae", "one folder is needed, 2 given", "styl train horses/ --preset vae"),
        (2, "autoencoder", "one folder is needed, 2 given", "styl train horses/ --preset autoencoder"),
        (0, "vae", "one folder is needed, 0 given", "styl train horses/ --preset vae"),
    ],
)
def test_so_many_folders_as_a_preset_learns_from(
    folders: int, preset: str, what: str, hint: str, photos: Path, styl: Run
) -> None:
    shutil.copytree(photos, "a")
    shutil.copytree(photos, "b")
    code, out, err = styl("train", *["a", "b"][:folders], "--preset", preset)
    assert (code, out) == (2, "")
    assert what in err
    assert hint in err
    assert not Path("runs").exists()


def test_one_folder_is_trained_from_the_command_line(photos: Path, styl: Run) -> None:
    options = [word for option in OPTIONS for word in ("--set", option)]
    words = ["train", photos, "--preset", "vae", *options, "--device", "cpu", "--workers", 0]
    code, out, err = styl(*words)
    assert (code, out) == (0, "runs/photos-vae: finished at 16 images; try: styl sample runs/photos-vae\n"), err
    assert "photos: 40 pictures, into runs/photos-vae" in err
    assert "KID × 1000 of photos" in err, "drawn, and not translated to"
    code, out, _ = styl("train", photos, "--preset", "vae", *options, "--dry-run", "--json")
    (network,) = json.loads(out)["networks"]
    assert (network["network"], network["kind"], network["output"]) == ("V", "autoencoder", "3 × 16 × 16")


# --- looked at


class Drawer(Objective):
    """Draws what a function of noise says, whatever was learnt."""

    averaged = ("G",)

    def __init__(self, paint: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.G = Generator(paint)

    def preview(self, *batch: Tensor) -> dict[str, Tensor]:
        return {"real_x": batch[0]}


class Colours:
    """Features anyone can follow: the mean colour of the sixteenths of a picture."""

    name, protocol = "colours", "sixteenths"

    def __call__(self, pictures: Tensor) -> Tensor:
        return nn.functional.adaptive_avg_pool2d(pictures.double() / 255, 4).flatten(1)


def paintings(count: int, *, seed: int) -> Tensor:
    chance = np.random.default_rng(seed)
    drawn = [np.asarray(scene(chance, height=SIDE, width=SIDE)) for _ in range(count)]
    return torch.from_numpy(np.stack(drawn)).permute(0, 3, 1, 2).contiguous()


def look(paint: Callable[[Tensor], Tensor], *, progress: float = 0.5) -> Look:
    looker = SampleLooker(
        paintings(4, seed=1), paintings(300, seed=2), codec=Pictures(), features=Colours(), domain="photos"
    )
    objective = Drawer(paint)
    seen = looker.look(objective.train(), progress=progress)
    assert objective.training, "it is given back as it was"
    return seen


def test_copies_are_counted() -> None:
    """Pictures of the folder, all or every other, a bit darker; and others of the same kind."""
    known, others = (Pictures().encode(paintings(300, seed=seed)) for seed in (2, 3))
    for share in (1, 0.5, 0):
        seen = look(lambda z, share=share: torch.where(fresh(z, share), others[: len(z)], known[: len(z)] - 0.02))
        figures = seen.measure["photos"]
        assert figures["copies"] == pytest.approx(share, abs=0.02)
        assert figures["diversity"] == pytest.approx(1, abs=0.2)
        assert "error" not in figures, "there is no way back to compare"
        alarms = [alarm for alarm in seen.alarms if "near-copies" in alarm]
        assert len(alarms) == (share > 0)
    assert seen.alarms == ()
    assert seen.mixture is None


def fresh(z: Tensor, share: float) -> Tensor:
    """Say which of a batch are not to be copies."""
    return (torch.arange(len(z)) >= share * len(z))[:, None, None, None]


def test_noise_is_no_copy_but_far_away() -> None:
    torch.manual_seed(0)
    known = Pictures().encode(paintings(300, seed=2))
    noise = look(lambda z: torch.rand(len(z), 3, SIDE, SIDE) * 2 - 1).measure["photos"]
    same = look(lambda z: known[: len(z)]).measure["photos"]
    assert noise["copies"] == 0
    assert noise["kid"] > 10 * abs(same["kid"])
    assert noise["fid"] > 10 * same["fid"]


def test_a_collapse_rings_but_not_early() -> None:
    one = Pictures().encode(paintings(1, seed=9))
    assert look(lambda z: one.expand(len(z), -1, -1, -1)).alarms == ("photos: collapsed, the samples look alike",)
    assert not look(lambda z: one.expand(len(z), -1, -1, -1), progress=0.1).alarms


def test_samples_that_get_further_than_ever_ring() -> None:
    figures = {"kid": 2.0, "diversity": 1.0, "copies": 0.0}
    assert not samples.alarming("photos", figures, before=[])
    assert not samples.alarming("photos", figures, before=[2.5, 1.0])
    said = "photos: samples are further from real photos than at every look before"
    assert samples.alarming("photos", figures, before=[1.5, 1.0]) == (said,)


def test_a_sheet_shows_beside_each_draw_what_is_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies, a bit darker: the nearest one is the very picture, on the sheet of extremes too."""
    known, sheets = Pictures().encode(paintings(300, seed=2)), []

    def laid_out(columns: dict[str, list[np.ndarray]]) -> np.ndarray:
        sheets.append(columns)
        return np.zeros((1, 1, 3), np.uint8)

    monkeypatch.setattr(samples, "contact_sheet", laid_out)
    look(lambda z: known[: len(z)] - 4 / 127.5)
    sheet, extremes = sheets
    assert [caption.rstrip() for caption in sheet] == ["photos", *["drawn", "nearest in folder"] * 3]
    assert list(extremes) == ["drawn, best", "nearest, best", "drawn, worst", "nearest, worst"]
    for columns in (dict(list(sheet.items())[1:]), extremes):
        cells = list(columns.values())
        for drawn, nearest in zip(cells[::2], cells[1::2], strict=True):
            for one, other in zip(drawn, nearest, strict=True):
                assert np.abs(other.astype(int) - one - 4).max() <= 4  # black stays black
